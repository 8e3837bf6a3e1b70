using System.Runtime.InteropServices;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Inference;

/// <summary>One conversation with a model: generates tokens and keeps the keys and values of what it has seen.</summary>
/// <remarks>
/// A prompt that repeats what the session already holds (the earlier turns of a chat) is computed from the first differing token only;
/// the results are the same bits. Not thread-safe.
/// </remarks>
public sealed class GenerationSession : IDisposable
{
    private readonly CausalLm _model;
    private readonly Compute _compute;
    private readonly KeyValueCache _cache;
    private readonly CachedSequence _sequence;
    private readonly Batch _batch = new();
    private readonly List<int> _tokens = [];

    /// <summary>Starts an empty session.</summary>
    /// <param name="model">The model; shared, not owned.</param>
    /// <param name="compute">Where to run; shared, not owned.</param>
    /// <param name="contextLength">Most positions to use; 0 for what the model was made for.</param>
    public GenerationSession(CausalLm model, Compute compute, int contextLength = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(contextLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(contextLength, model.Config.MaxPositionEmbeddings);
        (_model, _compute) = (model, compute);
        ContextLength = contextLength == 0 ? model.Config.MaxPositionEmbeddings : contextLength;
        _cache = model.NewCache();
        _sequence = _cache.NewSequence();
    }

    /// <summary>Most positions of prompt and answer together.</summary>
    public int ContextLength { get; }

    /// <summary>Tokens of the last prompt that were already computed.</summary>
    public int ReusedTokens { get; private set; }

    /// <summary>Generates tokens after a prompt.</summary>
    /// <param name="prompt">The whole prompt, earlier turns included.</param>
    /// <param name="options">When and how.</param>
    /// <param name="cancellationToken">Ends the generation between two tokens; the session stays usable.</param>
    /// <exception cref="ArgumentException">The prompt is empty or does not fit into the context.</exception>
    public IEnumerable<GeneratedToken> Generate(ReadOnlyMemory<int> prompt, GenerationOptions options, CancellationToken cancellationToken = default)
    {
        options.Check();
        if (prompt.IsEmpty)
            throw new ArgumentException("The prompt is empty; a model needs at least one token to continue.", nameof(prompt));
        if (prompt.Length >= ContextLength)
            throw new ArgumentException($"The prompt has {prompt.Length} tokens; the context holds {ContextLength} with room for at least one more.", nameof(prompt));
        return Steps(prompt, options, cancellationToken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _sequence.Dispose();
        _cache.Dispose();
    }

    private IEnumerable<GeneratedToken> Steps(ReadOnlyMemory<int> prompt, GenerationOptions options, CancellationToken cancellationToken)
    {
        var sampler = new Sampler(options.Sampling, _model.Config.VocabSize, prompt.Span);
        Tensor logits = Prefill(prompt, options.PrefillChunk, cancellationToken);
        for (int generated = 1; ; generated++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            TokenLogprob next = sampler.Next(logits.F32, _tokens.Count, options.ForbiddenTokens.Span);
            FinishReason? finish = options.StopTokens.Contains(next.Token) ? FinishReason.Stop
                : generated >= options.MaxTokens ? FinishReason.Length
                : _tokens.Count + 1 >= ContextLength ? FinishReason.Context
                : null;
            yield return new GeneratedToken(next.Token, next.Logprob, finish);
            if (finish is not null)
                yield break;
            logits = Run([next.Token], wantLogits: true)!;
        }
    }

    private Tensor Prefill(ReadOnlyMemory<int> prompt, int chunk, CancellationToken cancellationToken)
    {
        // The last prompt token always runs again: its logits are needed.
        int common = Math.Min(CommonPrefix(prompt.Span), prompt.Length - 1);
        _tokens.RemoveRange(common, _tokens.Count - common);
        _sequence.Truncate(common);
        ReusedTokens = common;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = Math.Min(chunk, prompt.Length - _tokens.Count);
            bool last = _tokens.Count + count == prompt.Length;
            if (Run(prompt.Span.Slice(_tokens.Count, count), last) is { } logits)
                return logits;
        }
    }

    private int CommonPrefix(ReadOnlySpan<int> prompt) => prompt.CommonPrefixLength(CollectionsMarshal.AsSpan(_tokens));

    // Appends tokens to the sequence; logits of the last one, [1, V].
    private Tensor? Run(ReadOnlySpan<int> tokens, bool wantLogits)
    {
        _batch.Clear();
        _batch.AddCached(_sequence, tokens, _tokens.Count);
        _compute.Begin();
        Tensor hidden = _model.Forward(_compute, _batch);
        CollectionExtensions.AddRange(_tokens, tokens);
        _sequence.Commit(_tokens.Count);
        return wantLogits ? _model.Logits(_compute, hidden, [tokens.Length - 1]) : null;
    }
}
