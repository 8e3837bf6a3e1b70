namespace Glimmer.Kernels;

/// <summary>Sizes and options of a DSA indexer.</summary>
/// <param name="Heads">Index heads, Hi; <c>index_n_heads</c>.</param>
/// <param name="Dim">Width of an index head, Di; <c>index_head_dim</c>.</param>
/// <param name="TopK">Keys to choose; <c>index_topk</c>.</param>
/// <param name="Scale">Factor of each head's product, Di^-0.5.</param>
/// <param name="Relu">Whether negative products count as 0.</param>
internal readonly record struct IndexerShape(int Heads, int Dim, int TopK, float Scale, bool Relu = true)
{
    /// <summary>The page format of the index keys: one head, no values.</summary>
    public KeyValueLayout Layout => new(1, Dim, 0);

    /// <summary>Throws when a size is impossible.</summary>
    public void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Heads, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Dim, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(TopK, 1);
    }
}

/// <summary>The lightning indexer of DSA: scores every visible key for a query and chooses the best.</summary>
/// <remarks>
/// <c>I(t, s) = sum over index heads j of w[t, j] * max(q[t, j] . k[s] * scale, 0)</c>: the product is a chain along the head, its scaling one rounding, the
/// sum a chain of fused multiply-adds over the heads from +0. The <see cref="IndexerShape.TopK"/> largest are chosen by <see cref="TopK"/>. DeepSeek-V3.2
/// technical report, eq. 1.
/// </remarks>
internal static unsafe partial class SparseIndexer
{
    /// <summary>Chooses the keys of every token.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="shape">Sizes and options.</param>
    /// <param name="sequences">The sequences; their pages hold index keys, those of this step included.</param>
    /// <param name="q">Index queries, [T, Hi, Di].</param>
    /// <param name="weights">Head weights, [T, Hi].</param>
    /// <param name="positions">Receives the chosen positions, ascending, [T, TopK]; the rest of a row is left alone.</param>
    /// <param name="counts">Receives the number of chosen keys, [T].</param>
    /// <exception cref="ArithmeticException">A score is NaN.</exception>
    public static void Choose(ThreadTeam team, in IndexerShape shape, ReadOnlySpan<AttentionSequence> sequences, float* q, float* weights, int* positions, int* counts)
    {
        shape.Check();
        foreach (AttentionSequence sequence in sequences)
        {
            for (int i = 0; i < sequence.Tokens; i++)
            {
                long t = sequence.FirstToken + i;
                int keys = sequence.FirstPosition + i + 1;
                var scores = new float[keys];
                fixed (float* pointer = scores)
                    ScoresScalar(shape, q + t * shape.Heads * shape.Dim, weights + t * shape.Heads, sequence.Pages, keys, pointer);
                counts[t] = Math.Min(keys, shape.TopK);
                Kernels.TopK.Select(scores, new Span<int>(positions + t * shape.TopK, counts[t]));
            }
        }
    }
}
