using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Quantization;

/// <summary>16 small integers to two vectors of 8 floats (exact): the inner step of the fast dequantisers.</summary>
internal static class ByteExpansion
{
    /// <summary>Signed bytes to floats, in order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<float> First, Vector256<float> Second) ToSingle(Vector128<sbyte> codes)
    {
        if (Avx2.IsSupported)
        {
            return (Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(codes)),
                Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.Shuffle(codes.AsUInt64(), Vector128.Create(1ul, 0)).AsSByte())));
        }

        (Vector128<short> low, Vector128<short> high) = Vector128.Widen(codes);
        (Vector128<int> a, Vector128<int> b) = Vector128.Widen(low);
        (Vector128<int> c, Vector128<int> d) = Vector128.Widen(high);
        return (Vector256.ConvertToSingle(Vector256.Create(a, b)), Vector256.ConvertToSingle(Vector256.Create(c, d)));
    }

    /// <summary>The low nibbles of 16 bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<sbyte> LowNibbles(Vector128<byte> bytes) => (bytes & Vector128.Create((byte)15)).AsSByte();

    /// <summary>The high nibbles of 16 bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<sbyte> HighNibbles(Vector128<byte> bytes) => ((bytes.AsUInt16() >> 4).AsByte() & Vector128.Create((byte)15)).AsSByte();

    /// <summary>16 where a bit is set, bit j in byte j, for the low 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<sbyte> FifthBits(uint bits)
    {
        Vector128<byte> halves = Vector128.Create((byte)0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
        Vector128<byte> spread = Vector128.Shuffle(Vector128.CreateScalar(bits).AsByte(), halves);
        Vector128<byte> mask = Vector128.Create(0x8040201008040201ul).AsByte();
        return (Vector128.Equals(spread & mask, mask) & Vector128.Create((byte)16)).AsSByte();
    }
}
