using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Glimmer.Data.Synthesis;

/// <summary>Writes conversations as GLM-4.7 lays them out, for corpora that show conversations before fine-tuning begins.</summary>
/// <remarks>
/// Role tokens without line breaks, thoughts in <c>&lt;think&gt;...&lt;/think&gt;</c> and a lone <c>&lt;/think&gt;</c> without any, tools in a system turn, calls as
/// <c>&lt;tool_call&gt;name&lt;arg_key&gt;k&lt;/arg_key&gt;&lt;arg_value&gt;v&lt;/arg_value&gt;&lt;/tool_call&gt;</c>. Equal to the official template with thoughts of earlier turns kept; a test compares them. Ends with
/// <c>&lt;|user|&gt;</c>, the token by which a model ends its answer.
/// </remarks>
public static class GlmLayout
{
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The text of a conversation.</summary>
    /// <param name="record">The conversation.</param>
    public static string Render(TrainingRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        var text = new StringBuilder("[gMASK]<sop>");
        if (record.Tools.Count > 0)
        {
            text.Append("<|system|>\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n")
                .Append("You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n")
                .AppendJoin('\n', record.Tools.Select(Spaced))
                .Append("\n</tools>\n\nFor each function call, output the function name and arguments within the following XML format:\n")
                .Append("<tool_call>{function-name}<arg_key>{arg-key-1}</arg_key><arg_value>{arg-value-1}</arg_value><arg_key>{arg-key-2}</arg_key><arg_value>{arg-value-2}</arg_value>...</tool_call>");
        }

        string before = "";
        foreach (RecordMessage message in record.Messages)
        {
            switch (message.Role)
            {
                case "assistant":
                    Thought(text.Append("<|assistant|>"), message.ReasoningContent).Append(message.Content.Trim());
                    break;
                case "tool_call":
                    // A call belongs to the assistant's turn before it, where there is one.
                    if (before is not ("assistant" or "tool_call"))
                        Thought(text.Append("<|assistant|>"), message.ReasoningContent);
                    Call(text, message.Content);
                    break;
                case "tool":
                    text.Append(before == "tool" ? "" : "<|observation|>").Append("<tool_response>").Append(message.Content).Append("</tool_response>");
                    break;
                default:
                    text.Append("<|").Append(message.Role).Append("|>").Append(message.Content);
                    break;
            }

            before = message.Role;
        }

        return text.Append("<|user|>").ToString();
    }

    private static StringBuilder Thought(StringBuilder text, string? thought) => thought is null ? text.Append("</think>") : text.Append("<think>").Append(thought.Trim()).Append("</think>");

    private static void Call(StringBuilder text, string content)
    {
        using JsonDocument call = JsonDocument.Parse(content);
        text.Append("<tool_call>").Append(call.RootElement.GetProperty("name").GetString());
        foreach (JsonProperty argument in call.RootElement.GetProperty("arguments").EnumerateObject())
        {
            text.Append("<arg_key>").Append(argument.Name).Append("</arg_key><arg_value>")
                .Append(argument.Value.ValueKind == JsonValueKind.String ? argument.Value.GetString() : Spaced(argument.Value.GetRawText()))
                .Append("</arg_value>");
        }

        text.Append("</tool_call>");
    }

    /// <summary>JSON with a space behind colons and commas, as Python writes it.</summary>
    private static string Spaced(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        var text = new StringBuilder();
        Write(document.RootElement, text);
        return text.ToString();
    }

    private static void Write(JsonElement value, StringBuilder text)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                text.Append('{');
                int members = 0;
                foreach (JsonProperty member in value.EnumerateObject())
                {
                    text.Append(members++ > 0 ? ", " : "").Append(Quoted(member.Name)).Append(": ");
                    Write(member.Value, text);
                }

                text.Append('}');
                break;
            case JsonValueKind.Array:
                text.Append('[');
                int items = 0;
                foreach (JsonElement item in value.EnumerateArray())
                {
                    text.Append(items++ > 0 ? ", " : "");
                    Write(item, text);
                }

                text.Append(']');
                break;
            case JsonValueKind.String:
                text.Append(Quoted(value.GetString()!));
                break;
            default:
                text.Append(value.GetRawText());
                break;
        }
    }

    private static string Quoted(string text)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, s_options))
            json.WriteStringValue(text);
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }
}
