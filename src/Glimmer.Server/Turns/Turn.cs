using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text;
using Glimmer.Inference;
using Glimmer.Server.Accounting;
using Glimmer.Server.Diagnostics;

namespace Glimmer.Server.Turns;

/// <summary>A request that the engine has accepted.</summary>
public sealed class Turn
{
    private readonly TurnRunner _runner;
    private readonly TurnPrompt _prompt;
    private readonly bool _startsInReasoning;
    private readonly ITokenStream _stream;
    private readonly long _start;
    private readonly Activity? _span;
    private readonly StringBuilder? _said;
    private long? _first;
    private long _last;
    private int _tokens;

    internal Turn(TurnRunner runner, TurnRequest request, TurnPrompt prompt, bool startsInReasoning, long start, ITokenStream stream)
    {
        (_runner, Request, _prompt, _startsInReasoning, _start, _stream) = (runner, request, prompt, startsInReasoning, start, stream);
        _span = runner.Telemetry?.Start(request);
        _said = runner.Log is { HasContents: true } ? new StringBuilder() : null;
    }

    /// <summary>What was asked for.</summary>
    public TurnRequest Request { get; }

    /// <summary>The prompt as ids.</summary>
    public IReadOnlyList<int> Prompt => _prompt.Ids;

    /// <summary>The experts of each prompt position but the last, [P - 1, L, K]; complete with the first token, empty when not asked for.</summary>
    public ReadOnlyMemory<int> PromptRoutedExperts => _stream.PromptRoutedExperts;

    /// <summary>How long prompt and answer took so far.</summary>
    public TurnTimings Timings
    {
        get
        {
            TimeSpan prompt = _first is { } first ? _runner.Time.GetElapsedTime(_start, first) - (_stream.Queued ?? TimeSpan.Zero) : TimeSpan.Zero;
            return new TurnTimings(_prompt.Ids.Length - _stream.CachedTokens, _stream.CachedTokens, prompt, _tokens, _first is { } from ? _runner.Time.GetElapsedTime(from, _last) : TimeSpan.Zero);
        }
    }

    /// <summary>What happens, in order. Ends when all answers are complete; a reader that stops early cancels the generation.</summary>
    /// <exception cref="Http.ApiException">The request waited or ran longer than the server allows.</exception>
    /// <exception cref="OperationCanceledException">The client is gone, or the request was aborted.</exception>
    public async IAsyncEnumerable<TurnEvent> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var answers = new AnswerReader[Request.Count];
        for (int i = 0; i < answers.Length; i++)
            answers[i] = new AnswerReader(_runner.Model, Request, _prompt, _startsInReasoning, i);
        var events = new List<TurnEvent>();
        bool isStarted = false, isComplete = false, isAborted = false;
        int open = answers.Length;
        var finished = new List<AnswerFinished>();
        TimeProvider time = _runner.Time;
        using var clock = new TurnClock(_runner.Defaults, time, cancellationToken);
        IAsyncEnumerator<EngineToken> reader = _stream.ReadAllAsync(clock.Token).GetAsyncEnumerator(CancellationToken.None);
        try
        {
            while (open > 0)
            {
                try
                {
                    if (!await reader.MoveNextAsync().ConfigureAwait(false))
                        break;
                }
                catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
                {
                    clock.ThrowIfLate();
                    isAborted = true; // By another request. What was generated so far is the answer.
                    break;
                }

                if (!isStarted)
                {
                    isStarted = true;
                    clock.Started();
                    yield return Started();
                }

                EngineToken token = reader.Current;
                long now = time.GetTimestamp();
                if (_first is null)
                {
                    _first = now;
                    _runner.Metrics.Token(time.GetElapsedTime(_start, now), null, _stream.Queued);
                }
                else
                    _runner.Metrics.Token(time.GetElapsedTime(_start, now), time.GetElapsedTime(_last, now), null);
                _last = now;
                _tokens++;
                AnswerReader answer = answers[token.Answer];
                if (answer.IsFinished)
                    continue;
                answer.CachedTokens = _stream.CachedTokens;
                events.Clear();
                answer.Read(token, events);
                _said?.Append(_runner.Model.Tokenizer.Decode([token.Token], false));
                foreach (TurnEvent item in events)
                {
                    if (item is CallCut)
                        _runner.Metrics.Cut();
                    yield return item;
                }

                if (answer.IsFinished)
                {
                    open--;
                    finished.Add((AnswerFinished)events[^1]);
                }
            }

            if (!isStarted)
                yield return Started();
            foreach (AnswerReader answer in answers.Where(answer => !answer.IsFinished))
            {
                answer.CachedTokens = _stream.CachedTokens;
                events.Clear();
                answer.Complete(isAborted ? TurnEnd.Aborted : TurnEnd.Length, events);
                foreach (TurnEvent item in events)
                {
                    if (item is CallCut)
                        _runner.Metrics.Cut();
                    yield return item;
                }

                finished.Add((AnswerFinished)events[^1]);
            }

            isComplete = true;
        }
        finally
        {
            // Also when answers ended before the engine's own end: at a call that is to be the only one.
            if (!isComplete || answers.Any(answer => answer.EndedEarly))
                _stream.Cancel();
            await reader.DisposeAsync().ConfigureAwait(false);
            if (isComplete)
                _runner.Metrics.Finished(finished, time.GetElapsedTime(_start), _first is { } from ? time.GetElapsedTime(from, _last) : TimeSpan.Zero);
            else
                _runner.Metrics.Lost();
            End(answers, isComplete ? finished[0].End.ToString() : TurnLog.Lost, _first is { } began ? time.GetElapsedTime(_start, began) : null);
            _runner.Live.Remove(Request.Id, this);
        }
    }

    /// <summary>Gives up a turn that nobody will read.</summary>
    internal void Abandon()
    {
        _stream.Cancel();
        _span?.Dispose();
        _runner.Live.Remove(Request.Id, this);
    }

    /// <summary>Ends the generation; its reader gets what was made so far.</summary>
    internal void Abort() => _stream.Cancel();

    // Also what a client that went away has used.
    private void End(AnswerReader[] answers, string end, TimeSpan? first)
    {
        TimeSpan whole = _runner.Time.GetElapsedTime(_start);
        var usage = new TurnUsage(_prompt.Ids.Length, _stream.CachedTokens, answers.Sum(answer => answer.Usage.Output), answers.Sum(answer => answer.Usage.Reasoning));
        _runner.Telemetry?.End(_span, Request, usage, end, whole, first, _stream.Queued);
        _runner.Log?.Write(Request, usage, end, whole, first, _said is null ? "" : _runner.Model.Tokenizer.Decode(_prompt.Ids, false), _said?.ToString() ?? "");
        if (_runner.Usage is not { } log || Request.Account is not { } account)
            return;
        log.Add(new UsageRecord(
            _runner.Time.GetUtcNow(), account.Key, account.Model, account.Dialect, usage.Prompt, usage.Cached, usage.Output, usage.Reasoning, (long)whole.TotalMilliseconds, end));
    }

    private TurnStarted Started() => new(_prompt.Ids.Length, _stream.CachedTokens, _stream.PromptLogprobs, _stream.PromptAlternatives);
}
