using System.Buffers.Binary;

namespace Glimmer.Quantization;

/// <summary>
/// IQ3_XXS: 256 elements in 98 bytes. d half @0, qs[64] @2 (grid index of 4 elements), u32[8] @66 with four 7-bit sign codes and a 4-bit scale for 32 elements;
/// <c>y = ((d * (0.5 + (w >> 28))) * 0.5) * grid</c>, negated where the sign bit is set.
/// </summary>
/// <remarks>ggml block_iq3_xxs.</remarks>
internal static class IQ3_XXS
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 256;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 98;

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
                uint w = BinaryPrimitives.ReadUInt32LittleEndian(block[(66 + 4 * group)..]);
                float scale = d * (0.5f + (w >> 28)) * 0.5f;
                for (int k = 0; k < 4; k++)
                {
                    byte signs = IqGrids.EvenSigns((w >> (7 * k)) & 127);
                    int first = 8 * group + 2 * k;
                    SignedGrid.Write(scale, IqGrids.Iq3Xxs.Slice(4 * block[2 + first], 4), signs, y.Slice(4 * first, 4));
                    SignedGrid.Write(scale, IqGrids.Iq3Xxs.Slice(4 * block[3 + first], 4), signs >> 4, y.Slice(4 * first + 4, 4));
                }
            }
        }
    }
}
