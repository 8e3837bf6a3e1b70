using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Glimmer.Chat;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Benchmarks.Agents;

/// <summary>Counts what clients send and what they get: requests, errors, prompts that do not fit, tokens. Records bodies, cleaned of paths and long texts, with the script's answers.</summary>
/// <param name="record">File to record to; null for none.</param>
internal sealed partial class AgentRequests(string? record) : IDisposable
{
    private const int MaxKept = 1 << 20;
    private readonly Lock _lock = new();
    private readonly AsyncLocal<Exchange?> _current = new();
    private readonly TextWriter? _file = record is null ? null : new StreamWriter(record, append: true) { AutoFlush = true };
    private int _requests;
    private int _errors;
    private int _overflows;
    private long _prompt;
    private long _output;

    /// <summary>The script answers the request that is being handled.</summary>
    public void Answered(string text)
    {
        if (_current.Value is { } exchange)
            exchange.Answer = text;
    }

    /// <summary>Stands before the server's routes.</summary>
    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        context.Request.EnableBuffering();
        using var copy = new MemoryStream();
        await context.Request.Body.CopyToAsync(copy);
        context.Request.Body.Position = 0;
        var exchange = new Exchange();
        _current.Value = exchange;
        Stream body = context.Response.Body;
        using var seen = new CopiedStream(body, MaxKept);
        context.Response.Body = seen;
        try
        {
            await next(context);
        }
        finally
        {
            context.Response.Body = body;
            lock (_lock)
                Add(context, copy, seen.Text(), exchange);
        }
    }

    /// <summary>The counts since they were asked for last, as members of a JSON object: <c>prompt_tokens</c> is the largest prompt, also of those that did not fit; <c>output_tokens</c> all that was generated.</summary>
    public string Take()
    {
        lock (_lock)
        {
            string counts = string.Create(CultureInfo.InvariantCulture, $"\"requests\":{_requests},\"errors\":{_errors},\"overflows\":{_overflows},\"prompt_tokens\":{_prompt},\"output_tokens\":{_output}");
            (_requests, _errors, _overflows, _prompt, _output) = (0, 0, 0, 0, 0);
            return counts;
        }
    }

    public void Dispose() => _file?.Dispose();

    private void Add(HttpContext context, MemoryStream request, string response, Exchange exchange)
    {
        _requests++;
        if (context.Response.StatusCode >= 400)
        {
            _errors++;
            Match overflow = Overflow().Match(response);
            if (context.Response.StatusCode == 400 && overflow.Success)
            {
                _overflows++;
                _prompt = Math.Max(_prompt, long.Parse(overflow.Groups[1].Value, CultureInfo.InvariantCulture));
            }

            Console.Error.WriteLine($"{context.Response.StatusCode} {context.Request.Method} {context.Request.Path} {response[..Math.Min(response.Length, 300)]}");
        }

        // An API's own counts; Anthropic's prompt leaves out what was cached. The last ones of a stream are the final ones.
        if (PromptTokens().Matches(response) is { Count: > 0 } prompts)
            _prompt = Math.Max(_prompt, Number(prompts[^1]) + (CacheRead().Matches(response) is { Count: > 0 } cached ? Number(cached[^1]) : 0));
        if (OutputTokens().Matches(response) is { Count: > 0 } outputs)
            _output += Number(outputs[^1]);
        if (_file is null || context.Request.Method != "POST")
            return;
        var line = new DataObject { { "path", context.Request.Path + context.Request.QueryString }, { "status", context.Response.StatusCode } };
        if (DataValue.TryParse(Encoding.UTF8.GetString(request.ToArray()), out DataValue? value))
            line["body"] = Clean(value);
        if (exchange.Answer is { } answer)
            line["answer"] = answer;
        _file.Write(line.ToJson() + "\n");
    }

    private static long Number(Match match) => long.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture);

    // Long texts become filler of their length, the same for the same text, at most 400 characters; folders and a device's number become words.
    private static DataValue Clean(DataValue value)
    {
        switch (value)
        {
            case { AsString: { } text }:
                string plain = Identity().Replace(AbsolutePath().Replace(text, "/folder"), new string('0', 64));
                return plain.Length <= 64 ? plain : Filler(plain);
            case DataArray list:
                return new DataArray(list.Select(Clean));
            case DataObject map:
                var cleaned = new DataObject();
                foreach ((string key, DataValue item) in map)
                    cleaned[key] = Clean(item);
                return cleaned;
            default:
                return value;
        }
    }

    private static string Filler(string text)
    {
        // Arguments that the model wrote are part of the next prompt.
        if (DataValue.TryParse(text, out _))
            return text;
        uint hash = 2166136261;
        foreach (char c in text)
            hash = (hash ^ c) * 16777619;
        string word = $"words {hash:x8} ";
        int length = Math.Min(text.Length, 400);
        return string.Concat(Enumerable.Repeat(word, (length / word.Length) + 1))[..length].TrimEnd();
    }

    [GeneratedRegex(@"(/[\w.@~-]+){2,}")]
    private static partial Regex AbsolutePath();

    [GeneratedRegex("[0-9a-f]{64}")]
    private static partial Regex Identity();

    // How each API says that a prompt does not fit, word for word: clients look for these texts.
    [GeneratedRegex(@"(?:you requested |prompt is too long: |input token count \()(\d+)(?= tokens in the prompt.*context_length_exceeded| tokens > \d+ maximum""|\) exceeds the maximum number of tokens allowed \(\d+\)\.)")]
    private static partial Regex Overflow();

    [GeneratedRegex(@"""(?:prompt_tokens|input_tokens|promptTokenCount)"":(\d+)")]
    private static partial Regex PromptTokens();

    [GeneratedRegex(@"""cache_read_input_tokens"":(\d+)")]
    private static partial Regex CacheRead();

    [GeneratedRegex(@"""(?:completion_tokens|output_tokens|candidatesTokenCount)"":(\d+)")]
    private static partial Regex OutputTokens();

    private sealed class Exchange
    {
        public string? Answer { get; set; }
    }
}
