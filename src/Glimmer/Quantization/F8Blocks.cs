using System.Runtime.InteropServices;

namespace Glimmer.Quantization;

/// <summary>FP8 weights with their scales as blocks: 128 columns of a row in 132 bytes, an fp32 scale and 128 E4M3 codes; <c>y = code * scale</c>.</summary>
/// <remarks>
/// FP8 checkpoints keep scales in tensors of their own, for blocks of 128 x 128 or for rows (<see cref="Formats.WeightSource"/>); both become this, so that the kernels know one form.
/// </remarks>
internal static class F8Blocks
{
    /// <summary>Columns of a block.</summary>
    public const int Columns = 128;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = sizeof(float) + Columns;

    /// <summary>Kernels read a code as its value times 2^-120, and keep scales times 2^120.</summary>
    public const float Shift = 1.329227995784916e36f;

    /// <summary>Whether the kernels can keep a scale: with <see cref="Shift"/> it must stay finite.</summary>
    public static bool Takes(float scale) => MathF.Abs(scale) < 128;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; values = values[Columns..], blocks = blocks[Bytes..])
        {
            float scale = MemoryMarshal.Read<float>(blocks);
            for (int i = 0; i < Columns; i++)
                values[i] = Float8.E4M3[blocks[sizeof(float) + i]] * scale;
        }
    }
}
