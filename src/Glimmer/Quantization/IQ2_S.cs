namespace Glimmer.Quantization;

/// <summary>
/// IQ2_S: 256 elements in 82 bytes. d half @0, qs[32] @2, signs[32] @34, qh[8] @66 (two upper index bits a group of 8 elements), scales[8] @74 (a nibble for
/// 16); <c>y = ((d * (0.5 + scale)) * 0.25) * grid</c>, negated where the sign bit is set.
/// </summary>
/// <remarks>ggml block_iq2_s.</remarks>
internal static class IQ2_S
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 256;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 82;

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
                int index = block[2 + k] | ((block[66 + k / 4] >> (2 * (k % 4))) & 3) << 8;
                float scale = d * (0.5f + ((block[74 + k / 4] >> (4 * (k / 2 & 1))) & 15)) * 0.25f;
                SignedGrid.Write(scale, IqGrids.Iq2S.Slice(8 * index, 8), block[34 + k], y.Slice(8 * k, 8));
            }
        }
    }
}
