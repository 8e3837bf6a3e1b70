namespace Glimmer.Models;

/// <summary>Where the weights of a model live once it is loaded.</summary>
public sealed record LoadOptions
{
    /// <summary>
    /// Folder for packed weights, or null. The first load writes one file a model there; later loads map it instead of packing again. A file that does not belong to the
    /// checkpoint any more (size, time or header changed) or to this version's packed form is written anew.
    /// </summary>
    public string? PackCache { get; init; }

    /// <summary>Whether the file in <see cref="PackCache"/> is compared byte by byte with weights that are packed again from the checkpoint.</summary>
    public bool VerifyPackCache { get; init; }

    /// <summary>
    /// Most bytes of memory for weights; 0 for no limit. When the weights need more, the experts stay in the file of <see cref="PackCache"/> and those used last are kept in
    /// memory. Keys and values, and the scratch memory of a step, come on top.
    /// </summary>
    public long MemoryBudget { get; init; }

    /// <summary>This rank and the number of ranks that share the routed experts (<see cref="Operations.ExpertRanks"/>): the others are not loaded. Null for all of them.</summary>
    internal (int Rank, int Ranks)? ExpertShare { get; init; }

    /// <summary>Throws when a value makes no sense.</summary>
    /// <exception cref="ArgumentException">Names the option.</exception>
    public void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(MemoryBudget);
        if (MemoryBudget > 0 && PackCache is null)
            throw new ArgumentException("A memory budget needs a folder for packed weights (PackCache): experts that do not fit are read from there.", nameof(MemoryBudget));
        if (VerifyPackCache && PackCache is null)
            throw new ArgumentException("There is no folder for packed weights (PackCache) to verify.", nameof(VerifyPackCache));
    }
}
