namespace Glimmer.Quantization;

/// <summary>The 12 bytes of Q4_K and Q5_K that hold a 6-bit scale and a 6-bit minimum for each of 8 sub-blocks.</summary>
/// <remarks>
/// Sub-blocks 0..3 lie in the low six bits of bytes 0..3 (scales) and 4..7 (minima); 4..7 have their low nibbles in bytes 8..11 and their high two bits above
/// the others.
/// </remarks>
internal static class SuperBlockScales
{
    /// <summary>Scale and minimum of sub-block j.</summary>
    public static (int Scale, int Minimum) Read(ReadOnlySpan<byte> packed, int j) => j < 4
        ? (packed[j] & 63, packed[j + 4] & 63)
        : ((packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4, (packed[j + 4] >> 4) | (packed[j] >> 6) << 4);

    /// <summary>Stores scale and minimum of sub-block j; the bytes start as zero and j ascends.</summary>
    public static void Write(Span<byte> packed, int j, int scale, int minimum)
    {
        if (j < 4)
        {
            packed[j] |= (byte)scale;
            packed[j + 4] |= (byte)minimum;
        }
        else
        {
            packed[j + 4] = (byte)((scale & 15) | (minimum & 15) << 4);
            packed[j - 4] |= (byte)((scale >> 4) << 6);
            packed[j] |= (byte)((minimum >> 4) << 6);
        }
    }

    /// <summary>
    /// Fits the 8 sub-blocks of 32 values for codes 0..top, stores d @0, dmin @2 and the packed scales @4 of the block, and gives the codes for the scales as a
    /// reader will see them.
    /// </summary>
    public static void Quantize(ReadOnlySpan<float> x, int top, Span<byte> block, Span<byte> codes)
    {
        Span<float> scales = stackalloc float[8];
        Span<float> minima = stackalloc float[8];
        Span<float> weights = stackalloc float[32];
        float maxScale = 0;
        float maxMinimum = 0;
        for (int j = 0; j < 8; j++)
        {
            ReadOnlySpan<float> part = x.Slice(32 * j, 32);
            ScaleSearch.MagnitudeWeights(part, weights);
            (scales[j], minima[j]) = ScaleSearch.FitAffine(part, weights, top);
            maxScale = MathF.Max(maxScale, scales[j]);
            maxMinimum = MathF.Max(maxMinimum, minima[j]);
        }

        float d = Float16.Write(block, 0, maxScale / 63);
        float dmin = Float16.Write(block, 2, maxMinimum / 63);
        Span<byte> packed = block.Slice(4, 12);
        packed.Clear();
        for (int j = 0; j < 8; j++)
        {
            ReadOnlySpan<float> part = x.Slice(32 * j, 32);
            ScaleSearch.MagnitudeWeights(part, weights);
            (int, int) rounded = (ScaleSearch.AffineCode(scales[j], maxScale / 63, 0, 63), ScaleSearch.AffineCode(minima[j], maxMinimum / 63, 0, 63));
            (int scale, int minimum) = ScaleSearch.RefineAffine(part, weights, top, d, dmin, rounded, 63);
            Write(packed, j, scale, minimum);
            for (int i = 0; i < 32; i++)
                codes[32 * j + i] = (byte)ScaleSearch.AffineCode(part[i], d * scale, dmin * minimum, top);
        }
    }
}
