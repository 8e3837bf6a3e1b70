using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Quantization;

/// <summary>Transposes 16 x 16 bytes in registers.</summary>
internal static unsafe class ByteTransposer
{
    /// <summary>Byte j of <c>rows[i]</c> becomes byte i of <c>rows[j]</c>.</summary>
    /// <param name="rows">16 registers.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose16(Vector128<byte>* rows)
    {
        // Interleaving row i with row i + 8 rotates the eight index bits by one; after four rounds rows and columns have changed places.
        Vector128<byte>* other = stackalloc Vector128<byte>[16];
        for (int round = 0; round < 4; round++)
        {
            for (int i = 0; i < 8; i++)
            {
                other[2 * i] = InterleaveLow(rows[i], rows[i + 8]);
                other[2 * i + 1] = InterleaveHigh(rows[i], rows[i + 8]);
            }

            Vector128<byte>* done = other;
            other = rows;
            rows = done;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> InterleaveLow(Vector128<byte> a, Vector128<byte> b) =>
        Sse2.IsSupported ? Sse2.UnpackLow(a, b)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a, b)
        : (Vector128.WidenLower(a) | Vector128.ShiftLeft(Vector128.WidenLower(b), 8)).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> InterleaveHigh(Vector128<byte> a, Vector128<byte> b) =>
        Sse2.IsSupported ? Sse2.UnpackHigh(a, b)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a, b)
        : (Vector128.WidenUpper(a) | Vector128.ShiftLeft(Vector128.WidenUpper(b), 8)).AsByte();
}
