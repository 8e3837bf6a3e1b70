namespace Glimmer.Kernels;

/// <summary>How much of a token's attention lies on the keys that its indexer chooses.</summary>
/// <param name="Counts">Whether the token sees more keys than are chosen; otherwise the rest is 0.</param>
/// <param name="Mass">Attention on the chosen keys.</param>
/// <param name="BestMass">Attention on as many keys with the most attention.</param>
/// <param name="Common">Share of these among the chosen ones.</param>
internal readonly record struct IndexerRecall(bool Counts, double Mass, double BestMass, double Common)
{
    /// <summary>The recall of one token.</summary>
    /// <param name="scores">Index scores.</param>
    /// <param name="attention">Mean attention of the heads.</param>
    /// <param name="topK">Keys to choose.</param>
    public static IndexerRecall Of(ReadOnlySpan<float> scores, ReadOnlySpan<double> attention, int topK)
    {
        var single = new float[attention.Length];
        for (int i = 0; i < single.Length; i++)
            single[i] = (float)attention[i];
        int[] chosen = new int[topK], best = new int[topK];
        TopK.Select(scores, chosen);
        TopK.Select(single, best);
        double mass = 0, bestMass = 0;
        foreach (int key in chosen)
            mass += attention[key];
        foreach (int key in best)
            bestMass += attention[key];
        return new IndexerRecall(true, mass, bestMass, chosen.Intersect(best).Count() / (double)topK);
    }
}
