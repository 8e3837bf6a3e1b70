using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>Q6_K packed: a weight is <c>(d * scale) * (q - 32)</c>, a scale for 16 columns.</summary>
/// <remarks>
/// A super-block: 32 fp16 d, then 8 blocks of 2 times 32 signed byte scales, nibbles and upper pairs of bits; 6,720 bytes. Product of 16 columns:
/// <c>acc = fma((float)sum((q - 32) x), (d * scale) * scale_x, acc)</c>.
/// </remarks>
internal readonly unsafe struct Q6_KBlocks : IBlockFormat
{
    public static DType Type => DType.Q6_K;

    public static int HeaderBytes => BlockScales.HalfBytes;

    public static int BlockBytes => 2 * BlockScales.IntegerBytes + BlockCodes.NibbleBytes + BlockCodes.PairBytes;

    public static int CodesAt => 2 * BlockScales.IntegerBytes;

    public static int Offset => 32;

    public static int MostCode => 63;

    public static bool HasHalves => true;

    public static bool HasMinimum => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Codes(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd)
    {
        BlockCodes.Nibbles(codes, pair, register, out even, out odd);
        BlockCodes.Pairs(codes + BlockCodes.NibbleBytes, pair, register, out Vector256<byte> upperEven, out Vector256<byte> upperOdd);
        even |= BlockCodes.Up(upperEven, 4);
        odd |= BlockCodes.Up(upperOdd, 4);
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
            int part = j / 4, quarter = j % 4;
            (block[row], block[BlockScales.IntegerBytes + row]) = (source[192 + 2 * j], source[192 + 2 * j + 1]);
            BlockCodes.ReadNibbles(source + 64 * part + 32 * (quarter & 1), quarter < 2 ? 0 : 4, steps);
            BlockCodes.AddBits(source + 128 + 32 * part, 2 * quarter, 3, 4, steps);
            BlockCodes.WriteNibbles(steps, block + CodesAt, row);
            BlockCodes.WritePairs(steps, 4, block + CodesAt + BlockCodes.NibbleBytes, row);
        }

        return BlockScales.Write(source + 208, superBlock, row);
    }
}
