using System.Buffers.Binary;

namespace Glimmer.Quantization;

/// <summary>
/// IQ2_XXS: 256 elements in 66 bytes. d half @0, then 8 groups of 8 bytes: four grid indices, then u32 w with four 7-bit sign codes and a 4-bit scale;
/// <c>y = ((d * (0.5 + (w >> 28))) * 0.25) * grid</c>, negated where the sign bit is set.
/// </summary>
/// <remarks>ggml block_iq2_xxs.</remarks>
internal static class IQ2_XXS
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 256;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 66;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            Span<float> y = values.Slice(b * Elements, Elements);
            float d = Float16.Read(block, 0);
            for (int group = 0; group < 8; group++)
            {
                ReadOnlySpan<byte> indices = block.Slice(2 + 8 * group, 4);
                uint w = BinaryPrimitives.ReadUInt32LittleEndian(block[(6 + 8 * group)..]);
                float scale = d * (0.5f + (w >> 28)) * 0.25f;
                for (int k = 0; k < 4; k++)
                    SignedGrid.Write(scale, IqGrids.Iq2Xxs.Slice(8 * indices[k], 8), IqGrids.EvenSigns((w >> (7 * k)) & 127), y.Slice(32 * group + 8 * k, 8));
            }
        }
    }
}
