using System.Text.Json;
using Glimmer.Chat;

namespace Glimmer.Training.Sft;

/// <summary>Reads the messages of a record: roles, calls and results of the various APIs become system, user, assistant and tool.</summary>
internal static class SftMessageReader
{
    /// <summary>Reads a list of messages.</summary>
    /// <exception cref="FormatException">A message is malformed; the text names it.</exception>
    public static IReadOnlyList<SftMessage> Read(JsonElement messages, string path)
    {
        if (messages.ValueKind != JsonValueKind.Array)
            throw new FormatException($"'{path}' must be a list.");
        var read = new List<SftMessage>();
        int i = 0;
        foreach (JsonElement message in messages.EnumerateArray())
        {
            string place = $"{path}[{i++}]";
            if (message.ValueKind != JsonValueKind.Object)
                throw new FormatException($"{place}: expected an object.");
            JsonElement? content = message.TryGetProperty("content", out JsonElement given) ? given : null;
            read.AddRange(ReadOne(message, place, message.TryGetProperty("role", out JsonElement role) && role.ValueKind == JsonValueKind.String ? role.GetString() : null, content));
        }

        return Join(read);
    }

    /// <summary>Reads one message, which becomes several when it holds results of several tools.</summary>
    public static IEnumerable<SftMessage> ReadOne(JsonElement message, string path, string? role, JsonElement? content)
    {
        float weight = Weight(message, path);
        switch (role)
        {
            case "system" or "developer":
                return [new SftMessage(ChatMessage.System(PlainText(content, path)))];
            case "user" or "human":
                return UserOrResults(content, path);
            case "assistant" or "gpt" or "model" or "bot":
                return [Assistant(message, content, path, weight)];
            case "tool_call" or "function_call":
                return [new SftMessage(ChatMessage.Assistant("") with { ToolCalls = [.. Calls(PlainText(content, path), path)] }, weight)];
            case "tool" or "tool_response" or "observation" or "function":
                return [new SftMessage(ChatMessage.Tool(PlainText(content, path), message.TryGetProperty("tool_call_id", out JsonElement id) && id.ValueKind == JsonValueKind.String ? id.GetString() : null))];
            case null:
                throw new FormatException($"{path}: 'role' is missing or no string.");
            default:
                throw new FormatException($"{path}: the role '{role}' is unknown; expected system, user, assistant, tool_call or tool.");
        }
    }

    /// <summary>Joins messages of the assistant that follow one another into one turn. Each part of the text keeps its weight; calls share the first one's.</summary>
    public static IReadOnlyList<SftMessage> Join(IReadOnlyList<SftMessage> messages)
    {
        var joined = new List<SftMessage>();
        foreach (SftMessage message in messages)
        {
            if (joined.Count > 0 && message.Message.Role == "assistant" && joined[^1].Message.Role == "assistant")
                joined[^1] = Joined(joined[^1], message);
            else
                joined.Add(message);
        }

        return joined;
    }

    private static SftMessage Joined(SftMessage first, SftMessage second)
    {
        (ChatMessage a, ChatMessage b) = (first.Message, second.Message);
        string left = a.Content?.AsString ?? "", right = b.Content?.AsString ?? "";
        if (a.ToolCalls.Count > 0 && right.Length > 0)
            throw new FormatException("the assistant writes text after a tool call without a result between them; no GLM template can show that.");
        if (b.ReasoningContent is { Length: > 0 } && (left.Length > 0 || a.ReasoningContent is { Length: > 0 }))
            throw new FormatException("two assistant messages follow one another and the second one thinks; a turn thinks once, at its beginning.");
        int offset = Characters(left);
        var spans = new List<LossSpan>(first.Spans ?? []);
        if (second.Weight != first.Weight && right.Length > 0)
            spans.Add(new LossSpan(offset, offset + Characters(right), second.Weight));
        spans.AddRange((second.Spans ?? []).Select(span => new LossSpan(span.From + offset, span.To + offset, span.Weight)));
        // A turn that begins with its calls has their weight; after text they may have another one.
        float weight = left.Length == 0 && a.ToolCalls.Count == 0 && a.ReasoningContent is null ? second.Weight : first.Weight;
        float? calls = a.ToolCalls.Count > 0 ? first.CallWeight ?? first.Weight : b.ToolCalls.Count > 0 ? second.Weight : null;
        return new SftMessage(
            a with { Content = left + right, ReasoningContent = a.ReasoningContent ?? b.ReasoningContent, ToolCalls = [.. a.ToolCalls, .. b.ToolCalls] },
            weight,
            spans.Count > 0 ? spans : null)
        {
            CallWeight = calls,
        };
    }

