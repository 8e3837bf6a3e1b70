using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>Q4_K packed: a weight is <c>fma(d * scale, q, -(dmin * minimum))</c>.</summary>
/// <remarks>
/// A super-block: 32 fp16 d, 32 fp16 dmin, then 8 blocks of 32 byte scales, 32 byte minima and nibbles q; 4,736 bytes. Product of a block:
/// <c>acc = fma((float)sum(q x), (d * scale) * scale_x, acc)</c>, then <c>acc = fma(-(dmin * minimum), (float)sum(x) * scale_x, acc)</c>.
/// </remarks>
internal readonly unsafe struct Q4_KBlocks : IBlockFormat
{
    public static DType Type => DType.Q4_K;

    public static int HeaderBytes => 2 * BlockScales.HalfBytes;

    public static int BlockBytes => 2 * BlockScales.IntegerBytes + BlockCodes.NibbleBytes;

    public static int CodesAt => 2 * BlockScales.IntegerBytes;

    public static int Offset => 0;

    public static int MostCode => 15;

    public static bool HasHalves => false;

    public static bool HasMinimum => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Codes(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd) =>
        BlockCodes.Nibbles(codes, pair, register, out even, out odd);

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
        scale = headerScale * BlockScales.Unsigned(block, register);
        minimum = -(headerMinimum * BlockScales.Unsigned(block + BlockScales.IntegerBytes, register));
    }

    public static bool Pack(byte* source, byte* superBlock, int row)
    {
        uint* steps = stackalloc uint[8];
        var packed = new ReadOnlySpan<byte>(source + 4, 12);
        for (int j = 0; j < 8; j++)
        {
            byte* block = superBlock + HeaderBytes + j * BlockBytes;
            (int scale, int minimum) = SuperBlockScales.Read(packed, j);
            (block[row], block[BlockScales.IntegerBytes + row]) = ((byte)scale, (byte)minimum);
            BlockCodes.ReadNibbles(source + 16 + 32 * (j / 2), 4 * (j & 1), steps);
            BlockCodes.WriteNibbles(steps, block + CodesAt, row);
        }

        return BlockScales.Write(source, superBlock, row) & BlockScales.Write(source + 2, superBlock + BlockScales.HalfBytes, row);
    }
}
