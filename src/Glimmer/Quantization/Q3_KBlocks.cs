using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>Q3_K packed: a weight is <c>(d * scale) * (q - 4)</c>, a scale for 16 columns.</summary>
/// <remarks>
/// A super-block: 32 fp16 d, then 8 blocks of 2 times 32 signed byte scales, pairs of bits and third bits; 3,648 bytes. Product of 16 columns:
/// <c>acc = fma((float)sum((q - 4) x), (d * scale) * scale_x, acc)</c>.
/// </remarks>
internal readonly unsafe struct Q3_KBlocks : IBlockFormat
{
    public static DType Type => DType.Q3_K;

    public static int HeaderBytes => BlockScales.HalfBytes;

    public static int BlockBytes => 2 * BlockScales.IntegerBytes + BlockCodes.PairBytes + BlockCodes.BitBytes;

    public static int CodesAt => 2 * BlockScales.IntegerBytes;

    public static int Offset => 4;

    public static int MostCode => 7;

    public static bool HasHalves => true;

    public static bool HasMinimum => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Codes(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd)
    {
        BlockCodes.Pairs(codes, pair, register, out even, out odd);
        BlockCodes.Bits(codes + BlockCodes.PairBytes, pair, register, out Vector256<byte> upperEven, out Vector256<byte> upperOdd);
        even |= BlockCodes.Up(upperEven, 2);
        odd |= BlockCodes.Up(upperOdd, 2);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Header(byte* header, int register, out Vector256<float> scale, out Vector256<float> minimum)
    {
        scale = BlockScales.Halves(header, register);
        minimum = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(
        byte* block, int half, int register, Vector256<float> headerScale, Vector256<float> headerMinimum, out Vector256<float> scale,
        out Vector256<float> minimum)
    {
        scale = headerScale * BlockScales.Signed(block + half * BlockScales.IntegerBytes, register);
        minimum = default;
    }

    public static bool Pack(byte* source, byte* superBlock, int row)
    {
        uint* steps = stackalloc uint[8];
        for (int j = 0; j < 8; j++)
        {
            byte* block = superBlock + HeaderBytes + j * BlockBytes;
            for (int half = 0; half < 2; half++)
            {
                int i = 2 * j + half;
                int low = i < 8 ? source[96 + i] & 15 : source[96 + i - 8] >> 4;
                int high = source[104 + i % 4] >> (2 * (i / 4)) & 3;
                block[half * BlockScales.IntegerBytes + row] = (byte)((low | high << 4) - 32);
            }

            new Span<uint>(steps, 8).Clear();
            BlockCodes.AddBits(source + 32 + 32 * (j / 4), 2 * (j % 4), 3, 0, steps);
            BlockCodes.AddBits(source, j, 1, 2, steps);
            BlockCodes.WritePairs(steps, 0, block + CodesAt, row);
            BlockCodes.WriteBits(steps, 2, block + CodesAt + BlockCodes.PairBytes, row);
        }

        return BlockScales.Write(source + 108, superBlock, row);
    }
}
