using Glimmer.Server.Turns;
using Microsoft.Extensions.Logging;

namespace Glimmer.Server.Diagnostics;

/// <summary>How much of a request the log says.</summary>
public enum RequestLogging
{
    /// <summary>Nothing.</summary>
    Off,
    /// <summary>Ids, counts and times.</summary>
    Metadata,
    /// <summary>Also how tokens are chosen.</summary>
    Sampling,
    /// <summary>Also the beginning of prompt and answer, 2,048 characters of each.</summary>
    Excerpts,
    /// <summary>Also the whole prompt and answer.</summary>
    Contents,
}

/// <summary>One line of the log a request, as named fields. Prompts and answers are in it only when that was asked for; keys never are.</summary>
/// <param name="log">Where lines go.</param>
/// <param name="level">How much they say.</param>
internal sealed partial class TurnLog(ILogger log, RequestLogging level)
{
    /// <summary>The end of a request that was not answered to its end.</summary>
    public const string Lost = "Lost";

    private const int ExcerptLength = 2048;

    /// <summary>Whether answers must be kept for the log.</summary>
    public bool HasContents => level >= RequestLogging.Excerpts;

    /// <summary>Writes the line of a request.</summary>
    /// <param name="request">The request.</param>
    /// <param name="usage">Its tokens.</param>
    /// <param name="end">How it ended.</param>
    /// <param name="whole">Its time.</param>
    /// <param name="first">Time to its first token; null when none came.</param>
    /// <param name="prompt">The prompt as text.</param>
    /// <param name="answer">The answer as text.</param>
    public void Write(TurnRequest request, TurnUsage usage, string end, TimeSpan whole, TimeSpan? first, string prompt, string answer)
    {
        if (level == RequestLogging.Off)
            return;
        Ended(
            request.Id, request.Account?.Dialect ?? "-", request.Account?.Model ?? "-", request.Account?.Key ?? "-", end, usage.Prompt, usage.Cached, usage.Output, usage.Reasoning,
            (long)whole.TotalMilliseconds, first is { } wait ? (long)wait.TotalMilliseconds : -1);
        if (level >= RequestLogging.Sampling)
            Sampled(request.Id, request.Sampling.Temperature, request.Sampling.TopP, request.Sampling.TopK, request.MaxTokens, request.Sampling.Seed);
        if (HasContents)
            Said(request.Id, Cut(prompt), Cut(answer));
    }

    private string Cut(string text) => level == RequestLogging.Contents || text.Length <= ExcerptLength ? text : text[..ExcerptLength] + "...";

    [LoggerMessage(
        LogLevel.Information,
        "{request} {dialect} {model} key={key} end={end} prompt={prompt} cached={cached} output={output} reasoning={reasoning} ms={milliseconds} first_ms={firstMilliseconds}")]
    private partial void Ended(
        string request, string dialect, string model, string key, string end, int prompt, int cached, int output, int reasoning, long milliseconds, long firstMilliseconds);

    [LoggerMessage(LogLevel.Information, "{request} temperature={temperature} top_p={topP} top_k={topK} max_tokens={maxTokens} seed={seed}")]
    private partial void Sampled(string request, double? temperature, double? topP, int? topK, int? maxTokens, ulong? seed);

    [LoggerMessage(LogLevel.Information, "{request} prompt: {prompt} answer: {answer}")]
    private partial void Said(string request, string prompt, string answer);
}
