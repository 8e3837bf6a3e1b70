using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Sends a part to every rank and receives one from every rank, as bytes; all ranks call alike.</summary>
/// <param name="send">The parts for rank 0, 1, ..., back to back.</param>
/// <param name="sendCounts">Bytes of each.</param>
/// <param name="receive">The parts of rank 0, 1, ..., back to back.</param>
/// <param name="receiveCounts">Bytes of each.</param>
internal delegate void RankExchange(ReadOnlySpan<byte> send, ReadOnlySpan<int> sendCounts, Span<byte> receive, ReadOnlySpan<int> receiveCounts);

/// <summary>Expert parallelism: each rank holds some of the routed experts of every layer and computes them for the tokens of all ranks.</summary>
/// <remarks>
/// Experts are cut into ranges of neighbours: rank r of n holds E r / n up to E (r + 1) / n. Every forward and backward pass is collective: all ranks run as many as the others, over the same layers.
/// GShard (Lepikhin et al. 2020, arXiv 2006.16668).
/// </remarks>
/// <param name="rank">This rank.</param>
/// <param name="size">Number of ranks.</param>
/// <param name="exchange">Moves the rows.</param>
internal sealed class ExpertRanks(int rank, int size, RankExchange exchange)
{
    private readonly Dictionary<Parameter, Tensor[]> _gradients = [];

    /// <summary>This rank.</summary>
    public int Rank => rank;

    /// <summary>Number of ranks.</summary>
    public int Size => size;

    /// <summary>Moves the rows.</summary>
    public RankExchange Exchange => exchange;

    /// <summary>The first expert of a rank, of <paramref name="experts"/>; for <paramref name="of"/> = <see cref="Size"/> the end.</summary>
    public int First(int of, int experts) => FirstOf(of, size, experts);

    /// <summary>The first expert of a rank, of so many ranks.</summary>
    public static int FirstOf(int rank, int ranks, int experts) => (int)((long)experts * rank / ranks);

    /// <summary>Where the gradient of a matrix of this rank's experts goes that comes from the tokens of a rank: each micro-batch has a sum of its own. Null when the matrix is not trained.</summary>
    public Tensor? GradientOf(Parameter matrix, int from) => _gradients.TryGetValue(matrix, out Tensor[]? gradients) ? gradients[from] : null;

    /// <summary>Says where the gradients of a matrix go, by the rank whose tokens they come from.</summary>
    public void Train(Parameter matrix, Tensor[] gradients) => _gradients[matrix] = gradients;
}
