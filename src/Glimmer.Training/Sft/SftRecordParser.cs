using System.Text.Json;
using Glimmer.Chat;

namespace Glimmer.Training.Sft;

/// <summary>From one JSON object to a record: the formats that fine-tuning data comes in, normalised.</summary>
/// <remarks>
/// <para>Known by their keys: <c>messages</c> (OpenAI, ms-swift, Anthropic blocks), <c>conversations</c> or <c>conversation</c> (ShareGPT), <c>query</c> and <c>response</c> with
/// <c>history</c>, <c>instruction</c>, <c>input</c> and <c>output</c> (Alpaca), <c>text</c>. Other keys of a record are left alone.</para>
/// <para>Roles become system, user, assistant and tool; a message with role <c>tool_call</c> becomes a call of the assistant.</para>
/// </remarks>
public static class SftRecordParser
{
    /// <summary>Reads a record.</summary>
    /// <param name="json">The object.</param>
    /// <param name="place">Where it stands.</param>
    /// <exception cref="FormatException">It is no record; the message says what is wrong and what is expected.</exception>
    public static SftRecord Parse(JsonElement json, RecordPlace place)
    {
        if (json.ValueKind != JsonValueKind.Object)
            throw new FormatException($"expected an object, found {json.ValueKind.ToString().ToLowerInvariant()}.");
        SftRecord record = Fields(json, place);
        if (record.Text is not null)
            return record.Text.Length > 0 ? record : throw new FormatException("'text' is empty.");
        if (record.Messages.Count == 0)
            throw new FormatException("the conversation is empty.");
        if (record.Messages[^1].Message.Role != "assistant")
            throw new FormatException($"the last message is from '{record.Messages[^1].Message.Role}'; a record ends with what the assistant says or calls.");
        int system = -1;
        for (int i = 0; i < record.Messages.Count; i++)
            system = record.Messages[i].Message.Role == "system" ? i : system;
        return system <= 0 ? record : throw new FormatException($"messages[{system}] is a system message; only the first message can be one.");
    }

    private static SftRecord Fields(JsonElement json, RecordPlace place)
    {
        var record = new SftRecord
        {
            Place = place,
            Tools = Tools(json),
            Channel = Text(json, "channel"),
            TemplateVariables = Variables(json),
            RejectedResponse = Text(json, "rejected_response"),
        };
        if (json.TryGetProperty("messages", out JsonElement messages))
            return record with { Messages = SftMessageReader.Read(messages, "messages") };
        if (json.TryGetProperty("conversations", out JsonElement turns) || json.TryGetProperty("conversation", out turns))
            return record with { Messages = WithSystem(json, ShareGpt(turns)) };
        if (json.TryGetProperty("query", out _) || json.TryGetProperty("response", out _))
            return record with { Messages = WithSystem(json, QueryResponse(json)) };
        if (json.TryGetProperty("instruction", out _))
            return record with { Messages = WithSystem(json, Alpaca(json)) };
        if (json.TryGetProperty("text", out _))
            return record with { Text = Text(json, "text") ?? throw new FormatException("'text' is null.") };
        string keys = string.Join(", ", json.EnumerateObject().Select(property => property.Name).Take(6));
        throw new FormatException($"no known format: expected 'messages', 'conversations', 'query' and 'response', 'instruction' and 'output', or 'text'; found {(keys.Length == 0 ? "nothing" : keys)}.");
    }

    private static IReadOnlyList<SftMessage> ShareGpt(JsonElement turns)
    {
        if (turns.ValueKind != JsonValueKind.Array)
            throw new FormatException("'conversations' must be a list.");
        var messages = new List<SftMessage>();
        int i = 0;
        foreach (JsonElement turn in turns.EnumerateArray())
        {
            string path = $"conversations[{i++}]";
            if (turn.ValueKind != JsonValueKind.Object)
                throw new FormatException($"{path}: expected an object.");
            if (turn.TryGetProperty("human", out _) || turn.TryGetProperty("assistant", out _))
            {
                messages.Add(new SftMessage(ChatMessage.User(Text(turn, "human") ?? throw new FormatException($"{path}: 'human' is missing."))));
                messages.Add(new SftMessage(ChatMessage.Assistant(Text(turn, "assistant") ?? throw new FormatException($"{path}: 'assistant' is missing."))));
            }
            else
            {
                messages.AddRange(SftMessageReader.ReadOne(turn, path, Text(turn, "from") ?? Text(turn, "role"), turn.TryGetProperty("value", out JsonElement value) ? value : null));
            }
        }

        return SftMessageReader.Join(messages);
    }

