using System.Text.Json;
using Glimmer.Server.Turns;

namespace Glimmer.Server.OpenAi;

/// <summary>Why an answer ended, in OpenAI's words.</summary>
internal static class FinishReasons
{
    /// <summary>The word.</summary>
    public static string Of(TurnEnd end) => end switch
    {
        TurnEnd.Length or TurnEnd.ContextFull => "length",
        TurnEnd.Calls => "tool_calls",
        TurnEnd.Aborted => "abort",
        _ => "stop",
    };
}

/// <summary>Writes <c>timings</c>, as llama.cpp's server has them.</summary>
internal static class TimingsWriter
{
    /// <summary>Writes the member. The answer's rate is that of the tokens after the first, which comes with the prompt.</summary>
    public static void Write(Utf8JsonWriter json, TurnTimings timings)
    {
        json.WriteStartObject("timings");
        json.WriteNumber("cache_n", timings.Cached);
        Part(json, "prompt", timings.Prompt, timings.Prompt, timings.PromptTime);
        Part(json, "predicted", timings.Output, timings.Output - 1, timings.OutputTime);
        json.WriteEndObject();
    }

    private static void Part(Utf8JsonWriter json, string name, int tokens, int timed, TimeSpan time)
    {
        json.WriteNumber(name + "_n", tokens);
        json.WriteNumber(name + "_ms", Math.Round(time.TotalMilliseconds, 3));
        json.WriteNumber(name + "_per_token_ms", timed > 0 ? Math.Round(time.TotalMilliseconds / timed, 4) : 0);
        json.WriteNumber(name + "_per_second", time > TimeSpan.Zero && timed > 0 ? Math.Round(timed / time.TotalSeconds, 3) : 0);
    }
}

/// <summary>Writes <c>usage</c>.</summary>
internal static class UsageWriter
{
    /// <summary>The usage of several answers to one prompt, which counts once.</summary>
    public static TurnUsage Sum(IEnumerable<AnswerFinished> answers)
    {
        TurnUsage sum = default;
        foreach (AnswerFinished answer in answers)
            sum = new TurnUsage(answer.Usage.Prompt, answer.Usage.Cached, sum.Output + answer.Usage.Output, sum.Reasoning + answer.Usage.Reasoning);
        return sum;
    }

    /// <summary>Writes the member.</summary>
    public static void Write(Utf8JsonWriter json, TurnUsage usage)
    {
        json.WriteStartObject("usage");
        json.WriteNumber("prompt_tokens", usage.Prompt);
        json.WriteNumber("completion_tokens", usage.Output);
        json.WriteNumber("total_tokens", usage.Total);
        json.WriteStartObject("prompt_tokens_details");
        json.WriteNumber("cached_tokens", usage.Cached);
        json.WriteEndObject();
        json.WriteStartObject("completion_tokens_details");
        json.WriteNumber("reasoning_tokens", usage.Reasoning);
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
