using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Glimmer.Inference;
using Glimmer.Operations;

namespace Glimmer.Cli;

/// <summary>What <c>glimmer generate</c> reports about a generation.</summary>
internal sealed class GenerationResult(int promptTokens)
{
    private readonly List<GeneratedToken> _tokens = [];
    private readonly GenerationMeter _meter = new(promptTokens);
    private TimeSpan? _sinceStart;

    /// <summary>The text so far.</summary>
    public StringBuilder Text { get; } = new();

    /// <summary>Takes a token.</summary>
    public void Add(GeneratedToken token)
    {
        _meter.Count(token);
        _tokens.Add(token);
        _sinceStart ??= SinceProcessStart();
    }

    /// <summary>The JSON object.</summary>
    public void Write(Utf8JsonWriter writer, LoadedModel model, GenerationOptions options, TimeSpan load)
    {
        writer.WriteStartObject();
        writer.WriteString("model", Path.GetFileName(Path.TrimEndingDirectorySeparator(model.Path)));
        writer.WriteString("text", Text.ToString());
        writer.WriteNumbers("tokens", _tokens.Select(token => token.Token));
        writer.WriteNumbers("logprobs", _tokens.Select(token => token.Logprob));
        writer.WriteString("finish_reason", Name(_meter.Finish));
        writer.WriteNumber("seed", options.Sampling.Seed);
        writer.WriteStartObject("usage");
        writer.WriteNumber("prompt_tokens", promptTokens);
        writer.WriteNumber("completion_tokens", _tokens.Count);
        writer.WriteNumber("total_tokens", promptTokens + _tokens.Count);
        writer.WriteEndObject();
        writer.WriteStartObject("timings");
        writer.WriteNumber("load_seconds", Rounded(load.TotalSeconds));
        writer.WriteNumber("first_token_seconds", Rounded(_meter.ToFirstToken.TotalSeconds));
        writer.WriteNumber("process_to_first_token_seconds", Rounded(_sinceStart?.TotalSeconds ?? 0));
        writer.WriteNumber("total_seconds", Rounded(_meter.Total.TotalSeconds));
        writer.WriteNumber("prompt_tokens_per_second", Rounded(_meter.PromptTokensPerSecond));
        writer.WriteNumber("tokens_per_second", Rounded(_meter.TokensPerSecond));
        writer.WriteEndObject();
        if (model.Model.ExpertStatistics is { } experts)
        {
            writer.WriteStartObject("experts");
            writer.WriteNumber("hit_rate", Rounded(experts.HitRate));
            writer.WriteNumber("hits", experts.Hits);
            writer.WriteNumber("misses", experts.Misses);
            writer.WriteNumber("foreseen", experts.Foreseen);
            writer.WriteNumber("bytes_read", experts.BytesRead);
            writer.WriteNumber("waited_seconds", Rounded(experts.Waited.TotalSeconds));
            writer.WriteNumber("resident", experts.Resident);
            writer.WriteNumber("total", experts.Experts);
            writer.WriteNumber("resident_bytes", experts.ResidentBytes);
            writer.WriteNumber("budget_bytes", experts.BudgetBytes);
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
    }

    /// <summary>The line of <c>--stats</c>.</summary>
    public string Summary(LoadedModel model, TimeSpan load, GenerationOptions options)
    {
        TimeSpan first = _sinceStart ?? TimeSpan.Zero;
        double other = Math.Max(0, (first - load - _meter.ToFirstToken).TotalSeconds);
        string seed = options.Sampling.Temperature > 0 ? $", seed {options.Sampling.Seed}" : "";
        return $"first token after {first.TotalSeconds:f2} s (runtime and command line {other:f2}, model {load.TotalSeconds:f2}, prompt {_meter.ToFirstToken.TotalSeconds:f2}); "
            + $"prompt {promptTokens} tokens, {_meter.PromptTokensPerSecond:f1} tokens/s; generated {_tokens.Count} tokens, {_meter.TokensPerSecond:f1} tokens/s; {Name(_meter.Finish)}{seed}{Experts(model.Model.ExpertStatistics)}";
    }

    private static string Experts(ExpertStatistics? experts) => experts is null ? ""
        : $"; experts: {experts.HitRate:p1} of {experts.Hits + experts.Misses:n0} uses in memory, {experts.Foreseen:n0} of {experts.Misses:n0} misses foreseen, "
            + $"{Quantities.Bytes(experts.BytesRead)} read, {experts.Waited.TotalSeconds:f2} s waited, {Quantities.Bytes(experts.ResidentBytes)} of {Quantities.Bytes(experts.BudgetBytes)} held";

    private static TimeSpan SinceProcessStart()
    {
        using var process = Process.GetCurrentProcess();
        return DateTime.UtcNow - process.StartTime.ToUniversalTime();
    }

    private static string Name(FinishReason? reason) => reason switch
    {
        FinishReason.Stop => "stop",
        FinishReason.Length => "length",
        FinishReason.Context => "context",
        _ => "cancelled",
    };

    private static double Rounded(double value) => Math.Round(value, 4);
}
