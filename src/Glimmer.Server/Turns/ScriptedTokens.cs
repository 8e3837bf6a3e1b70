using System.Runtime.CompilerServices;
using Glimmer.Inference;

namespace Glimmer.Server.Turns;

/// <summary>What a script answers.</summary>
/// <param name="Tokens">The ids of the answer, the stop token included when it ends by itself.</param>
/// <param name="CachedTokens">Prompt tokens reported as cached.</param>
/// <param name="Error">Thrown after the tokens; null for none.</param>
public sealed record ScriptedAnswer(IReadOnlyList<int> Tokens, int CachedTokens = 0, Exception? Error = null);

/// <summary>
/// Replays token ids instead of running a model: everything above the engine (template, tokenizer, parser, dialects) is the real thing. For wire tests, for runs of
/// real clients without a capable model, and for measuring the server's own cost.
/// </summary>
/// <param name="contextLength">Most positions of prompt and answer together.</param>
/// <param name="script">From a request and the number of the answer to its tokens.</param>
public sealed class ScriptedTokens(int contextLength, Func<GenerationRequest, int, ScriptedAnswer> script) : ITokenSource
{
    /// <inheritdoc/>
    public int ContextLength { get; } = contextLength;

    /// <inheritdoc/>
    public EngineStatistics? Statistics => null;

    /// <summary>Waited before each token; zero for none.</summary>
    public TimeSpan TokenDelay { get; init; }

    /// <summary>Awaited before each token, with its index and what cancels the request; null for nothing. Tests hold answers back with it.</summary>
    public Func<int, CancellationToken, Task>? BeforeToken { get; set; }

    /// <inheritdoc/>
    public ITokenStream Submit(GenerationRequest request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (request.Prompt.Length >= ContextLength)
            throw new PromptTooLongException(request.Prompt.Length, ContextLength);
        ScriptedAnswer[] answers = [.. Enumerable.Range(0, request.Count).Select(answer => script(request, answer))];
        return new Stream(this, request, answers, cancellationToken);
    }

    private sealed class Stream(ScriptedTokens source, GenerationRequest request, ScriptedAnswer[] answers, CancellationToken cancelled) : ITokenStream
    {
        private volatile bool _isCancelled;

        public int CachedTokens => answers[0].CachedTokens;

        public TimeSpan? Queued => null;

        public IReadOnlyList<float> PromptLogprobs { get; } = request.PromptLogprobs ? new float[request.Prompt.Length - 1] : [];

        public IReadOnlyList<TokenAlternatives> PromptAlternatives { get; } = request.PromptLogprobs && (request.PromptTopLogprobs > 0 || request.WatchedTokens.Count > 0)
            ? [.. Enumerable.Range(1, request.Prompt.Length - 1).Select(i => new TokenAlternatives([new TokenLogprob(request.Prompt.Span[i], 0)], [], new float[request.WatchedTokens.Count]))]
            : [];

        public ReadOnlyMemory<int> PromptRoutedExperts => default;

        public void Cancel() => _isCancelled = true;

        public async IAsyncEnumerable<EngineToken> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken)
        {
            for (int answer = 0; answer < answers.Length; answer++)
            {
                IReadOnlyList<int> tokens = request.MaxTokens == 0 ? [] : answers[answer].Tokens;
                for (int i = 0; i < tokens.Count; i++)
                {
                    if (source.BeforeToken is { } wait)
                        await wait(i, cancellationToken).ConfigureAwait(false);
                    if (source.TokenDelay > TimeSpan.Zero)
                        await Task.Delay(source.TokenDelay, cancellationToken).ConfigureAwait(false);
                    cancellationToken.ThrowIfCancellationRequested();
                    cancelled.ThrowIfCancellationRequested();
                    if (_isCancelled)
                        throw new OperationCanceledException("The generation was cancelled.");
                    FinishReason? finish = request.StopTokens.Contains(tokens[i]) && i >= request.MinTokens ? FinishReason.Stop
                        : request.Prompt.Length + i + 1 >= source.ContextLength ? FinishReason.Context
                        : i + 1 >= request.MaxTokens ? FinishReason.Length
                        : null;
                    TokenAlternatives? top = request.TopLogprobs > 0 || request.WatchedTokens.Count > 0
                        ? new TokenAlternatives([new TokenLogprob(tokens[i], 0)], [new TokenLogprob(tokens[i], 0)], new float[request.WatchedTokens.Count])
                        : null;
                    yield return new EngineToken(answer, tokens[i], 0, request.SamplingLogprobs ? 0 : null, top, finish, null);
                    if (finish is not null)
                        break;
                }

                if (answers[answer].Error is { } error)
                    throw error;
            }
        }
    }

}
