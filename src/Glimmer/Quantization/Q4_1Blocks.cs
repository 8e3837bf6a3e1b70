using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>Q4_1 packed: a weight is <c>fma(d, q, m)</c>.</summary>
/// <remarks>
/// A block: 32 fp16 d, 32 fp16 m, then nibbles q; 640 bytes. Product of a block: <c>acc = fma((float)sum(q x), d * scale_x, acc)</c>, then
/// <c>acc = fma(m, (float)sum(x) * scale_x, acc)</c>.
/// </remarks>
internal readonly unsafe struct Q4_1Blocks : IBlockFormat
{
    public static DType Type => DType.Q4_1;

    public static int HeaderBytes => 0;

    public static int BlockBytes => 2 * BlockScales.HalfBytes + BlockCodes.NibbleBytes;

    public static int CodesAt => 2 * BlockScales.HalfBytes;

    public static int Offset => 0;

    public static int MostCode => 15;

    public static bool HasHalves => false;

    public static bool HasMinimum => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Codes(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd) =>
        BlockCodes.Nibbles(codes, pair, register, out even, out odd);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Header(byte* header, int register, out Vector256<float> scale, out Vector256<float> minimum) =>
        scale = minimum = default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(
        byte* block, int half, int register, Vector256<float> headerScale, Vector256<float> headerMinimum, out Vector256<float> scale,
        out Vector256<float> minimum)
    {
        scale = BlockScales.Halves(block, register);
        minimum = BlockScales.Halves(block + BlockScales.HalfBytes, register);
    }

    public static bool Pack(byte* source, byte* superBlock, int row)
    {
        uint* steps = stackalloc uint[8];
        BlockCodes.ReadSplitNibbles(source + 4, steps);
        BlockCodes.WriteNibbles(steps, superBlock + CodesAt, row);
        return BlockScales.Write(source, superBlock, row) & BlockScales.Write(source + 2, superBlock + BlockScales.HalfBytes, row);
    }
}
