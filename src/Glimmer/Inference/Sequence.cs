using System.Runtime.InteropServices;
using Glimmer.Operations;
using Glimmer.Tokenization;

namespace Glimmer.Inference;

/// <summary>One answer in the making: its tokens, its cache, and what the current step runs of it. Belongs to the engine thread.</summary>
internal sealed class Sequence
{
    private readonly List<int> _tokens;
    private readonly int[] _stops;
    private readonly ReadOnlyMemory<int> _never;
    private readonly StopText? _stopText;
    private readonly Detokenizer? _detokenizer;

    public Sequence(Generation owner, int answer, long order, SamplingScratch scratch, Tokenizer? tokenizer, DraftSource drafts, float[]? draftCosts, EngineOptions options)
    {
        GenerationRequest request = owner.Request;
        (Owner, Answer, Order, Drafting) = (owner, answer, order, request.AllowDrafts ? drafts : DraftSource.None);
        PromptLength = request.Prompt.Length;
        _tokens = new List<int>(PromptLength + Math.Min(request.MaxTokens, 4096));
        _tokens.AddRange(request.Prompt.Span);
        _stops = [.. request.StopTokens];
        _never = options.ForbiddenTokens;
        SamplingOptions sampling = request.Sampling with { Seed = request.Sampling.Seed + (ulong)answer };
        Sampler = new Sampler(sampling, scratch, request.Prompt.Span, request.Constraint?.Invoke());
        if (request.StopStrings.Count > 0)
            (_stopText, _detokenizer) = (new StopText(request.StopStrings), new Detokenizer(tokenizer!, skipSpecial: true));
        Drafts = new int[options.MaxDrafts];
        Length = new DraftLength(options.MaxDrafts, draftCosts);
    }

    /// <summary>The request.</summary>
    public Generation Owner { get; }

    /// <summary>The adapter that computes it.</summary>
    public required AdapterSet.Entry Adapter { get; set; }

    /// <summary>Number of the answer.</summary>
    public int Answer { get; }

    /// <summary>Place in the queue: lower comes first, and gives way last.</summary>
    public long Order { get; }

    /// <summary>Where drafts come from.</summary>
    public DraftSource Drafting { get; }

    public Sampler Sampler { get; }

    public int PromptLength { get; }

    /// <summary>Answers that begin when this one's prompt is computed, itself among them.</summary>
    public int Answers { get; set; } = 1;

    /// <summary>Prompt and answer.</summary>
    public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    public int TokenCount => _tokens.Count;

    /// <summary>Keys and values; null while the sequence waits.</summary>
    public CachedSequence? Cache { get; set; }

    /// <summary>Positions whose keys and values are final.</summary>
    public int Computed => Cache?.Length ?? 0;

    /// <summary>Tokens that are not computed; one while it generates, more while its prompt is computed.</summary>
    public int Pending => _tokens.Count - Computed;

    /// <summary>Positions whose MTP keys are final.</summary>
    public int DraftKeys { get; set; }

    /// <summary>Drafts that the next step verifies.</summary>
    public int[] Drafts { get; }

    public int DraftCount { get; set; }

    /// <summary>How many drafts are worth it.</summary>
    public DraftLength Length { get; }

    /// <summary>Pending tokens that this step runs; 0 when it runs none.</summary>
    public int Planned { get; set; }

    /// <summary>Index of the first of them in the batch.</summary>
    public int FirstRow { get; set; }

    /// <summary>Position of the first of them.</summary>
    public int FirstPosition { get; set; }

    /// <summary>Index of its first row of logits in this step.</summary>
    public int FirstLogits { get; set; }

    /// <summary>Whether its last token was chosen, or choosing failed.</summary>
    public bool IsFinished { get; set; }

    /// <summary>Why choosing failed.</summary>
    public Exception? Error { get; set; }

    /// <summary>Tokens that never come.</summary>
    public ReadOnlySpan<int> Forbidden => _never.Span;

    /// <summary>Stop tokens that may not come next, before the least length.</summary>
    public ReadOnlySpan<int> EarlyStops => _tokens.Count - PromptLength + 1 < Owner.Request.MinTokens ? _stops : [];

    /// <summary>Appends a chosen token.</summary>
    /// <param name="token">The token.</param>
    /// <param name="contextLength">Most positions.</param>
    /// <param name="stopString">The stop string that it completed.</param>
    /// <returns>Why the answer ends with it; null when it goes on.</returns>
    public FinishReason? Append(int token, int contextLength, out string? stopString)
    {
        _tokens.Add(token);
        GenerationRequest request = Owner.Request;
        int generated = _tokens.Count - PromptLength;
        stopString = null;
        if (Array.IndexOf(_stops, token) >= 0)
            return FinishReason.Stop; // Before the least length it comes only when a constraint allows nothing else.
        if (_stopText is not null && HasStopString(token, generated >= request.MinTokens))
        {
            stopString = _stopText.Found;
            return FinishReason.Stop;
        }

        return generated >= request.MaxTokens ? FinishReason.Length
            : _tokens.Count >= contextLength ? FinishReason.Context
            : null;
    }

    // Text before the least length does not stop, and does not begin a stop string either.
    private bool HasStopString(int token, bool counts)
    {
        ReadOnlySpan<char> text = _detokenizer!.Append(token);
        if (counts)
            _stopText!.Append(text.ToString());
        return _stopText!.Found is not null;
    }
}
