using System.Diagnostics;
using System.Diagnostics.Metrics;
using Glimmer.Inference;
using Glimmer.Server.Turns;

namespace Glimmer.Server.Diagnostics;

/// <summary>
/// Traces and metrics of requests under the names of OpenTelemetry's conventions for generative models (<c>gen_ai.*</c>). They cost next to nothing until somebody listens to the source
/// and the meter <see cref="Name"/>.
/// </summary>
internal sealed class Telemetry : IDisposable
{
    /// <summary>Name of the activity source and of the meter.</summary>
    public const string Name = "Glimmer.Server";

    private readonly ActivitySource _source = new(Name);
    private readonly Meter _meter = new(Name);
    private readonly Histogram<double> _whole;
    private readonly Histogram<double> _first;
    private readonly Histogram<double> _between;
    private readonly Histogram<long> _tokens;

    /// <summary>Creates the instruments.</summary>
    /// <param name="statistics">Counts of the engine; null where there is none.</param>
    public Telemetry(Func<EngineStatistics?> statistics)
    {
        _whole = _meter.CreateHistogram<double>("gen_ai.server.request.duration", "s", "Time of a request.");
        _first = _meter.CreateHistogram<double>("gen_ai.server.time_to_first_token", "s", "Time from a request to its first token.");
        _between = _meter.CreateHistogram<double>("gen_ai.server.time_per_output_token", "s", "Time of each token after the first.");
        _tokens = _meter.CreateHistogram<long>("gen_ai.client.token.usage", "{token}", "Tokens of a request.");
        _meter.CreateObservableGauge("glimmer.requests.running", () => statistics()?.Running ?? 0, "{request}", "Sequences computed in each step.");
        _meter.CreateObservableGauge("glimmer.requests.waiting", () => statistics()?.Waiting ?? 0, "{request}", "Requests that wait for room.");
        _meter.CreateObservableGauge(
            "glimmer.kv_cache.usage", () => statistics() is { MaxBlocks: > 0 } now ? (double)now.BlocksInUse / now.MaxBlocks : 0, "1", "Share of the blocks of keys and values in use.");
    }

    /// <summary>Begins the span of a request; null when nobody listens.</summary>
    public Activity? Start(TurnRequest request)
    {
        string operation = request.Messages.Count > 0 ? "chat" : "text_completion";
        Activity? span = _source.StartActivity($"{operation} {request.Account?.Model}".TrimEnd());
        if (span is null)
            return null;
        span.SetTag("gen_ai.operation.name", operation);
        span.SetTag("gen_ai.provider.name", "glimmer");
        span.SetTag("gen_ai.request.model", request.Account?.Model);
        span.SetTag("gen_ai.request.max_tokens", request.MaxTokens);
        span.SetTag("gen_ai.request.temperature", request.Sampling.Temperature);
        span.SetTag("gen_ai.request.top_p", request.Sampling.TopP);
        span.SetTag("glimmer.dialect", request.Account?.Dialect);
        span.SetTag("glimmer.request.id", request.Id);
        return span;
    }

    /// <summary>Ends the span of a request and counts it.</summary>
    /// <param name="span">What <see cref="Start"/> gave.</param>
    /// <param name="request">The request.</param>
    /// <param name="usage">Its tokens.</param>
    /// <param name="end">How it ended.</param>
    /// <param name="whole">Time of the request.</param>
    /// <param name="first">Time to its first token; null when none came.</param>
    /// <param name="queued">Time before its first step; null where nothing waits.</param>
    public void End(Activity? span, TurnRequest request, TurnUsage usage, string end, TimeSpan whole, TimeSpan? first, TimeSpan? queued)
    {
        var model = new KeyValuePair<string, object?>("gen_ai.request.model", request.Account?.Model ?? "");
        var operation = new KeyValuePair<string, object?>("gen_ai.operation.name", request.Messages.Count > 0 ? "chat" : "text_completion");
        _whole.Record(whole.TotalSeconds, model, operation);
        _tokens.Record(usage.Prompt, model, operation, new("gen_ai.token.type", "input"));
        _tokens.Record(usage.Output, model, operation, new("gen_ai.token.type", "output"));
        if (first is { } wait)
        {
            _first.Record(wait.TotalSeconds, model, operation);
            if (usage.Output > 1)
                _between.Record((whole - wait).TotalSeconds / (usage.Output - 1), model, operation);
        }

        if (span is null)
            return;
        span.SetTag("gen_ai.usage.input_tokens", usage.Prompt);
        span.SetTag("gen_ai.usage.output_tokens", usage.Output);
        span.SetTag("glimmer.usage.cached_tokens", usage.Cached);
        span.SetTag("glimmer.usage.reasoning_tokens", usage.Reasoning);
        span.SetTag("gen_ai.response.finish_reasons", new[] { end.ToLowerInvariant() });
        span.SetTag("glimmer.queue_seconds", queued?.TotalSeconds);
        if (end == TurnLog.Lost)
            span.SetStatus(ActivityStatusCode.Error, "The client went away, or the generation failed.");
        span.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _source.Dispose();
        _meter.Dispose();
    }
}
