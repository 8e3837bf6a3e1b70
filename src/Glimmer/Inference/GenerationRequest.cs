namespace Glimmer.Inference;

/// <summary>What an <see cref="Engine"/> is asked to generate.</summary>
public sealed record GenerationRequest
{
    /// <summary>Tokens of the whole prompt, earlier turns included.</summary>
    public required ReadOnlyMemory<int> Prompt { get; init; }

    /// <summary>How tokens are chosen.</summary>
    public SamplingOptions Sampling { get; init; } = new();

    /// <summary>Most tokens to generate; 0 only computes the prompt. The context may end a generation earlier: <see cref="FinishReason.Context"/>.</summary>
    public int MaxTokens { get; init; } = 512;

    /// <summary>Least tokens to generate: until then stop tokens cannot be chosen and stop strings do not stop. A constraint whose text is complete goes before: it ends.</summary>
    public int MinTokens { get; init; }

    /// <summary>Tokens that end the generation; the one that occurs is reported as the last token.</summary>
    public IReadOnlyCollection<int> StopTokens { get; init; } = [];

    /// <summary>Texts that end the generation; <see cref="StopText"/> cuts them off the answer's text.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Number of answers. Answer i has the tokens that a request of its own with the seed <c>Sampling.Seed + i</c> would have.</summary>
    public int Count { get; init; } = 1;

    /// <summary>Alternatives reported with each token: the most likely ones under the model, and those of the sampling distribution.</summary>
    public int TopLogprobs { get; init; }

    /// <summary>Whether each token carries its log-probability under the distribution it was drawn from.</summary>
    public bool SamplingLogprobs { get; init; }

    /// <summary>Whether the log-probabilities of the prompt's own tokens are computed; the prompt is then not taken from the prefix cache.</summary>
    public bool PromptLogprobs { get; init; }

    /// <summary>Alternatives reported with each prompt token's log-probability, which <see cref="PromptLogprobs"/> asks for.</summary>
    public int PromptTopLogprobs { get; init; }

    /// <summary>Tokens whose log-probabilities under the model are reported at every position of the answer, and of the prompt with <see cref="PromptLogprobs"/>.</summary>
    public IReadOnlyList<int> WatchedTokens { get; init; } = [];

    /// <summary>
    /// Whether the experts are reported that each position was routed to, [L, K] in ascending id: L counts all trunk layers (<c>num_hidden_layers</c>), with zeros where a layer has no router,
    /// K is <c>num_experts_per_tok</c>. The prompt is then not taken from the prefix cache. See <see cref="EngineToken.RoutedExperts"/> and <see cref="Generation.PromptRoutedExperts"/>.
    /// </summary>
    public bool ReturnRoutedExperts { get; init; }

    /// <summary>A request of priority p goes before those of priority 0 that arrived up to 64 p requests earlier, so none waits for ever.</summary>
    public int Priority { get; init; }

    /// <summary>Name of the adapter that computes the request, one of <see cref="EngineOptions.Adapters"/>; null for the model as it is. Prefixes are shared only among requests of one adapter.</summary>
    public string? Adapter { get; init; }

    /// <summary>Prefixes are shared only among requests of the same namespace: the name of a tenant.</summary>
    public string CacheNamespace { get; init; } = "";

    /// <summary>Makes the constraint of each answer; null for none.</summary>
    public Func<ITokenConstraint>? Constraint { get; init; }

    /// <summary>Whether tokens may be drafted, where the engine drafts at all.</summary>
    public bool AllowDrafts { get; init; } = true;

    /// <summary>Whether every position of the prompt has to run.</summary>
    internal bool RunsWholePrompt => PromptLogprobs || ReturnRoutedExperts;

    internal void Check(int vocabulary)
    {
        ArgumentNullException.ThrowIfNull(Sampling);
        Sampling.Check();
        if (Prompt.IsEmpty)
            throw new ArgumentException("The prompt is empty; a model needs at least one token to continue.", nameof(Prompt));
        foreach (int token in Prompt.Span)
        {
            if ((uint)token >= (uint)vocabulary)
                throw new ArgumentException($"The prompt contains the token {token}; the model has tokens 0 to {vocabulary - 1}.", nameof(Prompt));
        }

        ArgumentOutOfRangeException.ThrowIfNegative(MaxTokens);
        ArgumentOutOfRangeException.ThrowIfNegative(MinTokens);
        ArgumentOutOfRangeException.ThrowIfNegative(PromptTopLogprobs);
        foreach (int token in WatchedTokens)
        {
            if ((uint)token >= (uint)vocabulary)
                throw new ArgumentException($"WatchedTokens contains {token}; the model has tokens 0 to {vocabulary - 1}.", nameof(WatchedTokens));
        }

        ArgumentOutOfRangeException.ThrowIfGreaterThan(MinTokens, MaxTokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Count);
        ArgumentOutOfRangeException.ThrowIfNegative(TopLogprobs);
        foreach (string text in StopStrings)
            ArgumentException.ThrowIfNullOrEmpty(text, nameof(StopStrings));
    }
}
