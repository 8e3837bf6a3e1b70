using Glimmer.Server.Turns;

namespace Glimmer.Server.Metrics;

/// <summary>What is measured of requests: tokens, times, ends. One histogram for each set of bounds that dashboards of other servers expect.</summary>
internal sealed class TurnMetrics
{
    private static readonly double[] s_sglangTokens =
        [100, 300, 500, 700, 1000, 1500, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 12500, 15000, 17500, 20000, 22500, 25000, 27500, 30000, 35000, 40000, 60000, 80000, 100000, 200000, 300000, 400000, 600000, 800000, 1000000, 1100000];

    private static readonly double[] s_vllmTokens = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000];
    private static readonly double[] s_vllmLong = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
    private readonly Lock _lock = new();
    private readonly Dictionary<TurnEnd, long> _ends = [];

    /// <summary>Prompt tokens of finished requests.</summary>
    public long PromptTokens { get; private set; }

    /// <summary>Of these, tokens from the prefix cache.</summary>
    public long CachedTokens { get; private set; }

    /// <summary>Generated tokens of finished requests.</summary>
    public long GeneratedTokens { get; private set; }

    /// <summary>Finished requests.</summary>
    public long Requests { get; private set; }

    /// <summary>Requests whose client went away, or that failed.</summary>
    public long Aborted { get; private set; }

    /// <summary>Requests that found the queue full.</summary>
    public long Rejected { get; private set; }

    /// <summary>Calls that were announced and never completed, so that their text stayed text.</summary>
    public long CutCalls { get; private set; }

    /// <summary>Seconds to the first token, by SGLang's bounds.</summary>
    public Histogram FirstTokenSglang { get; } = new([0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400]);

    /// <summary>Seconds to the first token, by vLLM's bounds.</summary>
    public Histogram FirstTokenVllm { get; } = new([0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560]);

    /// <summary>Seconds between tokens, by SGLang's bounds.</summary>
    public Histogram BetweenTokensSglang { get; } = new([0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.06, 0.08, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8]);

    /// <summary>Seconds between tokens, by vLLM's bounds.</summary>
    public Histogram BetweenTokensVllm { get; } = new([0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80]);

    /// <summary>Seconds of whole requests, by SGLang's bounds.</summary>
    public Histogram WholeSglang { get; } = new([0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 600, 1200, 1800, 2400]);

    /// <summary>Seconds of whole requests, by vLLM's bounds.</summary>
    public Histogram WholeVllm { get; } = new(s_vllmLong);

    /// <summary>Seconds in the queue, by SGLang's bounds.</summary>
    public Histogram QueueSglang { get; } = new(
        [0, 0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 3, 4, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1200, 1400, 1600, 1800, 2000, 2500, 3000]);

    /// <summary>Seconds in the queue, by vLLM's bounds.</summary>
    public Histogram QueueVllm { get; } = new(s_vllmLong);

    /// <summary>Seconds from admission to the first token.</summary>
    public Histogram Prefill { get; } = new(s_vllmLong);

    /// <summary>Seconds from the first token to the last.</summary>
    public Histogram Decode { get; } = new(s_vllmLong);

    /// <summary>Prompt tokens a request, by SGLang's bounds.</summary>
    public Histogram PromptSglang { get; } = new(s_sglangTokens);

    /// <summary>Prompt tokens a request, by vLLM's bounds.</summary>
    public Histogram PromptVllm { get; } = new(s_vllmTokens);

    /// <summary>Generated tokens a request, by SGLang's bounds.</summary>
    public Histogram OutputSglang { get; } = new(s_sglangTokens);

    /// <summary>Generated tokens a request, by vLLM's bounds.</summary>
    public Histogram OutputVllm { get; } = new(s_vllmTokens);

    /// <summary>A token came.</summary>
    /// <param name="sinceStart">Since the request came.</param>
    /// <param name="sinceLast">Since the token before it; null for the first.</param>
    /// <param name="queued">Time in the queue, with the first token.</param>
    public void Token(TimeSpan sinceStart, TimeSpan? sinceLast, TimeSpan? queued)
    {
        if (sinceLast is { } gap)
        {
            BetweenTokensSglang.Observe(gap.TotalSeconds);
            BetweenTokensVllm.Observe(gap.TotalSeconds);
            return;
        }

        FirstTokenSglang.Observe(sinceStart.TotalSeconds);
        FirstTokenVllm.Observe(sinceStart.TotalSeconds);
        if (queued is not { } wait)
            return;
        QueueSglang.Observe(wait.TotalSeconds);
        QueueVllm.Observe(wait.TotalSeconds);
        Prefill.Observe((sinceStart - wait).TotalSeconds);
    }

    /// <summary>A request ended.</summary>
    public void Finished(IReadOnlyList<AnswerFinished> answers, TimeSpan whole, TimeSpan decode)
    {
        int output = answers.Sum(answer => answer.Usage.Output);
        int prompt = answers.Count == 0 ? 0 : answers[0].Usage.Prompt;
        lock (_lock)
        {
            Requests++;
            PromptTokens += prompt;
            CachedTokens += answers.Count == 0 ? 0 : answers[0].Usage.Cached;
            GeneratedTokens += output;
            foreach (AnswerFinished answer in answers)
                _ends[answer.End] = _ends.GetValueOrDefault(answer.End) + 1;
        }

        WholeSglang.Observe(whole.TotalSeconds);
        WholeVllm.Observe(whole.TotalSeconds);
        Decode.Observe(decode.TotalSeconds);
        PromptSglang.Observe(prompt);
        PromptVllm.Observe(prompt);
        OutputSglang.Observe(output);
        OutputVllm.Observe(output);
    }

    /// <summary>A request's reader went away or failed.</summary>
    public void Lost()
    {
        lock (_lock)
            Aborted++;
    }

    /// <summary>The queue was full.</summary>
    public void Refused()
    {
        lock (_lock)
            Rejected++;
    }

    /// <summary>An answer ended inside of a call, which is text then.</summary>
    public void Cut()
    {
        lock (_lock)
            CutCalls++;
    }

    /// <summary>Answers that ended in one of these ways.</summary>
    public long Ends(params ReadOnlySpan<TurnEnd> ends)
    {
        long sum = 0;
        lock (_lock)
        {
            foreach (TurnEnd end in ends)
                sum += _ends.GetValueOrDefault(end);
        }

        return sum;
    }
}