    private static SftMessage Assistant(JsonElement message, JsonElement? content, string path, float weight)
    {
        var text = new System.Text.StringBuilder();
        var calls = new List<ToolCall>();
        string? reasoning = null;
        if (content is { ValueKind: JsonValueKind.Array } blocks)
        {
            int i = 0;
            foreach (JsonElement block in blocks.EnumerateArray())
            {
                string place = $"{path}.content[{i++}]", type = TypeOf(block, place);
                switch (type)
                {
                    case "text":
                        text.Append(Required(block, "text", place));
                        break;
                    case "thinking":
                        reasoning += Required(block, "thinking", place);
                        break;
                    case "tool_use":
                        calls.Add(new ToolCall
                        {
                            Id = block.TryGetProperty("id", out JsonElement id) && id.ValueKind == JsonValueKind.String ? id.GetString() : null,
                            Name = Required(block, "name", place),
                            Arguments = block.TryGetProperty("input", out JsonElement input) && DataValue.From(input) is DataObject given ? given : throw new FormatException($"{place}.input must be an object."),
                        });
                        break;
                    default:
                        throw new FormatException($"{place}: a block of type '{type}' cannot be trained on; expected text, thinking or tool_use.");
                }
            }
        }
        else
        {
            text.Append(PlainText(content, path, mayBeAbsent: true));
        }

        if (message.TryGetProperty("tool_calls", out JsonElement list) && list.ValueKind != JsonValueKind.Null)
        {
            if (list.ValueKind != JsonValueKind.Array)
                throw new FormatException($"{path}.tool_calls must be a list.");
            int i = 0;
            foreach (JsonElement call in list.EnumerateArray())
                calls.Add(Call(DataValue.From(call), $"{path}.tool_calls[{i++}]"));
        }

        if (message.TryGetProperty("reasoning_content", out JsonElement thought) && thought.ValueKind != JsonValueKind.Null)
            reasoning = thought.ValueKind == JsonValueKind.String ? thought.GetString() : throw new FormatException($"{path}.reasoning_content must be a string.");
        string answer = text.ToString();
        return new SftMessage(ChatMessage.Assistant(answer, reasoning) with { ToolCalls = calls }, weight, Spans(message, Characters(answer), path));
    }

    private static IEnumerable<SftMessage> UserOrResults(JsonElement? content, string path)
    {
        if (content is not { ValueKind: JsonValueKind.Array } blocks)
            return [new SftMessage(ChatMessage.User(PlainText(content, path)))];
        var results = new List<SftMessage>();
        var text = new System.Text.StringBuilder();
        int i = 0;
        foreach (JsonElement block in blocks.EnumerateArray())
        {
            string place = $"{path}.content[{i++}]", type = TypeOf(block, place);
            if (type == "tool_result")
            {
                string result = PlainText(block.TryGetProperty("content", out JsonElement inner) ? inner : null, place, mayBeAbsent: true);
                results.Add(new SftMessage(ChatMessage.Tool(result, block.TryGetProperty("tool_use_id", out JsonElement id) && id.ValueKind == JsonValueKind.String ? id.GetString() : null)));
            }
            else if (type == "text")
            {
                text.Append(Required(block, "text", place));
            }
            else
            {
                throw new FormatException($"{place}: a block of type '{type}' cannot be trained on; expected text or tool_result.");
            }
        }

        if (text.Length > 0 || results.Count == 0)
            results.Add(new SftMessage(ChatMessage.User(text.ToString())));
        return results;
    }

