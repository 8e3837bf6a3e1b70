using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>The softmax of one span of scores, and how two spans merge (rule 5 of docs/adr/0001-order-of-arithmetic.md).</summary>
internal static unsafe class SpanSoftmax<I, V>
    where I : struct, IVectorIsa<V>
    where V : struct
{
    private const int SumLanes = 32;

    /// <summary>Turns products into <c>p = exp(product * scale - m)</c>; returns m, the largest scaled score, and l, the rule-3 sum of p.</summary>
    /// <param name="scores">Products of a row; memory up to the next multiple of 32 is overwritten.</param>
    /// <param name="count">Number of scores, at least 1.</param>
    /// <param name="scale">Scale of the scores, one rounding.</param>
    /// <param name="sum">Receives l.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static float Run(float* scores, int count, float scale, out float sum)
    {
        V factor = I.Broadcast(scale);
        V largest = I.Broadcast(float.NegativeInfinity);
        int whole = count / I.Lanes * I.Lanes;
        for (int i = 0; i < whole; i += I.Lanes)
        {
            V s = I.Multiply(I.Load(scores + i), factor);
            I.Store(s, scores + i);
            largest = I.Max(largest, s);
        }

        float m = I.LargestLane(largest);
        for (int i = whole; i < count; i++)
        {
            scores[i] *= scale;
            if (!(scores[i] <= m))
                m = scores[i];
        }

        float* lanes = stackalloc float[SumLanes];
        V maximum = I.Broadcast(m);
        V l0 = I.Zero, l1 = I.Zero, l2 = I.Zero, l3 = I.Zero, l4 = I.Zero, l5 = I.Zero, l6 = I.Zero, l7 = I.Zero;
        int at = 0;
        for (; at + SumLanes <= count; at += SumLanes)
        {
            l0 = I.Add(l0, Weight(scores + at, maximum));
            l1 = I.Add(l1, Weight(scores + at + I.Lanes, maximum));
            if (I.Lanes <= 8)
            {
                l2 = I.Add(l2, Weight(scores + at + 2 * I.Lanes, maximum));
                l3 = I.Add(l3, Weight(scores + at + 3 * I.Lanes, maximum));
            }

            if (I.Lanes <= 4)
            {
                l4 = I.Add(l4, Weight(scores + at + 4 * I.Lanes, maximum));
                l5 = I.Add(l5, Weight(scores + at + 5 * I.Lanes, maximum));
                l6 = I.Add(l6, Weight(scores + at + 6 * I.Lanes, maximum));
                l7 = I.Add(l7, Weight(scores + at + 7 * I.Lanes, maximum));
            }
        }

        I.Store(l0, lanes);
        I.Store(l1, lanes + I.Lanes);
        if (I.Lanes <= 8)
        {
            I.Store(l2, lanes + 2 * I.Lanes);
            I.Store(l3, lanes + 3 * I.Lanes);
        }

        if (I.Lanes <= 4)
        {
            I.Store(l4, lanes + 4 * I.Lanes);
            I.Store(l5, lanes + 5 * I.Lanes);
            I.Store(l6, lanes + 6 * I.Lanes);
            I.Store(l7, lanes + 7 * I.Lanes);
        }

        // The lanes of absent keys are computed and left out.
        for (int i = at; i < count; i += I.Lanes)
            _ = Weight(scores + i, maximum);
        for (int i = at; i < count; i++)
            lanes[i - at] += scores[i];
        sum = LaneSum.Tree(lanes);
        return m;
    }

    /// <summary>
    /// Merges a span (m, l, o) into the running (M, L, O): <c>a = exp(M - M')</c>, <c>b = exp(m - M')</c>, <c>L = fma(l, b, L a)</c>, <c>O = fma(o, b, O
    /// a)</c>.
    /// </summary>
    /// <param name="m">Maximum of the span.</param>
    /// <param name="l">Sum of the span.</param>
    /// <param name="o">Output of the span, [columns].</param>
    /// <param name="maximum">Running maximum M.</param>
    /// <param name="sum">Running sum L.</param>
    /// <param name="output">Running output O, [columns].</param>
    /// <param name="columns">Width of a value.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void Merge(float m, float l, float* o, ref float maximum, ref float sum, float* output, int columns)
    {
        float merged = MathF.Max(maximum, m);
        float a = VectorMath.Exp(maximum - merged), b = VectorMath.Exp(m - merged);
        maximum = merged;
        sum = MathF.FusedMultiplyAdd(l, b, sum * a);
        V aLanes = I.Broadcast(a), bLanes = I.Broadcast(b);
        int d = 0;
        for (; d + I.Lanes <= columns; d += I.Lanes)
            I.Store(I.Fma(I.Load(o + d), bLanes, I.Multiply(I.Load(output + d), aLanes)), output + d);
        for (; d < columns; d++)
            output[d] = MathF.FusedMultiplyAdd(o[d], b, output[d] * a);
    }

    /// <summary>Writes <c>O * (1 / L)</c> and, where wanted, <c>M + log(L)</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void Finish(float maximum, float sum, float* output, int columns, float* target, float* lse)
    {
        float inverse = 1f / sum;
        V factor = I.Broadcast(inverse);
        int d = 0;
        for (; d + I.Lanes <= columns; d += I.Lanes)
            I.Store(I.Multiply(I.Load(output + d), factor), target + d);
        for (; d < columns; d++)
            target[d] = output[d] * inverse;
        if (lse != null)
            *lse = maximum + VectorMath.Log(sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Weight(float* scores, V maximum)
    {
        V p = I.Exp(I.Subtract(I.Load(scores), maximum));
        I.Store(p, scores);
        return p;
    }
}
