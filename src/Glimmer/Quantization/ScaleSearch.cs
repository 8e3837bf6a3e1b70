namespace Glimmer.Quantization;

/// <summary>Finds the scale (and minimum) of a sub-block by weighted least squares over rounded candidates.</summary>
/// <remarks>
/// For each of about twenty starting scales the values are rounded to codes, the best scale for those codes follows in closed form, and the candidate with the
/// smallest weighted error wins. The idea is ggml's make_qkx2_quants and make_qx_quants; sums here run in fp64.
/// </remarks>
internal static class ScaleSearch
{
    /// <summary>Largest sub-block.</summary>
    private const int MaxElements = 32;

    private const int Candidates = 23;

    // A later candidate must be better by more than rounding noise, so that ties stay with the plain scale.
    private const double Strictly = 1 + 1e-9;

    /// <summary>Minimises <c>sum w (scale * q - minimum - x)^2</c> over scale >= 0, minimum >= 0 and codes q in 0..top.</summary>
    public static (float Scale, float Minimum) FitAffine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int top)
    {
        (float min, float max) = BlockExtremes.Range(x);
        min = MathF.Min(min, 0);
        if (max <= min)
            return (0, -min);
        Span<float> codes = stackalloc float[MaxElements];
        (float bestScale, float bestMinimum, double bestError) = (0, 0, double.PositiveInfinity);
        for (int candidate = 0; candidate < Candidates; candidate++)
        {
            float inverse = (top + Step(candidate)) / (max - min);
            double w = 0, wl = 0, wll = 0, wx = 0, wxl = 0;
            for (int i = 0; i < x.Length; i++)
            {
                float code = Math.Clamp(MathF.Round(inverse * (x[i] - min)), 0, top);
                codes[i] = code;
                w += weights[i];
                wl += (double)weights[i] * code;
                wll += (double)weights[i] * code * code;
                wx += (double)weights[i] * x[i];
                wxl += (double)weights[i] * x[i] * code;
            }

            double determinant = w * wll - wl * wl;
            if (!(determinant > 0))
                continue;
            double scale = (w * wxl - wx * wl) / determinant;
            double offset = (wll * wx - wl * wxl) / determinant;
            if (offset > 0)
                (scale, offset) = (wxl / wll, 0);
            double error = 0;
            for (int i = 0; i < x.Length; i++)
            {
                double difference = scale * codes[i] + offset - x[i];
                error += weights[i] * difference * difference;
            }

            if (error * Strictly < bestError && scale > 0)
                (bestScale, bestMinimum, bestError) = ((float)scale, (float)-offset, error);
        }

        return bestError < double.PositiveInfinity ? (bestScale, bestMinimum) : ((max - min) / top, -min);
    }

    /// <summary>Minimises <c>sum w (scale * q - x)^2</c> over any scale and codes q in -half..half-1.</summary>
    public static float FitSymmetric(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int half)
    {
        float largest = BlockExtremes.Largest(x);
        if (largest == 0)
            return 0;
        (double bestScale, double bestGain) = (0, 0);
        for (int candidate = 0; candidate < Candidates; candidate++)
        {
            float inverse = -(half + Step(candidate)) / largest;
            double wll = 0, wxl = 0;
            for (int i = 0; i < x.Length; i++)
            {
                float code = Math.Clamp(MathF.Round(inverse * x[i]), -half, half - 1);
                wll += (double)weights[i] * code * code;
                wxl += (double)weights[i] * x[i] * code;
            }

            // The error is sum w x^2 - wxl^2 / wll.
            if (wll > 0 && wxl * wxl > bestGain * Strictly * wll)
                (bestScale, bestGain) = (wxl / wll, wxl * wxl / wll);
        }

        return bestGain > 0 ? (float)bestScale : -largest / half;
    }

    /// <summary>
    /// The integer scale around <paramref name="start"/> that gives the smallest weighted error when codes -half..half-1 stand for <c>unit * scale * q</c>: rounding the scale alone is
    /// not the best choice, because the codes move too.
    /// </summary>
    public static int RefineScale(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int half, float unit, int start, int scaleHalf)
    {
        (int best, double smallest) = (start, double.PositiveInfinity);
        for (int scale = Math.Max(start - 2, -scaleHalf); scale <= Math.Min(start + 2, scaleHalf - 1); scale++)
        {
            double error = 0;
            for (int i = 0; i < x.Length; i++)
            {
                double difference = (double)(unit * scale) * SymmetricCode(x[i], unit * scale, half) - x[i];
                error += weights[i] * difference * difference;
            }

            if (error < smallest)
                (best, smallest) = (scale, error);
        }

        return best;
    }

    /// <summary>As <see cref="RefineScale"/> for codes 0..top that stand for <c>d * scale * q - dmin * minimum</c>.</summary>
    public static (int Scale, int Minimum) RefineAffine(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int top, float d, float dmin, (int Scale, int Minimum) start, int largest)
    {
        ((int Scale, int Minimum) best, double smallest) = (start, double.PositiveInfinity);
        // Larger scales use fewer codes, which can fit a block of few distinct values better.
        for (int scale = Math.Max(start.Scale - 2, 0); scale <= Math.Min(start.Scale + 2 + start.Scale / 4, largest); scale++)
            Try(x, weights, scale, start.Minimum, ref best, ref smallest);
        if (start.Minimum > 0)
            Try(x, weights, best.Scale, start.Minimum - 1, ref best, ref smallest);
        if (start.Minimum < largest)
            Try(x, weights, best.Scale, start.Minimum + 1, ref best, ref smallest);
        return best;

        void Try(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int scale, int minimum, ref (int Scale, int Minimum) best, ref double smallest)
        {
            double error = 0;
            for (int i = 0; i < x.Length; i++)
            {
                double difference = (double)(d * scale) * AffineCode(x[i], d * scale, dmin * minimum, top) - (double)(dmin * minimum) - x[i];
                error += weights[i] * difference * difference;
            }

            if (error < smallest)
                (best, smallest) = ((scale, minimum), error);
        }
    }

    /// <summary>Weights of an affine fit: <c>rms(x) + |x|</c>, so that large values count more but none is free.</summary>
    public static void MagnitudeWeights(ReadOnlySpan<float> x, Span<float> weights)
    {
        double squares = 0;
        foreach (float value in x)
            squares += (double)value * value;
        float rms = (float)Math.Sqrt(squares / x.Length);
        for (int i = 0; i < x.Length; i++)
            weights[i] = rms + MathF.Abs(x[i]);
    }

    /// <summary>Weights of a symmetric fit: <c>x^2</c>.</summary>
    public static void SquareWeights(ReadOnlySpan<float> x, Span<float> weights)
    {
        for (int i = 0; i < x.Length; i++)
            weights[i] = x[i] * x[i];
    }

    /// <summary>The code of x on the grid <c>scale * q - minimum</c>, q in 0..top; 0 when the scale is 0.</summary>
    public static int AffineCode(float x, float scale, float minimum, int top) =>
        scale == 0 ? 0 : (int)Math.Clamp(MathF.Round((x + minimum) / scale), 0, top);

    /// <summary>The code of x on the grid <c>scale * q</c>, q in -half..half-1; 0 when the scale is 0.</summary>
    public static int SymmetricCode(float x, float scale, int half) =>
        scale == 0 ? 0 : (int)Math.Clamp(MathF.Round(x / scale), -half, half - 1);

    // 0, -0.1, 0.1, -0.2, ... 1.1: the plain scale first.
    private static float Step(int candidate) => 0.1f * ((candidate & 1) == 0 ? candidate / 2 : -(candidate + 1) / 2);
}