    private static List<SftMessage> QueryResponse(JsonElement json)
    {
        var messages = new List<SftMessage>();
        if (json.TryGetProperty("history", out JsonElement history) && history.ValueKind != JsonValueKind.Null)
        {
            if (history.ValueKind != JsonValueKind.Array)
                throw new FormatException("'history' must be a list of pairs [query, response].");
            int i = 0;
            foreach (JsonElement pair in history.EnumerateArray())
            {
                if (pair.ValueKind != JsonValueKind.Array || pair.GetArrayLength() != 2 || pair[0].ValueKind != JsonValueKind.String || pair[1].ValueKind != JsonValueKind.String)
                    throw new FormatException($"history[{i}] must be a pair [query, response] of strings.");
                messages.Add(new SftMessage(ChatMessage.User(pair[0].GetString()!)));
                messages.Add(new SftMessage(ChatMessage.Assistant(pair[1].GetString()!)));
                i++;
            }
        }

        if (Text(json, "query") is { } query)
            messages.Add(new SftMessage(ChatMessage.User(query)));
        messages.Add(new SftMessage(ChatMessage.Assistant(Text(json, "response") ?? throw new FormatException("'response' is missing."))));
        return messages;
    }

    private static List<SftMessage> Alpaca(JsonElement json)
    {
        string instruction = Text(json, "instruction") ?? "", input = Text(json, "input") ?? "";
        string user = instruction.Length == 0 ? input : input.Length == 0 ? instruction : instruction + "\n" + input;
        return
        [
            new SftMessage(ChatMessage.User(user)),
            new SftMessage(ChatMessage.Assistant(Text(json, "output") ?? throw new FormatException("'output' is missing beside 'instruction'."))),
        ];
    }

    private static IReadOnlyList<SftMessage> WithSystem(JsonElement json, IReadOnlyList<SftMessage> messages) =>
        Text(json, "system") is { Length: > 0 } system ? [new SftMessage(ChatMessage.System(system)), .. messages] : messages;

    private static List<ToolDefinition> Tools(JsonElement json)
    {
        if (!json.TryGetProperty("tools", out JsonElement given) || given.ValueKind == JsonValueKind.Null)
            return [];
        // Data sets whose columns have one type each keep the list as JSON text.
        DataValue value = given.ValueKind != JsonValueKind.String ? DataValue.From(given)
            : string.IsNullOrWhiteSpace(given.GetString()) ? new DataArray()
            : DataValue.TryParse(given.GetString(), out DataValue? parsed) ? parsed : throw new FormatException("'tools' is a string but no JSON.");
        if (value is not DataArray list)
            throw new FormatException("'tools' must be a list of function schemas.");
        var tools = new List<ToolDefinition>();
        for (int i = 0; i < list.Count; i++)
        {
            DataValue item = list[i].AsString is { } text && DataValue.TryParse(text, out DataValue? inner) ? inner : list[i];
            tools.Add(new ToolDefinition(item as DataObject ?? throw new FormatException($"tools[{i}] must be an object.")));
        }

        return tools;
    }

    private static DataObject? Variables(JsonElement json) => !json.TryGetProperty("chat_template_kwargs", out JsonElement given) || given.ValueKind == JsonValueKind.Null ? null
        : DataValue.From(given) as DataObject ?? throw new FormatException("'chat_template_kwargs' must be an object.");

    private static string? Text(JsonElement json, string name) => !json.TryGetProperty(name, out JsonElement value) || value.ValueKind == JsonValueKind.Null ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString() : throw new FormatException($"'{name}' must be a string.");
}
