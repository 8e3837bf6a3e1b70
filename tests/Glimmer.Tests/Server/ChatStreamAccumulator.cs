using System.Text.Json;

namespace Glimmer.Tests.Server;

/// <summary>Adds the chunks of a stream of chat or text completions up, as the vendor's SDK does.</summary>
internal sealed class ChatStreamAccumulator
{
    private readonly SortedDictionary<int, AccumulatedChoice> _choices = [];

    /// <summary>The choices in order.</summary>
    public IReadOnlyList<AccumulatedChoice> Choices => [.. _choices.Values];

    /// <summary>The last usage that came; null for none.</summary>
    public JsonElement? Usage { get; private set; }

    /// <summary>Type and message of an error in the stream; null for none.</summary>
    public (string? Type, string? Message)? Error { get; private set; }

    /// <summary>Whether the stream ended with its last event.</summary>
    public bool IsTerminated { get; private set; }

    /// <summary>Chunks that had usage.</summary>
    public int ChunksWithUsage { get; private set; }

    /// <summary>Adds all events of a stream up.</summary>
    public static ChatStreamAccumulator Of(IEnumerable<string> events)
    {
        var accumulator = new ChatStreamAccumulator();
        foreach (string data in events)
            accumulator.Add(data);
        return accumulator;
    }

    private void Add(string data)
    {
        Assert.False(IsTerminated, "an event after the last one");
        if (data == "[DONE]")
        {
            IsTerminated = true;
            return;
        }

        JsonElement chunk = JsonDocument.Parse(data).RootElement;
        if (chunk.TryGetProperty("error", out JsonElement error))
        {
            Error = (error.GetProperty("type").GetString(), error.GetProperty("message").GetString());
            return;
        }

        if (chunk.TryGetProperty("usage", out JsonElement usage) && usage.ValueKind == JsonValueKind.Object)
        {
            Usage = usage;
            ChunksWithUsage++;
        }

        foreach (JsonElement item in chunk.GetProperty("choices").EnumerateArray())
        {
            int index = item.GetProperty("index").GetInt32();
            if (!_choices.TryGetValue(index, out AccumulatedChoice? choice))
                _choices[index] = choice = new AccumulatedChoice();
            choice.Add(item);
        }
    }
}

/// <summary>One choice of a stream.</summary>
internal sealed class AccumulatedChoice
{
    /// <summary>Visible text.</summary>
    public string Text { get; private set; } = "";

    /// <summary>Reasoning.</summary>
    public string Reasoning { get; private set; } = "";

    /// <summary>What a refusal says.</summary>
    public string Refusal { get; private set; } = "";

    /// <summary>Calls: id, name, arguments.</summary>
    public List<(string? Id, string? Name, string Arguments)> Calls { get; } = [];

    /// <summary>Why the choice ended; null before that.</summary>
    public string? Finish { get; private set; }

    /// <summary>The text that ended it.</summary>
    public string? Stop { get; private set; }

    /// <summary>Tokens with log-probabilities, by their text.</summary>
    public List<string> Logprobs { get; } = [];

    /// <summary>Ids of tokens.</summary>
    public List<int> Ids { get; } = [];

    /// <summary>Adds a choice of a chunk.</summary>
    public void Add(JsonElement choice)
    {
        Text += String(choice, "text");
        if (choice.TryGetProperty("delta", out JsonElement delta))
        {
            Text += String(delta, "content");
            Reasoning += String(delta, "reasoning_content");
            Refusal += String(delta, "refusal");
            if (delta.TryGetProperty("tool_calls", out JsonElement calls))
            {
                foreach (JsonElement call in calls.EnumerateArray())
                    AddCall(call);
            }
        }

        Finish = String(choice, "finish_reason") ?? Finish;
        Stop = String(choice, "stop_reason") ?? Stop;
        if (choice.TryGetProperty("logprobs", out JsonElement logprobs) && logprobs.ValueKind == JsonValueKind.Object)
        {
            if (logprobs.TryGetProperty("content", out JsonElement content))
                Logprobs.AddRange(content.EnumerateArray().Select(token => token.GetProperty("token").GetString()!));
            else
                Logprobs.AddRange(logprobs.GetProperty("tokens").EnumerateArray().Select(token => token.GetString()!));
        }

        if (choice.TryGetProperty("token_ids", out JsonElement ids))
            Ids.AddRange(ids.EnumerateArray().Select(id => id.GetInt32()));
    }

    private void AddCall(JsonElement call)
    {
        int index = call.GetProperty("index").GetInt32();
        Assert.InRange(index, 0, Calls.Count);
        JsonElement function = call.GetProperty("function");
        if (index == Calls.Count)
        {
            Calls.Add((String(call, "id"), String(function, "name"), String(function, "arguments") ?? ""));
            return;
        }

        Assert.Null(String(function, "name"));
        (string? id, string? name, string arguments) = Calls[index];
        Calls[index] = (id, name, arguments + String(function, "arguments"));
    }

    private static string? String(JsonElement value, string name) => value.TryGetProperty(name, out JsonElement text) && text.ValueKind == JsonValueKind.String ? text.GetString() : null;
}
