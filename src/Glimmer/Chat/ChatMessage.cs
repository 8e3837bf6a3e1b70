using System.Text.Json;

namespace Glimmer.Chat;

/// <summary>One message of a conversation.</summary>
public sealed record ChatMessage
{
    private static readonly HashSet<string> s_known = ["role", "content", "reasoning_content", "tool_calls", "tool_call_id", "name"];

    /// <summary>Who speaks: <c>system</c>, <c>user</c>, <c>assistant</c>, <c>tool</c>.</summary>
    public required string Role { get; init; }

    /// <summary>Text, or an array of parts (<c>{"type": "text", "text": ...}</c>); null when the message has none.</summary>
    public DataValue? Content { get; init; }

    /// <summary>What an assistant thought before answering.</summary>
    public string? ReasoningContent { get; init; }

    /// <summary>Calls that an assistant made.</summary>
    public IReadOnlyList<ToolCall> ToolCalls { get; init; } = [];

    /// <summary>The call that a tool message answers.</summary>
    public string? ToolCallId { get; init; }

    /// <summary>Name of the tool or the participant.</summary>
    public string? Name { get; init; }

    /// <summary>Other fields, passed to the template as they are.</summary>
    public DataObject? Additional { get; init; }

    /// <summary>A system message.</summary>
    public static ChatMessage System(string text) => new() { Role = "system", Content = text };

    /// <summary>A user message.</summary>
    public static ChatMessage User(string text) => new() { Role = "user", Content = text };

    /// <summary>An assistant message.</summary>
    public static ChatMessage Assistant(string text, string? reasoning = null) => new() { Role = "assistant", Content = text, ReasoningContent = reasoning };

    /// <summary>The result of a tool call.</summary>
    public static ChatMessage Tool(string text, string? callId = null) => new() { Role = "tool", Content = text, ToolCallId = callId };

    /// <summary>Reads a message as chat APIs send it.</summary>
    /// <param name="message">An object with at least <c>role</c>.</param>
    /// <param name="path">Where the message stands in the request, for error messages.</param>
    /// <exception cref="FormatException">A field is missing or has the wrong type; the message names it.</exception>
    public static ChatMessage FromJson(JsonElement message, string path = "message")
    {
        DataObject data = DataValue.From(message) as DataObject ?? throw new FormatException($"{path}: expected an object");
        DataValue? content = data.Find("content");
        if (content is not (null or NullValue or StringValue or DataArray))
            throw new FormatException($"{path}.content: expected a string, an array of parts or null");
        var additional = new DataObject();
        foreach ((string key, DataValue value) in data)
        {
            if (!s_known.Contains(key))
                additional[key] = value;
        }

        return new ChatMessage
        {
            Role = data.Find("role")?.AsString ?? throw new FormatException($"{path}.role: expected a string"),
            Content = content,
            ReasoningContent = ReadText(data, "reasoning_content", path),
            ToolCalls = ReadCalls(data.Find("tool_calls"), path),
            ToolCallId = ReadText(data, "tool_call_id", path),
            Name = ReadText(data, "name", path),
            Additional = additional.Count > 0 ? additional : null,
        };
    }

    /// <summary>The message as a template sees it. Null content is the empty string (templates would print "None"); absent content stays absent.</summary>
    internal DataObject ToData(string role)
    {
        var data = new DataObject { { "role", role } };
        if (Content is not null)
            data["content"] = Content.IsNull ? "" : Content;
        if (ReasoningContent is not null)
            data["reasoning_content"] = ReasoningContent;
        if (ToolCalls.Count > 0)
            data["tool_calls"] = new DataArray(ToolCalls.Select(call => call.ToData()));
        if (ToolCallId is not null)
            data["tool_call_id"] = ToolCallId;
        if (Name is not null)
            data["name"] = Name;
        foreach ((string key, DataValue value) in Additional ?? [])
            data[key] = value;
        return data;
    }

    private static string? ReadText(DataObject data, string key, string path) => data.Find(key) switch
    {
        null or NullValue => null,
        StringValue text => text.Text,
        _ => throw new FormatException($"{path}.{key}: expected a string or null"),
    };

    private static List<ToolCall> ReadCalls(DataValue? calls, string path)
    {
        if (calls is null or NullValue)
            return [];
        var array = calls as DataArray ?? throw new FormatException($"{path}.tool_calls: expected an array");
        var read = new List<ToolCall>(array.Count);
        for (int i = 0; i < array.Count; i++)
        {
            string place = $"{path}.tool_calls[{i}]";
            read.Add(ToolCall.FromData(array[i] as DataObject ?? throw new FormatException($"{place}: expected an object"), place));
        }

        return read;
    }
}
