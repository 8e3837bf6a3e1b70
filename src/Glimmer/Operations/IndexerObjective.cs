using Glimmer.Kernels;

namespace Glimmer.Operations;

/// <summary>The loss that trains DSA indexers, while forward passes run: each layer adds its own, and its gradients, where it stands.</summary>
/// <param name="IsDense">Whether attention is dense and every visible key counts (warm-up), or the chosen keys alone.</param>
/// <param name="Weight">Factor of each token's loss: coefficient / tokens of the step.</param>
internal sealed record IndexerObjective(bool IsDense, double Weight)
{
    /// <summary>Sum of each layer's losses over the tokens, unweighted, by layer.</summary>
    public SortedDictionary<int, double> Losses { get; } = [];

    /// <summary>Whether the quality of the choice is measured too.</summary>
    public bool WantsRecall { get; init; }

    /// <summary>Sums of the recalls of each layer, and the number of tokens.</summary>
    public SortedDictionary<int, (double Mass, double BestMass, double Common, long Tokens)> Recalls { get; } = [];

    /// <summary>Adds what one document gave in one layer.</summary>
    public void Add(int layer, IndexerDivergence document)
    {
        Losses[layer] = Losses.GetValueOrDefault(layer) + document.Losses.Sum();
        foreach (IndexerRecall recall in document.Recalls ?? [])
        {
            (double mass, double best, double common, long tokens) = Recalls.GetValueOrDefault(layer);
            if (recall.Counts)
                Recalls[layer] = (mass + recall.Mass, best + recall.BestMass, common + recall.Common, tokens + 1);
        }
    }
}
