using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>Q8_0 packed: a weight is <c>d * q</c>.</summary>
/// <remarks>
/// A block: 32 fp16 d, then bytes q + 128; 1,088 bytes. Product of a block: <c>acc = fma((float)sum(q x), d * scale_x, acc)</c>.
/// </remarks>
internal readonly unsafe struct Q8_0Blocks : IBlockFormat
{
    public static DType Type => DType.Q8_0;

    public static int HeaderBytes => 0;

    public static int BlockBytes => BlockScales.HalfBytes + BlockCodes.ByteBytes;

    public static int CodesAt => BlockScales.HalfBytes;

    public static int Offset => 128;

    public static int MostCode => 255;

    public static bool HasHalves => false;

    public static bool HasMinimum => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Codes(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd) =>
        BlockCodes.Bytes(codes, pair, register, out even, out odd);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Header(byte* header, int register, out Vector256<float> scale, out Vector256<float> minimum) =>
        scale = minimum = default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(
        byte* block, int half, int register, Vector256<float> headerScale, Vector256<float> headerMinimum, out Vector256<float> scale,
        out Vector256<float> minimum)
    {
        scale = BlockScales.Halves(block, register);
        minimum = default;
    }

    public static bool Pack(byte* source, byte* superBlock, int row)
    {
        uint* steps = stackalloc uint[8];
        for (int s = 0; s < 8; s++)
            steps[s] = Unsafe.ReadUnaligned<uint>(source + 2 + 4 * s) ^ 0x80808080;
        BlockCodes.WriteBytes(steps, superBlock + CodesAt, row);
        return BlockScales.Write(source, superBlock, row);
    }
}
