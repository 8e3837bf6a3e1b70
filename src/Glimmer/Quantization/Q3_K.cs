namespace Glimmer.Quantization;

/// <summary>
/// Q3_K: 256 elements in 110 bytes. hmask[32] @0, qs[64] @32, scales[12] @96 (16 of 6 bits), d half @108; <c>y = (d * scale) * q</c> with scale -32..31 for 16
/// elements and q = -4..3.
/// </summary>
/// <remarks>
/// ggml block_q3_K. Element 128n + 32j + l: q = ((qs[32n+l] >> 2j) &amp; 3) - (bit 4n+j of hmask[l] ? 0 : 4), scale i = 8n + 2j + l/16: low four bits in the
/// low (i &lt; 8) or high nibble of scales[i % 8], upper two bits in scales[8 + i % 4] >> 2 (i / 4), the whole minus 32.
/// </remarks>
internal static class Q3_K
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
            ReadOnlySpan<byte> packed = block.Slice(96, 12);
            float d = Float16.Read(block, 108);
            for (int i = 0; i < 16; i++)
            {
                int low = i < 8 ? packed[i] & 15 : packed[i - 8] >> 4;
                int high = (packed[8 + i % 4] >> (2 * (i / 4))) & 3;
                float s = d * ((low | high << 4) - 32);
                int bit = i / 2;
                int shift = 2 * (bit % 4);
                ReadOnlySpan<byte> codes = block.Slice(32 + 32 * (i / 8) + 16 * (i & 1), 16);
                ReadOnlySpan<byte> mask = block.Slice(16 * (i & 1), 16);
                Span<float> y = values.Slice(b * Elements + 16 * i, 16);
                for (int l = 0; l < y.Length; l++)
                    y[l] = s * (((codes[l] >> shift) & 3) - (4 - 4 * ((mask[l] >> bit) & 1)));
            }
        }
    }

    /// <summary>fp32 to blocks by a weighted search of scales (weights x^2).</summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> scales = stackalloc float[16];
        Span<float> weights = stackalloc float[16];
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<float> x = values.Slice(b * Elements, Elements);
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            block.Clear();
            for (int i = 0; i < 16; i++)
            {
                ReadOnlySpan<float> part = x.Slice(16 * i, 16);
                ScaleSearch.SquareWeights(part, weights);
                scales[i] = ScaleSearch.FitSymmetric(part, weights, 4);
            }

            float unit = BlockExtremes.Largest(scales) / -32;
            float d = Float16.Write(block, 108, unit);
            for (int i = 0; i < 16; i++)
            {
                ReadOnlySpan<float> part = x.Slice(16 * i, 16);
                ScaleSearch.SquareWeights(part, weights);
                int scale = ScaleSearch.RefineScale(part, weights, 4, d, ScaleSearch.SymmetricCode(scales[i], unit, 32), 32);
                int stored = scale + 32;
                block[96 + i % 8] |= (byte)((stored & 15) << (i < 8 ? 0 : 4));
                block[104 + i % 4] |= (byte)((stored >> 4) << (2 * (i / 4)));
                for (int l = 0; l < 16; l++)
                {
                    int code = ScaleSearch.SymmetricCode(x[16 * i + l], d * scale, 4) + 4;
                    int at = 16 * (i & 1) + l;
                    block[32 + 32 * (i / 8) + at] |= (byte)((code & 3) << (2 * (i / 2 % 4)));
                    block[at] |= (byte)((code >> 2) << (i / 2));
                }
            }
        }
    }
}
