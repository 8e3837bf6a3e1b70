namespace Glimmer.Inference;

/// <summary>
/// Verifies drafted tokens against target distributions without changing the distribution of the output, for drafts that were sampled from known distributions. The engine itself
/// draws with keyed noise (<see cref="Sampler"/>) and keeps a draft when it is the token drawn, which changes no token at all; this is the rule of engines that do not.
/// </summary>
/// <remarks>Leviathan et al. 2023, "Fast inference from transformers via speculative decoding", algorithm 1: accept x with probability min(1, p(x) / q(x)), else draw from max(p - q, 0) normalised.</remarks>
public static class DraftVerifier
{
    /// <summary>Verifies one draft.</summary>
    /// <param name="target">Distribution of the model, p, [V].</param>
    /// <param name="draft">Distribution that the draft was drawn from, q, [V]; empty when it was not drawn: q is then 1 for the draft and 0 for all others.</param>
    /// <param name="token">The draft.</param>
    /// <param name="uniform">A uniform number in [0, 1).</param>
    /// <returns>Whether it is kept: <c>q > 0</c> and <c>p / q >= uniform</c>.</returns>
    public static bool Accepts(ReadOnlySpan<float> target, ReadOnlySpan<float> draft, int token, double uniform)
    {
        float q = draft.IsEmpty ? 1 : draft[token];
        return q > 0 && target[token] / q >= uniform;
    }

    /// <summary>Draws the token that takes the place of a draft that was not kept: from <c>max(p - q, 0)</c> normalised.</summary>
    /// <param name="target">p, [V].</param>
    /// <param name="draft">q, [V]; empty for a draft that was not drawn.</param>
    /// <param name="token">The draft.</param>
    /// <param name="noise">Reciprocals of exponential numbers, [V]: the largest product wins, which is a draw in proportion to the weights.</param>
    public static int Recover(ReadOnlySpan<float> target, ReadOnlySpan<float> draft, int token, ReadOnlySpan<float> noise)
    {
        int best = 0;
        float largest = float.NegativeInfinity;
        for (int i = 0; i < target.Length; i++)
        {
            float value = Rest(target, draft, token, i) * noise[i];
            if (value > largest)
                (largest, best) = (value, i);
        }

        return best;
    }

    /// <summary>Draws from <c>max(p - q, 0)</c> by the inverse of its running sum; from p itself when <paramref name="draft"/> is empty and <paramref name="token"/> is negative.</summary>
    /// <param name="target">p, [V].</param>
    /// <param name="draft">q, [V], or empty.</param>
    /// <param name="token">The draft, or -1 when all drafts were kept.</param>
    /// <param name="uniform">A uniform number in [0, 1).</param>
    /// <returns>The first id whose running sum is above <c>uniform * total</c>.</returns>
    public static int RecoverByInverse(ReadOnlySpan<float> target, ReadOnlySpan<float> draft, int token, float uniform)
    {
        float total = 0;
        for (int i = 0; i < target.Length; i++)
            total += Rest(target, draft, token, i);
        float sum = 0;
        int last = target.Length - 1;
        for (int i = 0; i < target.Length; i++)
        {
            float rest = Rest(target, draft, token, i);
            sum += rest;
            if (sum > uniform * total)
                return i;
            if (rest > 0)
                last = i;
        }

        return last;
    }

    private static float Rest(ReadOnlySpan<float> target, ReadOnlySpan<float> draft, int token, int i)
    {
        float q = !draft.IsEmpty ? draft[i] : i == token ? 1 : 0;
        return Math.Max(target[i] - q, 0);
    }
}
