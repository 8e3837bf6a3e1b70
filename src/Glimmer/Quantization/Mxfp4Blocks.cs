using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>MXFP4 packed: a weight is <c>2^(e - 128) * table[q]</c> (<see cref="Mxfp4.Table"/>).</summary>
/// <remarks>
/// A block: 32 exponents e, then nibbles q; 544 bytes. A code is table[q] + 12. Product of a block:
/// <c>acc = fma((float)sum(table[q] x), 2^(e - 128) * scale_x, acc)</c>.
/// </remarks>
internal readonly unsafe struct Mxfp4Blocks : IBlockFormat
{
    public static DType Type => DType.Mxfp4;

    public static int HeaderBytes => 0;

    public static int BlockBytes => BlockScales.IntegerBytes + BlockCodes.NibbleBytes;

    public static int CodesAt => BlockScales.IntegerBytes;

    public static int Offset => 12;

    public static int MostCode => 24;

    public static bool HasHalves => false;

    public static bool HasMinimum => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Codes(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd)
    {
        BlockCodes.Nibbles(codes, pair, register, out even, out odd);
        Vector256<byte> table = Vector256.Create(Mxfp4.Raised);
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
        scale = BlockScales.Powers(block, register);
        minimum = default;
    }

    public static bool Pack(byte* source, byte* superBlock, int row)
    {
        uint* steps = stackalloc uint[8];
        BlockCodes.ReadSplitNibbles(source + 1, steps);
        BlockCodes.WriteNibbles(steps, superBlock + CodesAt, row);
        superBlock[row] = source[0];
        return source[0] != 255;
    }
}
