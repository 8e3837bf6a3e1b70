using System.Text;
using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;
using Glimmer.Tokenization;

namespace Glimmer.Server.OpenAi;

/// <summary>Writes a response: its items as they grow, as events or at the end.</summary>
/// <param name="body">The request, parts of which the response repeats.</param>
/// <param name="model">The name that the client used.</param>
/// <param name="tools">The tools of the request.</param>
/// <param name="now">The time of the answer.</param>
/// <param name="turn">What was asked for.</param>
/// <param name="tokenizer">The vocabulary, for the tokens of log-probabilities.</param>
internal sealed class ResponseReply(Fields body, string model, ResponseTools tools, DateTimeOffset now, TurnRequest turn, Tokenizer tokenizer)
{
    private readonly List<TokenMade> _made = []; // Tokens whose text has not been given yet.
    private readonly List<DataValue> _logprobs = []; // Of the message that is open.
    private readonly long _created = now.ToUnixTimeSeconds();
    private readonly bool _seals = body.TextOrTexts("include").Contains("reasoning.encrypted_content");
    private readonly List<DataObject> _items = [];
    private readonly StringBuilder _text = new();
    private ItemKind _open;
    private string _itemId = "";
    private string _callId = "";
    private ResponseTool? _tool;
    private string _calledName = "";
    private int _sequence;
    private string _status = "in_progress";
    private string? _incomplete;
    private ApiException? _error;
    private TurnUsage? _usage;

    private enum ItemKind
    {
        None,
        Reasoning,
        Message,
        Call,
    }

    /// <summary>The id of the response.</summary>
    public string Id { get; } = RequestIds.New("resp_");

    /// <summary>The message, when it is complete.</summary>
    public ParsedMessage? Message { get; private set; }

    /// <summary>The first two events.</summary>
    public void AddOpening(EventStream stream)
    {
        AddResponse(stream, "response.created");
        AddResponse(stream, "response.in_progress");
    }

    /// <summary>Takes an event; a stream gets what follows from it.</summary>
    public void Add(EventStream? stream, TurnEvent item)
    {
        switch (item)
        {
            case TokenMade { Region: TokenRegion.Answer } made when turn.Logprobs:
                _made.Add(made);
                break;
            case ThinkingPart thinking:
                Open(stream, ItemKind.Reasoning);
                _text.Append(thinking.Text);
                AddPartEvent(stream, "response.reasoning_text.delta", "delta", thinking.Text, null);
                break;
            case TextPart text:
                Open(stream, ItemKind.Message);
                _text.Append(text.Text);
                AddPartEvent(stream, "response.output_text.delta", "delta", text.Text, Taken());
                break;
            case CallStarted call:
                _made.Clear(); // The call's own.
                Close(stream);
                _tool = tools.Called(call.Name);
                (_callId, _calledName) = (call.Id, _tool?.Name ?? call.Name);
                Open(stream, ItemKind.Call);
                break;
            case CallArguments arguments:
                _text.Append(arguments.Json);
                if (_tool?.IsCustom != true)
                    AddCallEvent(stream, "response.function_call_arguments.delta", "delta", arguments.Json, withName: false);
                break;
            case CallEnded call:
                string whole = _tool?.IsCustom == true ? call.Call.Arguments.Find("input")?.AsString ?? "" : _text.Length == 0 ? "{}" : _text.ToString();
                _text.Clear().Append(whole);
                _made.Clear();
                Close(stream);
                break;
            case CallCut:
                _made.Clear();
                Close(stream, "incomplete");
                break;
            case AnswerFinished { End: TurnEnd.Aborted }:
                throw new ApiException(ApiErrorKind.Unavailable, "The request was aborted.");
            case AnswerFinished finished:
                Finish(stream, finished);
                break;
        }
    }

    /// <summary>The event that ends a stream that failed.</summary>
    public void AddFailure(EventStream stream, ApiException error)
    {
        (_status, _error) = ("failed", error);
        AddResponse(stream, "response.failed");
    }

