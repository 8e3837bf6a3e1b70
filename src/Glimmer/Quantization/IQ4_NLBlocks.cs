using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>IQ4_NL packed: a weight is <c>d * table[q]</c> (<see cref="Iq4Table"/>).</summary>
/// <remarks>
/// A block: 32 fp16 d, then nibbles q; 576 bytes. A code is table[q] + 128. Product of a block: <c>acc = fma((float)sum(table[q] x), d * scale_x, acc)</c>.
/// </remarks>
internal readonly unsafe struct IQ4_NLBlocks : IBlockFormat
{
    public static DType Type => DType.IQ4_NL;

    public static int HeaderBytes => 0;

    public static int BlockBytes => BlockScales.HalfBytes + BlockCodes.NibbleBytes;

    public static int CodesAt => BlockScales.HalfBytes;

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
        BlockCodes.ReadSplitNibbles(source + 2, steps);
        BlockCodes.WriteNibbles(steps, superBlock + CodesAt, row);
        return BlockScales.Write(source, superBlock, row);
    }
}
