using System.Threading.Channels;

namespace Glimmer.Inference;

/// <summary>A request that an <see cref="Engine"/> works on: its tokens as they come. One reader at a time.</summary>
public sealed class Generation
{
    // One writer, the engine thread; never full, so that a slow reader holds nobody up. MaxTokens bounds it.
    private readonly Channel<EngineToken> _tokens = Channel.CreateUnbounded<EngineToken>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
    private readonly Action<Generation> _cancel;
    private readonly long _submitted = TimeProvider.System.GetTimestamp();
    private long _admitted;
    private float[] _promptLogprobs = [];
    private volatile int _cachedTokens;
    private volatile bool _isCancelled;

    internal Generation(GenerationRequest request, Action<Generation> cancel)
    {
        (Request, _cancel) = (request, cancel);
        Unfinished = request.Count;
        if (request.PromptLogprobs)
            _promptLogprobs = new float[request.Prompt.Length - 1];
        if (request.PromptLogprobs && (request.PromptTopLogprobs > 0 || request.WatchedTokens.Count > 0))
            PromptAlternatives = new TokenAlternatives[request.Prompt.Length - 1];
    }

    /// <summary>What was asked for.</summary>
    public GenerationRequest Request { get; }

    /// <summary>Tokens of the prompt that came from the prefix cache; final with the first token.</summary>
    public int CachedTokens
    {
        get => _cachedTokens;
        internal set => _cachedTokens = value;
    }

    /// <summary>How long the request waited before its first step; null before that.</summary>
    public TimeSpan? Queued => _admitted == 0 ? null : TimeProvider.System.GetElapsedTime(_submitted, _admitted);

    /// <summary>Log-probability of each prompt token after the first, given those before it; complete with the first token. Empty when not asked for.</summary>
    public IReadOnlyList<float> PromptLogprobs => _promptLogprobs;

    /// <summary>Alternatives to each prompt token after the first; complete with the first token. Empty when not asked for.</summary>
    public IReadOnlyList<TokenAlternatives> PromptAlternatives { get; } = [];

    /// <summary>The experts that each prompt position but the last was routed to, [P - 1, L, K]; complete with the first token. Empty when not asked for.</summary>
    public ReadOnlyMemory<int> PromptRoutedExperts => PromptRoutes;

    /// <summary>Whether <see cref="Cancel"/> was called.</summary>
    internal bool IsCancelled => _isCancelled;

    /// <summary>Answers that are not finished. Engine thread only.</summary>
    internal int Unfinished { get; set; }

    /// <summary>Prompt log-probabilities that are computed. Engine thread only.</summary>
    internal int PromptScored { get; set; }

    internal Span<float> PromptScores => _promptLogprobs;

    /// <summary>Prompt positions whose experts are recorded. Engine thread only.</summary>
    internal int PromptRouted { get; set; }

    internal int[] PromptRoutes { get; set; } = [];

    /// <summary>Whether something of the prompt is still to be computed that only a run over all of it gives. Engine thread only.</summary>
    internal bool MustRunPrompt => PromptScored < _promptLogprobs.Length || (PromptRoutes.Length > 0 && PromptRouted < Request.Prompt.Length - 1);

    /// <summary>The tokens of all answers in the order in which they come; ends when all answers are finished.</summary>
    /// <param name="cancellationToken">Cancels the generation too.</param>
    /// <exception cref="OperationCanceledException">The generation was cancelled.</exception>
    public async IAsyncEnumerable<EngineToken> ReadAllAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        bool isComplete = false;
        try
        {
            while (await _tokens.Reader.WaitToReadAsync(cancellationToken).ConfigureAwait(false))
            {
                while (_tokens.Reader.TryRead(out EngineToken token))
                    yield return token;
            }

            isComplete = true;
        }
        finally
        {
            if (!isComplete)
                Cancel();
        }
    }

    /// <summary>Ends all answers: their memory is free when the engine's current step is done.</summary>
    public void Cancel()
    {
        _isCancelled = true;
        _cancel(this);
    }

    /// <summary>The first answer has memory.</summary>
    internal void Admit()
    {
        if (_admitted == 0)
            Volatile.Write(ref _admitted, TimeProvider.System.GetTimestamp());
    }

    internal bool TryRead(out EngineToken token) => _tokens.Reader.TryRead(out token);

    internal bool IsCompleted => _tokens.Reader.Completion.IsCompleted;

    internal void Emit(in EngineToken token) => _tokens.Writer.TryWrite(token);

    internal void Complete(Exception? error = null) => _tokens.Writer.TryComplete(error);
}
