using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;

namespace Glimmer.Server.Anthropic;

/// <summary>Writes a message, whole or as events. Blocks never overlap: one is closed before the next opens.</summary>
/// <param name="model">The name that the client used.</param>
/// <param name="knowsFullContext">Whether the client knows the word for a full context.</param>
internal sealed class MessageReply(string model, bool knowsFullContext)
{
    private readonly string _id = RequestIds.New("msg_");
    private readonly StringBuilder _thinking = new();
    private int _index = -1;
    private string? _open;
    private bool _hasArguments;

    /// <summary>An event that says nothing but that the connection lives.</summary>
    public static void AddPing(EventStream stream) => stream.Add("ping", json =>
    {
        json.WriteStartObject();
        json.WriteString("type", "ping");
        json.WriteEndObject();
    });

    /// <summary>What an event adds to the stream.</summary>
    public void Add(EventStream stream, TurnEvent item)
    {
        switch (item)
        {
            case TurnStarted started:
                stream.Add("message_start", json =>
                {
                    json.WriteStartObject();
                    json.WriteString("type", "message_start");
                    json.WritePropertyName("message");
                    WriteMessage(json, null, new TurnUsage(started.PromptTokens, started.CachedTokens, 0, 0));
                    json.WriteEndObject();
                });
                break;
            case ThinkingPart thinking:
                Open(stream, "thinking", json =>
                {
                    json.WriteString("thinking", "");
                    json.WriteString("signature", "");
                });
                _thinking.Append(thinking.Text);
                Delta(stream, "thinking_delta", "thinking", thinking.Text);
                break;
            case TextPart text:
                Open(stream, "text", json => json.WriteString("text", ""));
                Delta(stream, "text_delta", "text", text.Text);
                break;
            case CallStarted call:
                Close(stream);
                Open(stream, "tool_use", json =>
                {
                    json.WriteString("id", CallId(call.Id));
                    json.WriteString("name", call.Name);
                    json.WriteStartObject("input");
                    json.WriteEndObject();
                });
                _hasArguments = false;
                break;
            case CallArguments arguments:
                _hasArguments = true;
                Delta(stream, "input_json_delta", "partial_json", arguments.Json);
                break;
            case CallEnded:
                if (!_hasArguments)
                    Delta(stream, "input_json_delta", "partial_json", "{}");
                Close(stream);
                break;
            case AnswerFinished { End: TurnEnd.Aborted }:
                throw new ApiException(ApiErrorKind.Unavailable, "The request was aborted.");
            case AnswerFinished finished:
                Close(stream);
                AddEnd(stream, finished);
                break;
        }
    }

    /// <summary>The whole message.</summary>
    public void WriteWhole(Utf8JsonWriter json, AnswerFinished finished) => WriteMessage(json, finished, finished.Usage);

    private void AddEnd(EventStream stream, AnswerFinished finished)
    {
        stream.Add("message_delta", json =>
        {
            json.WriteStartObject();
            json.WriteString("type", "message_delta");
            json.WriteStartObject("delta");
            json.WriteString("stop_reason", StopReason(finished));
            json.WriteString("stop_sequence", finished.StopText);
            json.WriteEndObject();
            WriteUsage(json, finished.Usage);
            json.WriteEndObject();
        });
        stream.Add("message_stop", json =>
        {
            json.WriteStartObject();
            json.WriteString("type", "message_stop");
            json.WriteEndObject();
        });
    }

    private void Open(EventStream stream, string type, Action<Utf8JsonWriter> write)
    {
        if (_open == type)
            return;
        Close(stream);
        _open = type;
        _index++;
        stream.Add("content_block_start", json =>
        {
            json.WriteStartObject();
            json.WriteString("type", "content_block_start");
            json.WriteNumber("index", _index);
            json.WriteStartObject("content_block");
            json.WriteString("type", type);
            write(json);
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private void Close(EventStream stream)
    {
        if (_open is null)
            return;
        if (_open == "thinking")
        {
            Delta(stream, "signature_delta", "signature", Signature(_thinking.ToString()));
            _thinking.Clear();
        }

        _open = null;
        stream.Add("content_block_stop", json =>
        {
            json.WriteStartObject();
            json.WriteString("type", "content_block_stop");
            json.WriteNumber("index", _index);
            json.WriteEndObject();
        });
    }

    private void Delta(EventStream stream, string type, string name, string text) => stream.Add("content_block_delta", json =>
    {
        json.WriteStartObject();
        json.WriteString("type", "content_block_delta");
        json.WriteNumber("index", _index);
        json.WriteStartObject("delta");
        json.WriteString("type", type);
        json.WriteString(name, text);
        json.WriteEndObject();
        json.WriteEndObject();
    });

    private void WriteMessage(Utf8JsonWriter json, AnswerFinished? finished, TurnUsage usage)
    {
        json.WriteStartObject();
        json.WriteString("id", _id);
        json.WriteString("type", "message");
        json.WriteString("role", "assistant");
        json.WriteString("model", model);
        json.WriteStartArray("content");
        if (finished is not null)
            WriteContent(json, finished.Message);
        json.WriteEndArray();
        json.WriteString("stop_reason", finished is null ? null : StopReason(finished));
        json.WriteString("stop_sequence", finished?.StopText);
        WriteUsage(json, usage);
        json.WriteEndObject();
    }

    private static void WriteContent(Utf8JsonWriter json, ParsedMessage message)
    {
        if (!string.IsNullOrEmpty(message.Reasoning))
        {
            json.WriteStartObject();
            json.WriteString("type", "thinking");
            json.WriteString("thinking", message.Reasoning);
            json.WriteString("signature", Signature(message.Reasoning));
            json.WriteEndObject();
        }

        if (!string.IsNullOrEmpty(message.Content))
        {
            json.WriteStartObject();
            json.WriteString("type", "text");
            json.WriteString("text", message.Content);
            json.WriteEndObject();
        }

        foreach (ToolCall call in message.ToolCalls)
        {
            json.WriteStartObject();
            json.WriteString("type", "tool_use");
            json.WriteString("id", CallId(call.Id ?? ""));
            json.WriteString("name", call.Name);
            json.WriteData("input", call.Arguments);
            json.WriteEndObject();
        }
    }

    private static void WriteUsage(Utf8JsonWriter json, TurnUsage usage)
    {
        json.WriteStartObject("usage");
        // Clients add the three numbers of the input to know how full the context is.
        json.WriteNumber("input_tokens", usage.Prompt - usage.Cached);
        json.WriteNumber("cache_creation_input_tokens", 0);
        json.WriteNumber("cache_read_input_tokens", usage.Cached);
        json.WriteNumber("output_tokens", usage.Output);
        json.WriteStartObject("output_tokens_details");
        json.WriteNumber("thinking_tokens", usage.Reasoning);
        json.WriteEndObject();
        json.WriteString("service_tier", "standard");
        json.WriteEndObject();
    }

    private string StopReason(AnswerFinished finished) => finished.End switch
    {
        TurnEnd.Calls => "tool_use",
        TurnEnd.StopText => "stop_sequence",
        TurnEnd.Length => "max_tokens",
        TurnEnd.ContextFull => knowsFullContext ? "model_context_window_exceeded" : "max_tokens",
        _ => "end_turn",
    };

    private static string CallId(string id) => id.StartsWith("call_", StringComparison.Ordinal) ? "toolu_" + id["call_".Length..] : id;

    // Nobody verifies it, but clients drop thinking without one.
    private static string Signature(string thinking) => Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes("glimmer" + thinking)).AsSpan(0, 18));
}