    /// <summary>The whole response as it is now.</summary>
    public void WriteResponse(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("id", Id);
        json.WriteString("object", "response");
        json.WriteNumber("created_at", _created);
        json.WriteString("status", _status);
        json.WriteBoolean("background", false);
        WriteErrors(json);
        json.WriteData("instructions", body.Value("instructions"));
        json.WriteData("max_output_tokens", body.Value("max_output_tokens"));
        json.WriteString("model", model);
        json.WriteStartArray("output");
        foreach (DataObject item in _items)
            json.WriteData(item);
        json.WriteEndArray();
        json.WriteBoolean("parallel_tool_calls", body.Flag("parallel_tool_calls") ?? true);
        json.WriteData("previous_response_id", body.Value("previous_response_id"));
        json.WriteStartObject("reasoning");
        json.WriteString("effort", body.Object("reasoning")?.Text("effort"));
        json.WriteData("summary", body.Object("reasoning")?.Value("summary"));
        json.WriteEndObject();
        json.WriteBoolean("store", body.Flag("store") ?? false);
        json.WriteData("temperature", body.Value("temperature") ?? DataValue.From(1.0));
        json.WriteData("text", body.Value("text") ?? new DataObject { { "format", new DataObject { { "type", "text" } } } });
        json.WriteData("tool_choice", body.Value("tool_choice") ?? "auto");
        // Only the kinds that every version of the SDKs knows.
        json.WriteData("tools", new DataArray(body.List("tools").Where(tool => (tool as DataObject)?.Find("type")?.AsString is "function" or "custom")));
        json.WriteNumber("top_logprobs", turn.TopLogprobs);
        json.WriteData("top_p", body.Value("top_p") ?? DataValue.From(1.0));
        json.WriteData("truncation", body.Value("truncation") ?? "disabled");
        WriteUsage(json);
        json.WriteData("user", body.Value("user"));
        json.WriteData("metadata", body.Value("metadata") ?? new DataObject());
        json.WriteEndObject();
    }

    private void Finish(EventStream? stream, AnswerFinished finished)
    {
        Close(stream, finished.End is TurnEnd.Length or TurnEnd.ContextFull ? "incomplete" : "completed");
        (_usage, Message) = (finished.Usage, finished.Message);
        if (finished.End is TurnEnd.Length or TurnEnd.ContextFull)
            (_status, _incomplete) = ("incomplete", "max_output_tokens");
        else
            _status = "completed";
        AddResponse(stream, _status == "completed" ? "response.completed" : "response.incomplete");
    }

    private void Open(EventStream? stream, ItemKind kind)
    {
        if (_open == kind && kind != ItemKind.Call)
            return;
        Close(stream);
        _open = kind;
        _itemId = RequestIds.New(kind switch { ItemKind.Reasoning => "rs_", ItemKind.Message => "msg_", _ => _tool?.IsCustom == true ? "ctc_" : "fc_" });
        _text.Clear();
        AddEvent(stream, "response.output_item.added", json => json.WriteData("item", Item("in_progress", isOpen: true)));
        if (kind != ItemKind.Call)
            AddPart(stream, "response.content_part.added", "");
    }

    private void Close(EventStream? stream, string status = "completed")
    {
        if (_open == ItemKind.None)
            return;
        string text = _text.ToString();
        switch (_open)
        {
            case ItemKind.Reasoning:
                AddPartEvent(stream, "response.reasoning_text.done", "text", text, null);
                AddPart(stream, "response.content_part.done", text);
                break;
            case ItemKind.Message:
                Taken();
                AddPartEvent(stream, "response.output_text.done", "text", text, new DataArray(_logprobs));
                AddPart(stream, "response.content_part.done", text);
                break;
            case ItemKind.Call when _tool?.IsCustom == true:
                AddCallEvent(stream, "response.custom_tool_call_input.delta", "delta", text, withName: false);
                AddCallEvent(stream, "response.custom_tool_call_input.done", "input", text, withName: false);
                break;
            default:
                AddCallEvent(stream, "response.function_call_arguments.done", "arguments", text, withName: true);
                break;
        }

        DataObject item = Item(status, isOpen: false);
        AddEvent(stream, "response.output_item.done", json => json.WriteData("item", item));
        _items.Add(item);
        _logprobs.Clear();
        _open = ItemKind.None;
    }

