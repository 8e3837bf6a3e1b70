namespace Glimmer.Training.Upcycling;

/// <summary>What is added to a dense trunk. The defaults keep the addition below 20 MB in bf16 for a trunk of 30 layers and 576 wide.</summary>
public sealed record UpcycleOptions
{
    /// <summary>Routed experts of a sparse layer.</summary>
    public int Experts { get; init; } = 8;

    /// <summary>Experts a token is sent to.</summary>
    public int ExpertsPerToken { get; init; } = 2;

    /// <summary>Width of a routed expert; it divides the width of the trunk's feed-forward network, which becomes the shared expert.</summary>
    public int ExpertWidth { get; init; } = 16;

    /// <summary>First layer that gets experts.</summary>
    public int FirstSparseLayer { get; init; } = 14;

    /// <summary>Rank of the low-rank factors beside every projection; 0 for none.</summary>
    public int Rank { get; init; } = 16;

    /// <summary>Divided by the rank it is the scale of the low-rank additions.</summary>
    public float Alpha { get; init; } = 32;

    /// <summary>Whether there is an MTP layer.</summary>
    public bool NextToken { get; init; } = true;

    /// <summary>Tokens that the MTP layer can draft beside the control tokens; 0 for all.</summary>
    public int DraftTokens { get; init; } = 8192;

    /// <summary>Files whose most frequent tokens are those; where they do not fill the list, the first of the vocabulary do, which byte-pair encoding has in about the order of frequency.</summary>
    public IReadOnlyList<string> FrequencyTexts { get; init; } = [];

    /// <summary>Seed of everything that starts random.</summary>
    public ulong Seed { get; init; } = 1;
}
