using Glimmer.Inference;

namespace Glimmer.Server.Turns;

/// <summary>Where the tokens of an answer come from: the engine, or a script in tests.</summary>
public interface ITokenSource
{
    /// <summary>Most positions of prompt and answer together.</summary>
    int ContextLength { get; }

    /// <summary>Names of the adapters that requests can name; each is a model of its own to clients.</summary>
    IReadOnlyList<string> Adapters => [];

    /// <summary>Counts for health and metrics; null where there is no engine.</summary>
    EngineStatistics? Statistics { get; }

    /// <summary>Hands in a request. Disposing the answer, or cancelling its reader, cancels the generation.</summary>
    /// <param name="request">What to generate.</param>
    /// <param name="cancellationToken">Cancels the generation at any time.</param>
    /// <exception cref="ArgumentException">The request makes no sense.</exception>
    /// <exception cref="PromptTooLongException">The prompt does not fit into the context.</exception>
    /// <exception cref="EngineBusyException">The queue is full.</exception>
    ITokenStream Submit(GenerationRequest request, CancellationToken cancellationToken);
}

/// <summary>The tokens of one request as they come.</summary>
public interface ITokenStream
{
    /// <summary>Tokens of the prompt that came from the prefix cache; final with the first token.</summary>
    int CachedTokens { get; }

    /// <summary>How long the request waited for room; known with the first token, null where nothing waits.</summary>
    TimeSpan? Queued { get; }

    /// <summary>Log-probability of each prompt token after the first; complete with the first token, empty when not asked for.</summary>
    IReadOnlyList<float> PromptLogprobs { get; }

    /// <summary>Alternatives to each prompt token after the first; complete with the first token, empty when not asked for.</summary>
    IReadOnlyList<TokenAlternatives> PromptAlternatives { get; }

    /// <summary>The experts of each prompt position but the last, [P - 1, L, K]; complete with the first token, empty when not asked for.</summary>
    ReadOnlyMemory<int> PromptRoutedExperts { get; }

    /// <summary>The tokens of all answers in the order in which they come.</summary>
    IAsyncEnumerable<EngineToken> ReadAllAsync(CancellationToken cancellationToken);

    /// <summary>Ends all answers.</summary>
    void Cancel();
}
