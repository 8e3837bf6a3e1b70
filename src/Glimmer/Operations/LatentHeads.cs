using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>The three ends of absorbed MLA attention: queries into latent space, the shared key, and values out of latent space.</summary>
/// <remarks>
/// n = unrotated width, p = rotated width, r = latent width, v = value width, H heads. Score of absorbed forms: <c>(q W_UK) . c + q_rope . k_rope</c>, equal to the
/// expanded <c>q . [W_UK c ; k_rope]</c> up to rounding. DeepSeek-V2 (arXiv 2405.04434), section 2.1 and appendix.
/// </remarks>
internal static unsafe class LatentHeads
{
    /// <summary><c>Q[t,h] = [q_nope W_UK_h ; rotate(q_rope)]</c>.</summary>
    /// <param name="c">Context.</param>
    /// <param name="q">Projected queries, [T, H * (n + p)].</param>
    /// <param name="projection"><c>kv_b_proj</c>.</param>
    /// <param name="heads">H.</param>
    /// <param name="nopeDim">n.</param>
    /// <param name="rope">Rotation of the last p dimensions.</param>
    /// <param name="positions">Position of each token.</param>
    /// <returns>[T, H * (r + p)].</returns>
    public static Tensor Query(Compute c, Tensor q, LatentProjection projection, int heads, int nopeDim, Rotation rope, Tensor positions)
    {
        (int tokens, int headIn, int rank) = (q.Shape[0], q.Shape[1] / heads, projection.Rank);
        int ropeDim = headIn - nopeDim;
        int headOut = rank + ropeDim;
        Tensor y = c.Workspace.F32(tokens, heads * headOut);
        projection.AbsorbKeys(c, q.F32Pointer, headIn, tokens, y.F32Pointer, headOut);
        CopyColumns(q.F32Pointer + nopeDim, headIn, y.F32Pointer + rank, headOut, tokens * heads, ropeDim);
        rope.Apply(c, positions, y.F32Pointer + rank, heads * headOut, heads, headOut);
        c.Tape?.Record(new QueryEntry(c, q, projection, heads, nopeDim, rope, positions, y));
        return y;
    }

    /// <summary><c>key[t] = [RMSNorm(a[t, :r]) ; rotate(a[t, r:])]</c>: what the cache stores, one head for all queries.</summary>
    /// <param name="c">Context.</param>
    /// <param name="a">Output of <c>kv_a_proj_with_mqa</c>, [T, r + p].</param>
    /// <param name="norm"><c>kv_a_layernorm</c>, [r].</param>
    /// <param name="eps">Added to the mean square.</param>
    /// <param name="rope">Rotation of the last p dimensions.</param>
    /// <param name="positions">Position of each token.</param>
    /// <returns>[T, r + p].</returns>
    public static Tensor Key(Compute c, Tensor a, Parameter norm, float eps, Rotation rope, Tensor positions)
    {
        (int tokens, int width, int rank) = (a.Shape[0], a.Shape[1], norm.Shape[0]);
        Tensor key = c.Workspace.F32(tokens, width);
        Tensor? inverse = c.Tape is null ? null : c.Workspace.F32(tokens);
        RmsNorm.Forward(c.Team, a.F32Pointer, width, norm.Vector, eps, tokens, rank, key.F32Pointer, width, inverse is null ? null : inverse.F32Pointer);
        CopyColumns(a.F32Pointer + rank, width, key.F32Pointer + rank, width, tokens, width - rank);
        rope.Apply(c, positions, key.F32Pointer + rank, width, 1, width);
        c.Tape?.Record(new KeyEntry(c, a, norm, inverse!, rope, positions, key));
        return key;
    }

    /// <summary><c>out[t,h] = W_UV_h ctx[t,h]</c>.</summary>
    /// <param name="c">Context.</param>
    /// <param name="context">Attention over latents, [T, H * r].</param>
    /// <param name="projection"><c>kv_b_proj</c>.</param>
    /// <param name="heads">H.</param>
    /// <param name="valueDim">v.</param>
    /// <returns>[T, H * v].</returns>
    public static Tensor Value(Compute c, Tensor context, LatentProjection projection, int heads, int valueDim)
    {
        int tokens = context.Shape[0];
        Tensor y = c.Workspace.F32(tokens, heads * valueDim);
        projection.ProjectValues(c, context.F32Pointer, projection.Rank, tokens, y.F32Pointer, valueDim);
        c.Tape?.Record(new ValueEntry(c, context, projection, valueDim, y));
        return y;
    }

    private static void CopyColumns(float* source, int sourceStride, float* target, int targetStride, int rows, int columns)
    {
        for (int i = 0; i < rows; i++)
            new ReadOnlySpan<float>(source + (long)i * sourceStride, columns).CopyTo(new Span<float>(target + (long)i * targetStride, columns));
    }

    private sealed class QueryEntry(Compute c, Tensor q, LatentProjection projection, int heads, int nopeDim, Rotation rope, Tensor positions, Tensor y) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            (int tokens, int headIn, int rank) = (q.Shape[0], q.Shape[1] / heads, projection.Rank);
            int ropeDim = headIn - nopeDim;
            int headOut = rank + ropeDim;
            Tensor dq = c.Workspace.F32(q.Shape);
            rope.Apply(c, positions, dy.F32Pointer + rank, heads * headOut, heads, headOut, inverse: true);
            CopyColumns(dy.F32Pointer + rank, headOut, dq.F32Pointer + nopeDim, headIn, tokens * heads, ropeDim);
            projection.AbsorbKeysBackward(c, q.F32Pointer, headIn, tokens, dy.F32Pointer, headOut, dq.F32Pointer, headIn);
            c.AddGradient(q, dq);
        }
    }

    private sealed class KeyEntry(Compute c, Tensor a, Parameter norm, Tensor inverse, Rotation rope, Tensor positions, Tensor key) : TapeEntry
    {
        public override void Backward()
        {
            if (key.Gradient is not { } dkey)
                return;
            (int tokens, int width, int rank) = (a.Shape[0], a.Shape[1], norm.Shape[0]);
            Tensor da = c.Workspace.F32(a.Shape);
            rope.Apply(c, positions, dkey.F32Pointer + rank, width, 1, width, inverse: true);
            CopyColumns(dkey.F32Pointer + rank, width, da.F32Pointer + rank, width, tokens, width - rank);
            RmsNorm.Backward(c.Team, dkey.F32Pointer, width, a.F32Pointer, width, norm.Vector, inverse.F32Pointer, tokens, rank, da.F32Pointer, width);
            if (norm.Gradient is { } dnorm)
                RmsNorm.GainGradient(c.Team, dkey.F32Pointer, width, a.F32Pointer, width, inverse.F32Pointer, tokens, rank, dnorm.F32Pointer, GradientMode.AddTo);
            c.AddGradient(a, da);
        }
    }

    private sealed class ValueEntry(Compute c, Tensor context, LatentProjection projection, int valueDim, Tensor y) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            int rank = projection.Rank;
            Tensor dcontext = c.Workspace.F32(context.Shape);
            projection.ProjectValuesBackward(c, context.F32Pointer, rank, context.Shape[0], dy.F32Pointer, valueDim, dcontext.F32Pointer, rank);
            c.AddGradient(context, dcontext);
        }
    }
}
