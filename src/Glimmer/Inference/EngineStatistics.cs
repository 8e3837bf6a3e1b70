using Glimmer.Operations;

namespace Glimmer.Inference;

/// <summary>What an engine has done and is doing.</summary>
/// <param name="Running">Sequences computed in each step.</param>
/// <param name="Waiting">Sequences that wait for room.</param>
/// <param name="Steps">Forward passes of the trunk.</param>
/// <param name="PromptTokens">Prompt tokens of the requests taken.</param>
/// <param name="CachedTokens">Of these, tokens whose keys and values came from the prefix cache.</param>
/// <param name="GeneratedTokens">Tokens generated.</param>
/// <param name="Preemptions">Times a sequence gave its memory to others and was computed again later.</param>
/// <param name="DraftedTokens">Drafts that were verified.</param>
/// <param name="AcceptedTokens">Of these, the ones that were right.</param>
/// <param name="BlocksInUse">Blocks of 64 positions that sequences and the prefix cache hold.</param>
/// <param name="PrefixBlocks">Of these, blocks that the prefix cache holds, alone or together with sequences.</param>
/// <param name="MaxBlocks">Most blocks.</param>
/// <param name="WeightVersion">Version of the weights, 0 at the start.</param>
public sealed record EngineStatistics(
    int Running, int Waiting, long Steps, long PromptTokens, long CachedTokens, long GeneratedTokens, long Preemptions, long DraftedTokens, long AcceptedTokens,
    int BlocksInUse, int PrefixBlocks, int MaxBlocks, int WeightVersion)
{
    /// <summary>Drafts of one or more tokens that were verified.</summary>
    public long Drafts { get; init; }

    /// <summary>Drafted tokens that were right, by their place in the draft.</summary>
    public IReadOnlyList<long> AcceptedByPlace { get; init; } = [];

    /// <summary>How many positions the steps computed: prompts, answers and drafts together.</summary>
    public StepSizes? Sizes { get; init; }

    /// <summary>How often experts were found in memory; null when all weights are there.</summary>
    public ExpertStatistics? Experts { get; init; }
}
