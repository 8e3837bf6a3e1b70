using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>Q5_0 packed: a weight is <c>d * (q - 16)</c>.</summary>
/// <remarks>
/// A block: 32 fp16 d, nibbles, fifth bits; 704 bytes. Product of a block: <c>acc = fma((float)sum((q - 16) x), d * scale_x, acc)</c>.
/// </remarks>
internal readonly unsafe struct Q5_0Blocks : IBlockFormat
{
    public static DType Type => DType.Q5_0;

    public static int HeaderBytes => 0;

    public static int BlockBytes => BlockScales.HalfBytes + BlockCodes.NibbleBytes + BlockCodes.BitBytes;

    public static int CodesAt => BlockScales.HalfBytes;

    public static int Offset => 16;

    public static int MostCode => 31;

    public static bool HasHalves => false;

    public static bool HasMinimum => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Codes(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd)
    {
        BlockCodes.Nibbles(codes, pair, register, out even, out odd);
        BlockCodes.Bits(codes + BlockCodes.NibbleBytes, pair, register, out Vector256<byte> upperEven, out Vector256<byte> upperOdd);
        even |= BlockCodes.Up(upperEven, 4);
        odd |= BlockCodes.Up(upperOdd, 4);
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
        BlockCodes.ReadSplitNibbles(source + 6, steps);
        BlockCodes.WriteNibbles(steps, superBlock + CodesAt, row);
        BlockCodes.AddFifthBits(Unsafe.ReadUnaligned<uint>(source + 2), steps);
        BlockCodes.WriteBits(steps, 4, superBlock + CodesAt + BlockCodes.NibbleBytes, row);
        return BlockScales.Write(source, superBlock, row);
    }
}
