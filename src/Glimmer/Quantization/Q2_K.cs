namespace Glimmer.Quantization;

/// <summary>
/// Q2_K: 256 elements in 84 bytes. scales[16] @0 (scale in the low, minimum in the high nibble), qs[64] @16, d half @80, dmin half @82;
/// <c>y = (d * scale) * q - (dmin * minimum)</c>, a scale for 16 elements.
/// </summary>
/// <remarks>ggml block_q2_K. Element 128n + 32j + l has bits 2j, 2j+1 of qs[32n+l] and scale 8n + 2j + l/16.</remarks>
internal static class Q2_K
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 256;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 84;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            float d = Float16.Read(block, 80);
            float dmin = Float16.Read(block, 82);
            for (int i = 0; i < 16; i++)
            {
                float s = d * (block[i] & 15);
                float m = dmin * (block[i] >> 4);
                ReadOnlySpan<byte> codes = block.Slice(16 + 32 * (i / 8) + 16 * (i & 1), 16);
                Span<float> y = values.Slice(b * Elements + 16 * i, 16);
                int shift = 2 * (i % 8 / 2);
                for (int l = 0; l < y.Length; l++)
                    y[l] = s * ((codes[l] >> shift) & 3) - m;
            }
        }
    }

    /// <summary>fp32 to blocks by a weighted search of scales and minima.</summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> scales = stackalloc float[16];
        Span<float> minima = stackalloc float[16];
        Span<float> weights = stackalloc float[16];
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<float> x = values.Slice(b * Elements, Elements);
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            block.Clear();
            float maxScale = 0;
            float maxMinimum = 0;
            for (int i = 0; i < 16; i++)
            {
                ScaleSearch.MagnitudeWeights(x.Slice(16 * i, 16), weights);
                (scales[i], minima[i]) = ScaleSearch.FitAffine(x.Slice(16 * i, 16), weights, 3);
                maxScale = MathF.Max(maxScale, scales[i]);
                maxMinimum = MathF.Max(maxMinimum, minima[i]);
            }

            float d = Float16.Write(block, 80, maxScale / 15);
            float dmin = Float16.Write(block, 82, maxMinimum / 15);
            for (int i = 0; i < 16; i++)
            {
                ScaleSearch.MagnitudeWeights(x.Slice(16 * i, 16), weights);
                (int, int) rounded = (ScaleSearch.AffineCode(scales[i], maxScale / 15, 0, 15), ScaleSearch.AffineCode(minima[i], maxMinimum / 15, 0, 15));
                (int scale, int minimum) = ScaleSearch.RefineAffine(x.Slice(16 * i, 16), weights, 3, d, dmin, rounded, 15);
                block[i] = (byte)(scale | minimum << 4);
                for (int l = 0; l < 16; l++)
                {
                    int code = ScaleSearch.AffineCode(x[16 * i + l], d * scale, dmin * minimum, 3);
                    block[16 + 32 * (i / 8) + 16 * (i & 1) + l] |= (byte)(code << (2 * (i % 8 / 2)));
                }
            }
        }
    }
}