    // {"name": ..., "arguments": {...}}, a list of them, or OpenAI's form.
    private static IEnumerable<ToolCall> Calls(string json, string path)
    {
        if (!DataValue.TryParse(json, out DataValue? value))
            throw new FormatException($"{path}: the content of a tool_call must be JSON: {{\"name\": ..., \"arguments\": {{...}}}}.");
        return value is DataArray list ? Enumerable.Range(0, list.Count).Select(i => Call(list[i], $"{path}[{i}]")).ToArray() : [Call(value, path)];
    }

    private static ToolCall Call(DataValue value, string path) => ToolCall.FromData(value as DataObject ?? throw new FormatException($"{path}: a tool call must be an object."), path);

    private static string PlainText(JsonElement? content, string path, bool mayBeAbsent = false)
    {
        switch (content?.ValueKind)
        {
            case JsonValueKind.String:
                return content.Value.GetString()!;
            case null or JsonValueKind.Null when mayBeAbsent:
                return "";
            case JsonValueKind.Array:
                int i = 0;
                return string.Concat(content.Value.EnumerateArray().Select(part => part.ValueKind == JsonValueKind.String ? part.GetString()
                    : TypeOf(part, $"{path}.content[{i}]") == "text" ? Required(part, "text", $"{path}.content[{i++}]")
                    : throw new FormatException($"{path}.content[{i}]: only parts of type text can be trained on.")));
            case JsonValueKind.Object when mayBeAbsent is false:
                return DataValue.From(content.Value).ToJson(); // results of tools are often kept as objects
            default:
                throw new FormatException($"{path}: 'content' is missing or no string.");
        }
    }

    private static float Weight(JsonElement message, string path)
    {
        float weight = 1;
        if (message.TryGetProperty("loss_scale", out JsonElement scale) && scale.ValueKind != JsonValueKind.Null)
        {
            if (scale.ValueKind != JsonValueKind.Number || !scale.TryGetSingle(out weight) || !(weight >= 0 && float.IsFinite(weight)))
                throw new FormatException($"{path}.loss_scale must be a number of 0 or more.");
        }

        if (!message.TryGetProperty("loss", out JsonElement loss) || loss.ValueKind == JsonValueKind.Null)
            return weight;
        return loss.ValueKind switch
        {
            JsonValueKind.True => weight,
            JsonValueKind.False => 0,
            JsonValueKind.Number when loss.TryGetDouble(out double number) && number is 0 or 1 => (float)loss.GetDouble() * weight,
            _ => throw new FormatException($"{path}.loss must be true or false."),
        };
    }

    private static List<LossSpan>? Spans(JsonElement message, int length, string path)
    {
        if (!message.TryGetProperty("loss_spans", out JsonElement list) || list.ValueKind == JsonValueKind.Null)
            return null;
        if (list.ValueKind != JsonValueKind.Array)
            throw new FormatException($"{path}.loss_spans must be a list of [from, to, weight].");
        var spans = new List<LossSpan>();
        foreach (JsonElement span in list.EnumerateArray())
        {
            if (span.ValueKind != JsonValueKind.Array || span.GetArrayLength() != 3 || span[0].ValueKind != JsonValueKind.Number || span[1].ValueKind != JsonValueKind.Number
                || span[2].ValueKind != JsonValueKind.Number || !span[0].TryGetInt32(out int from) || !span[1].TryGetInt32(out int to) || !span[2].TryGetSingle(out float weight))
                throw new FormatException($"{path}.loss_spans[{spans.Count}] must be [from, to, weight].");
            if (from < 0 || to < from || to > length || !(weight >= 0 && float.IsFinite(weight)))
                throw new FormatException($"{path}.loss_spans[{spans.Count}] is [{from}, {to}, {weight}]; expected 0 <= from <= to <= {length} characters and a weight of 0 or more.");
            spans.Add(new LossSpan(from, to, weight));
        }

        return spans;
    }

    private static string TypeOf(JsonElement block, string path) => block.ValueKind == JsonValueKind.Object ? Required(block, "type", path) : throw new FormatException($"{path}: expected an object.");

    private static string Required(JsonElement block, string name, string path) =>
        block.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : throw new FormatException($"{path}.{name} must be a string.");

    // Unicode characters, as other languages count them.
    private static int Characters(string text)
    {
        int count = 0;
        foreach (System.Text.Rune _ in text.EnumerateRunes())
            count++;
        return count;
    }
}
