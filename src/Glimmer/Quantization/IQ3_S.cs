namespace Glimmer.Quantization;

/// <summary>
/// IQ3_S: 256 elements in 110 bytes. d half @0, qs[64] @2, qh[8] @66 (ninth index bit of each group of 4 elements), signs[32] @74, scales[4] @106 (a nibble
/// for 32); <c>y = (d * (1 + 2 scale)) * grid</c>, negated where the sign bit is set.
/// </summary>
/// <remarks>ggml block_iq3_s.</remarks>
internal static class IQ3_S
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 256;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 110;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            Span<float> y = values.Slice(b * Elements, Elements);
            float d = Float16.Read(block, 0);
            for (int e = 0; e < 64; e++)
            {
                int index = block[2 + e] | ((block[66 + e / 8] >> (e % 8)) & 1) << 8;
                float scale = d * (1 + 2 * ((block[106 + e / 16] >> (4 * (e / 8 & 1))) & 15));
                SignedGrid.Write(scale, IqGrids.Iq3S.Slice(4 * index, 4), block[74 + e / 2] >> (4 * (e & 1)), y.Slice(4 * e, 4));
            }
        }
    }
}
