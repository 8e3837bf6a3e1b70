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
