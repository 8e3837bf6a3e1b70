using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>Q2_K packed: a weight is <c>fma(d * scale, q, -(dmin * minimum))</c>, a scale for 16 columns.</summary>
/// <remarks>
/// A super-block: 32 fp16 d, 32 fp16 dmin, then 8 blocks of 2 times 32 bytes (scale in the low, minimum in the high half) and pairs of bits; 2,688 bytes.
/// Product of 16 columns: <c>acc = fma((float)sum(q x), (d * scale) * scale_x, acc)</c>, then <c>acc = fma(-(dmin * minimum), (float)sum(x) * scale_x, acc)</c>.
/// </remarks>
internal readonly unsafe struct Q2_KBlocks : IBlockFormat
{
    public static DType Type => DType.Q2_K;

    public static int HeaderBytes => 2 * BlockScales.HalfBytes;

    public static int BlockBytes => 2 * BlockScales.IntegerBytes + BlockCodes.PairBytes;

    public static int CodesAt => 2 * BlockScales.IntegerBytes;

    public static int Offset => 0;

    public static int MostCode => 3;

    public static bool HasHalves => true;

    public static bool HasMinimum => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Codes(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd) =>
        BlockCodes.Pairs(codes, pair, register, out even, out odd);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Header(byte* header, int register, out Vector256<float> scale, out Vector256<float> minimum)
    {
        scale = BlockScales.Halves(header, register);
        minimum = BlockScales.Halves(header + BlockScales.HalfBytes, register);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(
        byte* block, int half, int register, Vector256<float> headerScale, Vector256<float> headerMinimum, out Vector256<float> scale,
        out Vector256<float> minimum)
    {
        byte* both = block + half * BlockScales.IntegerBytes;
        scale = headerScale * BlockScales.Nibbles(both, register, 0);
        minimum = -(headerMinimum * BlockScales.Nibbles(both, register, 4));
    }

    public static bool Pack(byte* source, byte* superBlock, int row)
    {
        uint* steps = stackalloc uint[8];
        for (int j = 0; j < 8; j++)
        {
            byte* block = superBlock + HeaderBytes + j * BlockBytes;
            (block[row], block[BlockScales.IntegerBytes + row]) = (source[2 * j], source[2 * j + 1]);
            new Span<uint>(steps, 8).Clear();
            BlockCodes.AddBits(source + 16 + 32 * (j / 4), 2 * (j % 4), 3, 0, steps);
            BlockCodes.WritePairs(steps, 0, block + CodesAt, row);
        }

        return BlockScales.Write(source + 80, superBlock, row) & BlockScales.Write(source + 82, superBlock + BlockScales.HalfBytes, row);
    }
}
