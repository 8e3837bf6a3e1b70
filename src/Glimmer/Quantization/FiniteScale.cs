using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>Refuses blocks whose scale is infinite or not a number: such a file is damaged, and the packed kernels do not widen such halves.</summary>
internal static class FiniteScale
{
    public static ushort Check(ushort half, DType type, int row, int block) => (half & 0x7C00) != 0x7C00
        ? half
        : throw new ModelFormatException(
            $"Row {row}, block {block} of a {type} tensor has the scale {BitConverter.UInt16BitsToHalf(half)}; scales must be finite. The file is damaged.");
}