    private DataObject Item(string status, bool isOpen)
    {
        string text = isOpen ? "" : _text.ToString();
        var item = new DataObject { { "id", _itemId } };
        switch (_open)
        {
            case ItemKind.Reasoning:
                item["type"] = "reasoning";
                item["summary"] = new DataArray([]);
                item["content"] = isOpen ? new DataArray([]) : new DataArray([new DataObject { { "type", "reasoning_text" }, { "text", text } }]);
                item["encrypted_content"] = _seals && !isOpen ? ResponsesReader.Seal(text) : DataValue.Null;
                break;
            case ItemKind.Message:
                item["type"] = "message";
                item["role"] = "assistant";
                item["content"] = isOpen ? new DataArray([]) : new DataArray([TextPartOf(text)]);
                break;
            default:
                item["type"] = _tool?.IsCustom == true ? "custom_tool_call" : "function_call";
                item["call_id"] = _callId;
                item["name"] = _calledName;
                if (_tool?.Namespace is { } space)
                    item["namespace"] = space;
                item[_tool?.IsCustom == true ? "input" : "arguments"] = text;
                break;
        }

        item["status"] = status;
        return item;
    }

    private DataObject TextPartOf(string text) =>
        new() { { "type", "output_text" }, { "text", text }, { "annotations", new DataArray([]) }, { "logprobs", new DataArray(_logprobs) } };

    // The log-probabilities of the tokens since the last text; empty when they were not asked for.
    private DataArray Taken()
    {
        DataArray taken = LogprobWriter.Of(tokenizer, _made, turn.TopLogprobs);
        _made.Clear();
        _logprobs.AddRange(taken);
        return taken;
    }

    private void AddPart(EventStream? stream, string type, string text) => AddEvent(stream, type, json =>
    {
        json.WriteString("item_id", _itemId);
        json.WriteNumber("content_index", 0);
        json.WriteData("part", _open == ItemKind.Message ? TextPartOf(text) : new DataObject { { "type", "reasoning_text" }, { "text", text } });
    });

    private void AddPartEvent(EventStream? stream, string type, string name, string text, DataArray? logprobs) => AddEvent(stream, type, json =>
    {
        json.WriteString("item_id", _itemId);
        json.WriteNumber("content_index", 0);
        json.WriteString(name, text);
        if (logprobs is not null)
            json.WriteData("logprobs", logprobs);
    });

    private void AddCallEvent(EventStream? stream, string type, string name, string text, bool withName) => AddEvent(stream, type, json =>
    {
        json.WriteString("item_id", _itemId);
        if (withName)
            json.WriteString("name", _calledName);
        json.WriteString(name, text);
    });

    private void AddEvent(EventStream? stream, string type, Action<Utf8JsonWriter> write) => stream?.Add(type, json =>
    {
        json.WriteStartObject();
        json.WriteString("type", type);
        json.WriteNumber("sequence_number", _sequence++);
        json.WriteNumber("output_index", _items.Count);
        write(json);
        json.WriteEndObject();
    });

    private void AddResponse(EventStream? stream, string type) => stream?.Add(type, json =>
    {
        json.WriteStartObject();
        json.WriteString("type", type);
        json.WriteNumber("sequence_number", _sequence++);
        json.WritePropertyName("response");
        WriteResponse(json);
        json.WriteEndObject();
    });

    private void WriteErrors(Utf8JsonWriter json)
    {
        if (_error is null)
            json.WriteNull("error");
        else
        {
            json.WriteStartObject("error");
            json.WriteString("code", _error.Code ?? "server_error");
            json.WriteString("message", _error.Message);
            json.WriteEndObject();
        }

        if (_incomplete is null)
            json.WriteNull("incomplete_details");
        else
        {
            json.WriteStartObject("incomplete_details");
            json.WriteString("reason", _incomplete);
            json.WriteEndObject();
        }
    }

    private void WriteUsage(Utf8JsonWriter json)
    {
        if (_usage is not { } usage)
        {
            json.WriteNull("usage");
            return;
        }

        json.WriteStartObject("usage");
        json.WriteNumber("input_tokens", usage.Prompt);
        json.WriteStartObject("input_tokens_details");
        json.WriteNumber("cached_tokens", usage.Cached);
        json.WriteNumber("cache_write_tokens", 0);
        json.WriteEndObject();
        json.WriteNumber("output_tokens", usage.Output);
        json.WriteStartObject("output_tokens_details");
        json.WriteNumber("reasoning_tokens", usage.Reasoning);
        json.WriteEndObject();
        json.WriteNumber("total_tokens", usage.Total);
        json.WriteEndObject();
    }
}
