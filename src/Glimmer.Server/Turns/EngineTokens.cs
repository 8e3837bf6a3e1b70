using Glimmer.Inference;

namespace Glimmer.Server.Turns;

/// <summary>Tokens from an <see cref="Engine"/>.</summary>
/// <param name="engine">The engine; not owned.</param>
public sealed class EngineTokens(Engine engine) : ITokenSource
{
    /// <summary>The engine.</summary>
    public Engine Engine { get; } = engine;

    /// <inheritdoc/>
    public int ContextLength => Engine.ContextLength;

    /// <inheritdoc/>
    public IReadOnlyList<string> Adapters => Engine.Adapters;

    /// <inheritdoc/>
    public EngineStatistics? Statistics => Engine.Statistics;

    /// <inheritdoc/>
    public ITokenStream Submit(GenerationRequest request, CancellationToken cancellationToken) => new Stream(Engine.Submit(request, cancellationToken));

    private sealed class Stream(Generation generation) : ITokenStream
    {
        public int CachedTokens => generation.CachedTokens;

        public TimeSpan? Queued => generation.Queued;

        public IReadOnlyList<float> PromptLogprobs => generation.PromptLogprobs;

        public IReadOnlyList<TokenAlternatives> PromptAlternatives => generation.PromptAlternatives;

        public ReadOnlyMemory<int> PromptRoutedExperts => generation.PromptRoutedExperts;

        public IAsyncEnumerable<EngineToken> ReadAllAsync(CancellationToken cancellationToken) => generation.ReadAllAsync(cancellationToken);

        public void Cancel() => generation.Cancel();
    }
}
