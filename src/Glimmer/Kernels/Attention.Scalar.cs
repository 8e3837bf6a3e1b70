using System.Numerics;

namespace Glimmer.Kernels;

/// <content>The definition of every number, generic over the number type: the float instance is the oracle of the fast forms bit for bit.</content>
internal static unsafe partial class Attention
{
    /// <summary>Forward pass of one sequence, dense (<paramref name="positions"/> null) or over chosen keys.</summary>
    /// <param name="shape">Sizes.</param>
    /// <param name="tokens">Tokens T.</param>
    /// <param name="firstPosition">Position of the first token.</param>
    /// <param name="pages">Page table of the sequence.</param>
    /// <param name="positions">Chosen key positions, ascending, [T, stride]; null for all keys 0..p.</param>
    /// <param name="stride">Row length of <paramref name="positions"/>.</param>
    /// <param name="counts">Number of chosen keys, [T].</param>
    /// <param name="q">Queries, [T, H, KeyDim].</param>
    /// <param name="output">Output, [T, H, ValueDim].</param>
    /// <param name="lse">Log-sum-exp of the scores, [T, H], or null.</param>
    public static void ForwardScalar<T>(
        in AttentionShape shape, int tokens, int firstPosition, T** pages, int* positions, int stride, int* counts, T* q, T* output, T* lse)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        KeyValueLayout layout = shape.Layout;
        var scores = new T[Span];
        var o = new T[shape.ValueDim];
        T scale = T.CreateTruncating(shape.Scale);
        for (int t = 0; t < tokens; t++)
        {
            int keys = positions == null ? firstPosition + t + 1 : counts[t];
            for (int h = 0; h < shape.Heads; h++)
            {
                int kvHead = h / shape.Group;
                T* query = q + ((long)t * shape.Heads + h) * shape.KeyDim;
                T* result = output + ((long)t * shape.Heads + h) * shape.ValueDim;
                T maximum = T.Zero, sum = T.Zero;
                for (int start = 0; start < keys; start += Span)
                {
                    int length = Math.Min(Span, keys - start);
                    T m = T.NegativeInfinity;
                    for (int i = 0; i < length; i++)
                    {
                        int key = positions == null ? start + i : positions[(long)t * stride + start + i];
                        T* lane = layout.KeyLane(pages[key / KeyValueLayout.PagePositions], kvHead, key % KeyValueLayout.PagePositions);
                        T score = T.Zero;
                        for (int d = 0; d < shape.KeyDim; d++)
                            score = T.FusedMultiplyAdd(query[d], lane[d * layout.KeyStride], score);
                        scores[i] = score * scale;
                        m = T.Max(m, scores[i]);
                    }

                    Array.Clear(o);
                    for (int i = 0; i < length; i++)
                    {
                        scores[i] = VectorMath.Exp(scores[i] - m);
                        int key = positions == null ? start + i : positions[(long)t * stride + start + i];
                        T* value = layout.ValueRow(pages[key / KeyValueLayout.PagePositions], kvHead, key % KeyValueLayout.PagePositions);
                        for (int d = 0; d < shape.ValueDim; d++)
                            o[d] = T.FusedMultiplyAdd(scores[i], value[d], o[d]);
                    }

                    T l = LaneSum.OfScalar<T>(scores.AsSpan(0, length));
                    if (start == 0)
                    {
                        (maximum, sum) = (m, l);
                        o.CopyTo(new Span<T>(result, shape.ValueDim));
                        continue;
                    }

                    T merged = T.Max(maximum, m);
                    T a = VectorMath.Exp(maximum - merged), b = VectorMath.Exp(m - merged);
                    sum = T.FusedMultiplyAdd(l, b, sum * a);
                    for (int d = 0; d < shape.ValueDim; d++)
                        result[d] = T.FusedMultiplyAdd(o[d], b, result[d] * a);
                    maximum = merged;
                }

                T inverse = T.One / sum;
                for (int d = 0; d < shape.ValueDim; d++)
                    result[d] *= inverse;
                if (lse != null)
                    lse[(long)t * shape.Heads + h] = maximum + VectorMath.Log(sum);
            }
        }
    }

    /// <summary>Backward pass of one document whose positions start at 0, dense (<paramref name="positions"/> null) or over chosen keys.</summary>
    /// <remarks>
    /// <c>D = out . dout</c> (rule 3); <c>P = exp(s - lse)</c> with s as in the forward pass; <c>dP = dout . v</c> (chain);
    /// <c>dS = P * (dP - D)</c>; dq chains over the keys ascending, dk and dv over (query, head of the group); dq and dk are multiplied by the
    /// scale at the end.
    /// </remarks>
    /// <param name="shape">Sizes.</param>
    /// <param name="tokens">Tokens T.</param>
    /// <param name="positions">Chosen key positions, ascending, [T, stride]; null for all keys 0..t.</param>
    /// <param name="stride">Row length of <paramref name="positions"/>.</param>
    /// <param name="counts">Number of chosen keys, [T].</param>
    /// <param name="q">Queries, [T, H, KeyDim].</param>
    /// <param name="k">Keys, [T, Hkv, KeyDim].</param>
    /// <param name="v">Values, [T, Hkv, ValueDim].</param>
    /// <param name="output">Output of the forward pass, [T, H, ValueDim].</param>
    /// <param name="lse">Log-sum-exp of the forward pass, [T, H].</param>
    /// <param name="dout">Gradient of the output, [T, H, ValueDim].</param>
    /// <param name="dq">Gradient of q, overwritten.</param>
    /// <param name="dk">Gradient of k, overwritten.</param>
    /// <param name="dv">Gradient of v, overwritten.</param>
    public static void BackwardScalar<T>(
        in AttentionShape shape, int tokens, int* positions, int stride, int* counts, T* q, T* k, T* v, T* output, T* lse, T* dout, T* dq, T* dk, T* dv)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        int keyDim = shape.KeyDim, valueDim = shape.ValueDim;
        T scale = T.CreateTruncating(shape.Scale);
        new Span<T>(dq, tokens * shape.Heads * keyDim).Clear();
        new Span<T>(dk, tokens * shape.KvHeads * keyDim).Clear();
        new Span<T>(dv, tokens * shape.KvHeads * valueDim).Clear();
        for (int t = 0; t < tokens; t++)
        {
            int keys = positions == null ? t + 1 : counts[t];
            for (int h = 0; h < shape.Heads; h++)
            {
                long row = (long)t * shape.Heads + h;
                T* query = q + row * keyDim;
                T* gradient = dout + row * valueDim;
                T delta = LaneSum.OfProductsScalar(output + row * valueDim, gradient, valueDim);
                for (int i = 0; i < keys; i++)
                {
                    int key = positions == null ? i : positions[(long)t * stride + i];
                    long keyRow = (long)key * shape.KvHeads + h / shape.Group;
                    T* keyVector = k + keyRow * keyDim;
                    T* value = v + keyRow * valueDim;
                    T score = T.Zero, dp = T.Zero;
                    for (int d = 0; d < keyDim; d++)
                        score = T.FusedMultiplyAdd(query[d], keyVector[d], score);
                    for (int d = 0; d < valueDim; d++)
                        dp = T.FusedMultiplyAdd(gradient[d], value[d], dp);
                    T p = VectorMath.Exp(score * scale - lse[row]);
                    T ds = p * (dp - delta);
                    for (int d = 0; d < keyDim; d++)
                    {
                        dq[row * keyDim + d] = T.FusedMultiplyAdd(ds, keyVector[d], dq[row * keyDim + d]);
                        dk[keyRow * keyDim + d] = T.FusedMultiplyAdd(ds, query[d], dk[keyRow * keyDim + d]);
                    }

                    for (int d = 0; d < valueDim; d++)
                        dv[keyRow * valueDim + d] = T.FusedMultiplyAdd(p, gradient[d], dv[keyRow * valueDim + d]);
                }
            }
        }

        for (long i = 0; i < (long)tokens * shape.Heads * keyDim; i++)
            dq[i] *= scale;
        for (long i = 0; i < (long)tokens * shape.KvHeads * keyDim; i++)
            dk[i] *= scale;
    }
}
