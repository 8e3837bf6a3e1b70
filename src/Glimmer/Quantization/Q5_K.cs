namespace Glimmer.Quantization;

/// <summary>
/// Q5_K: 256 elements in 176 bytes. d half @0, dmin half @2, scales[12] @4 (<see cref="SuperBlockScales"/>), qh[32] @16, qs[128] @48;
/// <c>y = (d * scale) * q - (dmin * minimum)</c>; nibbles as in Q4_K, the fifth bit of element l of sub-block j is bit j of qh[l].
/// </summary>
/// <remarks>ggml block_q5_K.</remarks>
internal static class Q5_K
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 256;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 176;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            Span<float> y = values.Slice(b * Elements, Elements);
            float d = Float16.Read(block, 0);
            float dmin = Float16.Read(block, 2);
            ReadOnlySpan<byte> high = block.Slice(16, 32);
            for (int j = 0; j < 8; j++)
            {
                (int scale, int minimum) = SuperBlockScales.Read(block.Slice(4, 12), j);
                float s = d * scale;
                float m = dmin * minimum;
                ReadOnlySpan<byte> codes = block.Slice(48 + 32 * (j / 2), 32);
                Span<float> part = y.Slice(32 * j, 32);
                int shift = 4 * (j & 1);
                for (int l = 0; l < part.Length; l++)
                    part[l] = s * (((codes[l] >> shift) & 15) | ((high[l] >> j) & 1) << 4) - m;
            }
        }
    }

    /// <summary>fp32 to blocks by a weighted search of scales and minima.</summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<byte> codes = stackalloc byte[Elements];
        for (int b = 0; b * Elements < values.Length; b++)
        {
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            SuperBlockScales.Quantize(values.Slice(b * Elements, Elements), 31, block, codes);
            block.Slice(16, 32).Clear();
            for (int i = 0; i < 128; i++)
            {
                int low = 64 * (i / 32) + i % 32;
                block[48 + i] = (byte)((codes[low] & 15) | (codes[low + 32] & 15) << 4);
            }

            for (int i = 0; i < Elements; i++)
                block[16 + i % 32] |= (byte)((codes[i] >> 4) << (i / 32));
        }
    }
}
