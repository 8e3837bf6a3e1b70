namespace Glimmer.Quantization;

/// <summary>
/// TQ1_0: 256 ternary elements in 54 bytes. qs[48] @0 and qh[4] @48 hold five or four base-3 digits a byte, d half @52; <c>y = d * (trit - 1)</c>.
/// </summary>
/// <remarks>
/// ggml block_tq1_0. Digit t of a byte x is <c>((x * 3^t mod 256) * 3) >> 8</c>: the byte is the base-3 fraction scaled to 256, rounded up. Elements 32t+m come
/// from qs[m] (m &lt; 32, t &lt; 5), 160+16t+m from qs[32+m] (m &lt; 16, t &lt; 5), 240+4t+m from qh[m] (m &lt; 4, t &lt; 4).
/// </remarks>
internal static class TQ1_0
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 256;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 54;

    private static ReadOnlySpan<byte> Powers => [1, 3, 9, 27, 81];

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            Span<float> y = values.Slice(b * Elements, Elements);
            float d = Float16.Read(block, 52);
            Unpack(block[..32], 5, d, y);
            Unpack(block[32..48], 5, d, y[160..]);
            Unpack(block[48..52], 4, d, y[240..]);
        }
    }

    /// <summary>fp32 to blocks: d = max|x|, trits by rounding x / d (ggml quantize_row_tq1_0_ref).</summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<float> x = values.Slice(b * Elements, Elements);
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            float d = MathF.Abs(BlockExtremes.Largest(x));
            float inverse = d != 0 ? 1 / d : 0;
            Float16.Write(block, 52, d);
            Pack(x, inverse, 5, block[..32]);
            Pack(x[160..], inverse, 5, block[32..48]);
            Pack(x[240..], inverse, 4, block[48..52]);
        }
    }

    private static void Unpack(ReadOnlySpan<byte> bytes, int digits, float d, Span<float> y)
    {
        for (int t = 0; t < digits; t++)
        {
            for (int m = 0; m < bytes.Length; m++)
            {
                int trit = ((byte)(bytes[m] * Powers[t]) * 3) >> 8;
                y[t * bytes.Length + m] = d * (trit - 1);
            }
        }
    }

    private static void Pack(ReadOnlySpan<float> x, float inverse, int digits, Span<byte> bytes)
    {
        for (int m = 0; m < bytes.Length; m++)
        {
            int number = 0;
            for (int t = 0; t < digits; t++)
                number = 3 * number + (int)MathF.Round(x[t * bytes.Length + m] * inverse, MidpointRounding.AwayFromZero) + 1;
            for (int t = digits; t < 5; t++)
                number *= 3;
            bytes[m] = (byte)((number * 256 + 242) / 243);
        }
    }
}
