using Glimmer.Kernels;

namespace Glimmer.Inference;

/// <summary>How tokens are drafted before the model verifies them. Drafts change the speed only, never a token.</summary>
public enum DraftSource
{
    /// <summary>The model's MTP layer where it has one, else what followed the same tokens before.</summary>
    Auto,
    /// <summary>No drafts.</summary>
    None,
    /// <summary>The model's MTP layer.</summary>
    NextTokenLayer,
    /// <summary>What followed the same last tokens earlier in the sequence.</summary>
    PromptLookup,
}

/// <summary>Limits and habits of an <see cref="Engine"/>.</summary>
public sealed record EngineOptions
{
    /// <summary>Most positions of prompt and answer together; 0 for what the model was made for.</summary>
    public int ContextLength { get; init; }

    /// <summary>Most tokens whose keys and values are kept in memory, rounded up to blocks of 64; 0 for the smaller of a quarter of the available memory and what <see cref="MaxRunning"/> full contexts need.</summary>
    public int CacheTokens { get; init; }

    /// <summary>How keys and values are kept; null for the model's <see cref="Models.CausalLm.CacheType"/>, which is F32 unless it was set.</summary>
    public KeyValueType? CacheType { get; init; }

    /// <summary>Most sequences that are computed in one step.</summary>
    public int MaxRunning { get; init; } = 32;

    /// <summary>Most requests that wait; one more is refused with <see cref="EngineBusyException"/>.</summary>
    public int MaxWaiting { get; init; } = 512;

    /// <summary>Prompt tokens of one step when no other sequence is generating.</summary>
    public int PrefillTokens { get; init; } = 512;

    /// <summary>Prompt tokens of one step beside sequences that generate, or as many as there are such sequences when that is more: bounds how long they wait for their next token.</summary>
    public int MixedPrefillTokens { get; init; } = 16;

    /// <summary>Whether computed prefixes are kept and shared by later requests.</summary>
    public bool ReusePrefixes { get; init; } = true;

    /// <summary>How tokens are drafted.</summary>
    public DraftSource Drafts { get; init; } = DraftSource.Auto;

    /// <summary>Most drafts of a step; a request's own acceptance shortens them.</summary>
    public int MaxDrafts { get; init; } = 3;

    /// <summary>Tokens that are never generated: rows of the output matrix that no token has. An engine on a <see cref="LoadedModel"/> uses <see cref="LoadedModel.UnusedTokens"/> when this is empty.</summary>
    public ReadOnlyMemory<int> ForbiddenTokens { get; init; }

    /// <summary>Folders of LoRA adapters in the layout of PEFT, by the name that <see cref="GenerationRequest.Adapter"/> uses. Requests of several adapters run in one batch.</summary>
    public IReadOnlyDictionary<string, string> Adapters { get; init; } = new Dictionary<string, string>();

    /// <summary>Throws when a value makes no sense.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Names the option.</exception>
    public void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(ContextLength);
        ArgumentOutOfRangeException.ThrowIfNegative(CacheTokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxRunning);
        ArgumentOutOfRangeException.ThrowIfNegative(MaxWaiting);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(PrefillTokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MixedPrefillTokens);
        ArgumentOutOfRangeException.ThrowIfNegative(MaxDrafts);
    }
}
