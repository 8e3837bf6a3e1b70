namespace Glimmer.Quantization;

/// <summary>TQ2_0: 256 ternary elements in 66 bytes. qs[64] @0, d half @64; <c>y[128n+32t+m] = d * (((qs[32n+m] >> 2t) &amp; 3) - 1)</c>.</summary>
/// <remarks>ggml block_tq2_0. Code 3 gives 2.</remarks>
internal static class TQ2_0
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
            float d = Float16.Read(block, 64);
            for (int part = 0; part < 8; part++)
            {
                ReadOnlySpan<byte> codes = block.Slice(32 * (part / 4), 32);
                Span<float> y = values.Slice(b * Elements + 32 * part, 32);
                int shift = 2 * (part % 4);
                for (int m = 0; m < y.Length; m++)
                    y[m] = d * (((codes[m] >> shift) & 3) - 1);
            }
        }
    }

    /// <summary>fp32 to blocks: d = max|x|, codes by rounding x / d (ggml quantize_row_tq2_0_ref).</summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<float> x = values.Slice(b * Elements, Elements);
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            block.Clear();
            float d = MathF.Abs(BlockExtremes.Largest(x));
            float inverse = d != 0 ? 1 / d : 0;
            Float16.Write(block, 64, d);
            for (int i = 0; i < Elements; i++)
            {
                int code = (int)MathF.Round(x[i] * inverse, MidpointRounding.AwayFromZero) + 1;
                block[32 * (i / 128) + i % 32] |= (byte)(code << (2 * (i % 128 / 32)));
            }
        }
    }
}
