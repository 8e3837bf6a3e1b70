using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>IQ4_XS packed: a weight is <c>(d * scale) * table[q]</c> (<see cref="Iq4Table"/>).</summary>
/// <remarks>
/// A super-block: 32 fp16 d, then 8 blocks of 32 signed byte scales and nibbles q; 4,416 bytes. A code is table[q] + 128. Product of a block:
/// <c>acc = fma((float)sum(table[q] x), (d * scale) * scale_x, acc)</c>.
/// </remarks>
internal readonly unsafe struct IQ4_XSBlocks : IBlockFormat
{
    public static DType Type => DType.IQ4_XS;

    public static int HeaderBytes => BlockScales.HalfBytes;

    public static int BlockBytes => BlockScales.IntegerBytes + BlockCodes.NibbleBytes;

    public static int CodesAt => BlockScales.IntegerBytes;

    public static int Offset => 128;

    public static int MostCode => 255;

    public static bool HasHalves => false;

    public static bool HasMinimum => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Codes(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd)
    {
        BlockCodes.Nibbles(codes, pair, register, out even, out odd);
        Vector256<byte> table = Vector256.Create(Iq4Table.Raised);
        even = BlockCodes.Look(table, even);
        odd = BlockCodes.Look(table, odd);
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
        scale = headerScale * BlockScales.Signed(block, register);
        minimum = default;
    }

    public static bool Pack(byte* source, byte* superBlock, int row)
    {
        uint* steps = stackalloc uint[8];
        int high = Unsafe.ReadUnaligned<ushort>(source + 2);
        for (int j = 0; j < 8; j++)
        {
            byte* block = superBlock + HeaderBytes + j * BlockBytes;
            int scale = source[4 + j / 2] >> (4 * (j & 1)) & 15 | (high >> (2 * j) & 3) << 4;
            block[row] = (byte)(scale - 32);
            BlockCodes.ReadSplitNibbles(source + 8 + 16 * j, steps);
            BlockCodes.WriteNibbles(steps, block + CodesAt, row);
        }

        return BlockScales.Write(source, superBlock, row);
    }
}
