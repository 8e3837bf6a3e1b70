using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>Finds the scale (and minimum) of a sub-block of 16 or 32 values by weighted least squares over rounded candidates.</summary>
/// <remarks>
/// For each of about twenty starting scales the values are rounded to codes, the best scale for those codes follows in closed form, and the candidate with
/// the smallest weighted error wins. The idea is ggml's make_qkx2_quants and make_qx_quants. Sums run in eight fp32 lanes that are added in a fixed tree,
/// without fused operations, so every processor finds the same codes.
/// </remarks>
internal static class ScaleSearch
{
    private const int Candidates = 23;

    // A later candidate must be better by more than rounding noise, so that ties stay with the plain scale.
    private const double Strictly = 1 + 1e-5;

    /// <summary>Minimises <c>sum w (scale * q - minimum - x)^2</c> over scale >= 0, minimum >= 0 and codes q in 0..top.</summary>
    public static (float Scale, float Minimum) FitAffine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int top)
    {
        (float min, float max) = BlockExtremes.Range(x);
        min = MathF.Min(min, 0);
        if (!(max > min))
            return (0, -min);
        ref float xs = ref MemoryMarshal.GetReference(x);
        ref float ws = ref MemoryMarshal.GetReference(weights);
        (double w, double wx, double wxx) = Moments(x, weights);
        (float bestScale, float bestMinimum, double bestError) = ((max - min) / top, -min, double.PositiveInfinity);
        Vector256<float> lowest = Vector256.Create(min);
        Vector256<float> highest = Vector256.Create((float)top);
        for (int candidate = 0; candidate < Candidates; candidate++)
        {
            Vector256<float> inverse = Vector256.Create((top + Step(candidate)) / (max - min));
            Vector256<float> sumL = default, sumLL = default, sumXL = default;
            for (nuint i = 0; i < (nuint)x.Length; i += 8)
            {
                Vector256<float> value = Vector256.LoadUnsafe(ref xs, i);
                Vector256<float> code = Vector256.Min(Vector256.Max(Vector256.Round(inverse * (value - lowest)), Vector256<float>.Zero), highest);
                Vector256<float> weighted = Vector256.LoadUnsafe(ref ws, i) * code;
                sumL += weighted;
                sumLL += weighted * code;
                sumXL += weighted * value;
            }

            (double wl, double wll, double wxl) = (Sum(sumL), Sum(sumLL), Sum(sumXL));
            double determinant = w * wll - wl * wl;
            if (!(determinant > 0))
                continue;
            double scale = (w * wxl - wx * wl) / determinant;
            double offset = (wll * wx - wl * wxl) / determinant;
            if (offset > 0)
                (scale, offset) = (wxl / wll, 0);

            // sum w (scale l + offset - x)^2, multiplied out.
            double error = scale * scale * wll + offset * offset * w + wxx + 2 * (scale * offset * wl - scale * wxl - offset * wx);
            if (scale > 0 && error < bestError - (Strictly - 1) * wxx)
                (bestScale, bestMinimum, bestError) = ((float)scale, (float)-offset, error);
        }

        return (bestScale, bestMinimum);
    }

    /// <summary>Minimises <c>sum w (scale * q - x)^2</c> over any scale and codes q in -half..half-1.</summary>
    public static float FitSymmetric(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int half)
    {
        float largest = BlockExtremes.Largest(x);
        if (largest == 0)
            return 0;
        ref float xs = ref MemoryMarshal.GetReference(x);
        ref float ws = ref MemoryMarshal.GetReference(weights);
        (double bestScale, double bestGain) = (-largest / half, 0);
        Vector256<float> lowest = Vector256.Create((float)-half);
        Vector256<float> highest = Vector256.Create((float)(half - 1));
        for (int candidate = 0; candidate < Candidates; candidate++)
        {
            Vector256<float> inverse = Vector256.Create(-(half + Step(candidate)) / largest);
            Vector256<float> sumLL = default, sumXL = default;
            for (nuint i = 0; i < (nuint)x.Length; i += 8)
            {
                Vector256<float> value = Vector256.LoadUnsafe(ref xs, i);
                Vector256<float> code = Vector256.Min(Vector256.Max(Vector256.Round(inverse * value), lowest), highest);
                Vector256<float> weighted = Vector256.LoadUnsafe(ref ws, i) * code;
                sumLL += weighted * code;
                sumXL += weighted * value;
            }

            // The error is sum w x^2 - wxl^2 / wll.
            (double wll, double wxl) = (Sum(sumLL), Sum(sumXL));
            if (wll > 0 && wxl * wxl > bestGain * Strictly * wll)
                (bestScale, bestGain) = (wxl / wll, wxl * wxl / wll);
        }

        return (float)bestScale;
    }

    /// <summary>
    /// The integer scale around <paramref name="start"/> that gives the smallest weighted error when codes -half..half-1 stand for <c>unit * scale * q</c>:
    /// rounding the scale alone is not the best choice, because the codes move too.
    /// </summary>
    public static int RefineScale(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int half, float unit, int start, int scaleHalf)
    {
        (int best, float smallest) = (start, float.PositiveInfinity);
        for (int scale = Math.Max(start - 2, -scaleHalf); scale <= Math.Min(start + 2, scaleHalf - 1); scale++)
        {
            float error = Error(x, weights, unit * scale, 0, -half, half - 1);
            if (error < smallest)
                (best, smallest) = (scale, error);
        }

        return best;
    }

    /// <summary>As <see cref="RefineScale"/> for codes 0..top that stand for <c>d * scale * q - dmin * minimum</c>.</summary>
    public static (int Scale, int Minimum) RefineAffine(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int top, float d, float dmin, (int Scale, int Minimum) start, int largest)
    {
        (int bestScale, int bestMinimum, float smallest) = (start.Scale, start.Minimum, float.PositiveInfinity);

        // Larger scales use fewer codes, which can fit a block of few distinct values better.
        for (int scale = Math.Max(start.Scale - 2, 0); scale <= Math.Min(start.Scale + 2 + start.Scale / 4, largest); scale++)
        {
            float error = Error(x, weights, d * scale, dmin * start.Minimum, 0, top);
            if (error < smallest)
                (bestScale, smallest) = (scale, error);
        }

        for (int minimum = Math.Max(start.Minimum - 1, 0); minimum <= Math.Min(start.Minimum + 1, largest); minimum++)
        {
            float error = Error(x, weights, d * bestScale, dmin * minimum, 0, top);
            if (error < smallest)
                (bestMinimum, smallest) = (minimum, error);
        }

        return (bestScale, bestMinimum);
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

    // sum w (scale q - minimum - x)^2 with the best codes q in low..high.
    private static float Error(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, float scale, float minimum, int low, int high)
    {
        ref float xs = ref MemoryMarshal.GetReference(x);
        ref float ws = ref MemoryMarshal.GetReference(weights);
        Vector256<float> s = Vector256.Create(scale);
        Vector256<float> inverse = Vector256.Create(scale == 0 ? 0 : 1 / scale);
        Vector256<float> m = Vector256.Create(minimum);
        Vector256<float> lowest = Vector256.Create((float)low);
        Vector256<float> highest = Vector256.Create((float)high);
        Vector256<float> sum = default;
        for (nuint i = 0; i < (nuint)x.Length; i += 8)
        {
            Vector256<float> shifted = Vector256.LoadUnsafe(ref xs, i) + m;
            Vector256<float> code = Vector256.Min(Vector256.Max(Vector256.Round(shifted * inverse), lowest), highest);
            Vector256<float> difference = s * code - shifted;
            sum += Vector256.LoadUnsafe(ref ws, i) * difference * difference;
        }

        return Sum(sum);
    }

    private static (double W, double WX, double WXX) Moments(ReadOnlySpan<float> x, ReadOnlySpan<float> weights)
    {
        double w = 0, wx = 0, wxx = 0;
        for (int i = 0; i < x.Length; i++)
        {
            w += weights[i];
            wx += (double)weights[i] * x[i];
            wxx += (double)weights[i] * x[i] * x[i];
        }

        return (w, wx, wxx);
    }

    // A fixed tree: 4, 2, 1.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Sum(Vector256<float> lanes)
    {
        Vector128<float> four = lanes.GetLower() + lanes.GetUpper();
        return four.GetElement(0) + four.GetElement(2) + (four.GetElement(1) + four.GetElement(3));
    }

    // 0, -0.1, 0.1, -0.2, ... 1.1: the plain scale first.
    private static float Step(int candidate) => 0.1f * ((candidate & 1) == 0 ? candidate / 2 : -(candidate + 1) / 2);
}
