using System.Buffers.Binary;

namespace Glimmer.Quantization;

/// <summary>
/// IQ2_XS: 256 elements in 74 bytes. d half @0, qs u16[32] @2 (9-bit grid index, 7-bit sign code), scales[8] @66 (a nibble for 16 elements);
/// <c>y = ((d * (0.5 + scale)) * 0.25) * grid</c>, negated where the sign bit is set.
/// </summary>
/// <remarks>ggml block_iq2_xs.</remarks>
internal static class IQ2_XS
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 256;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 74;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            Span<float> y = values.Slice(b * Elements, Elements);
            float d = Float16.Read(block, 0);
            for (int k = 0; k < 32; k++)
            {
                uint code = BinaryPrimitives.ReadUInt16LittleEndian(block[(2 + 2 * k)..]);
                float scale = d * (0.5f + ((block[66 + k / 4] >> (4 * (k / 2 & 1))) & 15)) * 0.25f;
                SignedGrid.Write(scale, IqGrids.Iq2Xs.Slice(8 * (int)(code & 511), 8), IqGrids.EvenSigns(code >> 9), y.Slice(8 * k, 8));
            }
        }
    }
}
