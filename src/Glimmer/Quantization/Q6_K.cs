namespace Glimmer.Quantization;

/// <summary>
/// Q6_K: 256 elements in 210 bytes. ql[128] @0, qh[64] @128, scales int8[16] @192, d half @208; <c>y = (d * scale) * (q - 32)</c>, a scale for 16 elements.
/// </summary>
/// <remarks>
/// ggml block_q6_K. In half n and for l = 0..31 the four elements 128n + {0,32,64,96} + l have their low nibbles in ql[64n+l], ql[64n+32+l] (low, then high
/// nibbles) and their upper two bits in qh[32n+l], lowest pair first.
/// </remarks>
internal static class Q6_K
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 256;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 210;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            float d = Float16.Read(block, 208);
            for (int part = 0; part < 8; part++)
            {
                int half = part / 4;
                int quarter = part % 4;
                ReadOnlySpan<byte> low = block.Slice(64 * half + 32 * (quarter & 1), 32);
                ReadOnlySpan<byte> high = block.Slice(128 + 32 * half, 32);
                Span<float> y = values.Slice(b * Elements + 32 * part, 32);
                int lowShift = quarter < 2 ? 0 : 4;
                for (int l = 0; l < y.Length; l++)
                {
                    float scale = d * (sbyte)block[192 + 2 * part + l / 16];
                    int code = ((low[l] >> lowShift) & 15) | ((high[l] >> (2 * quarter)) & 3) << 4;
                    y[l] = scale * (code - 32);
                }
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
                scales[i] = ScaleSearch.FitSymmetric(part, weights, 32);
            }

            float unit = BlockExtremes.Largest(scales) / -128;
            float d = Float16.Write(block, 208, unit);
            for (int i = 0; i < 16; i++)
            {
                ReadOnlySpan<float> part = x.Slice(16 * i, 16);
                ScaleSearch.SquareWeights(part, weights);
                int scale = ScaleSearch.RefineScale(part, weights, 32, d, ScaleSearch.SymmetricCode(scales[i], unit, 128), 128);
                block[192 + i] = (byte)(sbyte)scale;
                for (int e = 16 * i; e < 16 * i + 16; e++)
                {
                    int code = ScaleSearch.SymmetricCode(x[e], d * scale, 32) + 32;
                    int half = e / 128;
                    int quarter = e % 128 / 32;
                    block[64 * half + 32 * (quarter & 1) + e % 32] |= (byte)((code & 15) << (quarter < 2 ? 0 : 4));
                    block[128 + 32 * half + e % 32] |= (byte)((code >> 4) << (2 * quarter));
                }
            }
        }
    }
}
