using System.Text;
using Glimmer.Chat;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;

namespace Glimmer.Server.OpenAi;

/// <summary>Reads <c>/v1/responses</c>.</summary>
internal sealed class ResponsesReader(ServerOptions options)
{
    private const string ReasoningMark = "glimmer1:";

    /// <summary>Reasoning as text that only this server reads back.</summary>
    public static string Seal(string reasoning) => ReasoningMark + Convert.ToBase64String(Encoding.UTF8.GetBytes(reasoning));

    /// <summary>Translates a request.</summary>
    /// <param name="body">The body.</param>
    /// <param name="id">Its id.</param>
    /// <param name="earlier">The conversation of the response that it continues; empty for none.</param>
    /// <param name="tools">Its tools.</param>
    /// <exception cref="ApiException">A field is wrong.</exception>
    public TurnRequest Read(Fields body, string id, IReadOnlyList<ChatMessage> earlier, ResponseTools tools)
    {
        if (body.Flag("background") == true)
            throw ApiException.Invalid("background is not supported: responses are made while the client waits.", "background");
        var messages = new List<ChatMessage>();
        if (body.Text("instructions") is { Length: > 0 } instructions)
            messages.Add(ChatMessage.System(instructions));
        messages.AddRange(earlier);
        messages.AddRange(Input(body, tools));
        Fields? reasoning = body.Object("reasoning");
        Fields? text = body.Object("text");
        var request = new TurnRequest
        {
            Id = id,
            Messages = messages,
            Tools = tools.Definitions,
            ParallelCalls = body.Flag("parallel_tool_calls") ?? true,
            Thinking = ChatRequestReader.Effort(reasoning?.Text("effort"), "reasoning.effort", ChatRequestReader.Thinking(new Fields(Without(body, "reasoning")))),
            Sampling = new SamplingChoice { Temperature = body.Number("temperature", 0, 2), TopP = body.Number("top_p", 0, 1, excludeLeast: true) },
            MaxTokens = body.Integer("max_output_tokens", 1),
            Format = text?.Object("format") is { } format ? SharedFields.ResponseFormat(format) : null,
            Logprobs = body.TextOrTexts("include").Contains("message.output_text.logprobs"),
            TopLogprobs = body.Integer("top_logprobs", 0, 20) ?? 0,
        };
        return Choice(body, request, tools);
    }

    private IEnumerable<ChatMessage> Input(Fields body, ResponseTools tools)
    {
        DataValue input = body.Value("input") ?? throw body.Missing("input");
        if (input.AsString is { } single)
            return [ChatMessage.User(single)];
        var items = new List<ChatMessage>();
        var open = new OpenAnswer(items);
        IReadOnlyList<Fields> sent = body.Objects("input");
        for (int i = 0; i < sent.Count; i++)
        {
            Fields item = sent[i];
            switch (item.Text("type") ?? (item.Has("role") ? "message" : throw item.Missing("type")))
            {
                case "message":
                    AddMessage(item, i, items, open);
                    break;
                case "reasoning":
                    open.Think(Reasoning(item));
                    break;
                case "function_call":
                    open.Call(new ToolCall { Id = item.Text("call_id"), Name = tools.Shown(item.RequiredText("name"), item.Text("namespace")), Arguments = ChatRequestReader.Arguments(item) });
                    break;
                case "custom_tool_call":
                    open.Call(new ToolCall { Id = item.Text("call_id"), Name = tools.Shown(item.RequiredText("name"), null), Arguments = new DataObject { { "input", item.Text("input") ?? "" } } });
                    break;
                case "local_shell_call":
                    open.Call(new ToolCall { Id = item.Text("call_id"), Name = "local_shell", Arguments = new DataObject { { "command", string.Join(' ', item.Object("action")?.TextOrTexts("command") ?? []) } } });
                    break;
                case "function_call_output" or "custom_tool_call_output" or "local_shell_call_output":
                    open.Close();
                    string call = item.Text("call_id") ?? item.Text("id") ?? throw item.Missing("call_id");
                    items.Add(ChatMessage.Tool(Output(item, i), call));
                    break;
                case "item_reference":
                    throw ApiException.Invalid($"input.{i} refers to an item by its id; items are not stored. Send the item itself, or use previous_response_id.", $"input.{i}");
                default:
                    break; // Items of the vendor's own tools.
            }
        }

        open.Close();
        return items.Count > 0 ? items : throw ApiException.Invalid("input holds no message.", "input");
    }

    private void AddMessage(Fields item, int index, List<ChatMessage> items, OpenAnswer open)
    {
        string role = item.RequiredText("role");
        string text = Text(item, "content", index, options.Images);
        if (role == "assistant")
        {
            open.Say(text);
            return;
        }

        open.Close();
        items.Add(role switch
        {
            "user" => ChatMessage.User(text),
            "system" or "developer" => ChatMessage.System(text),
            _ => throw ApiException.Invalid($"input.{index}.role is '{role}'; expected user, assistant, system or developer.", $"input.{index}.role"),
        });
    }

    private static string Output(Fields item, int index) => item.Value("output") is DataObject content
        ? content.Find("content")?.AsString ?? Encoding.UTF8.GetString(JsonText.Write(json => json.WriteData(content)))
        : Text(item, "output", index, ImagePolicy.Placeholder);

    private static string Text(Fields item, string field, int index, ImagePolicy images)
    {
        if (item.Value(field) is null or { AsString: not null })
            return item.Text(field) ?? "";
        var text = new StringBuilder();
        IReadOnlyList<Fields> parts = item.Objects(field);
        for (int i = 0; i < parts.Count; i++)
        {
            string type = parts[i].RequiredText("type");
            string place = $"input.{index}.{field}.{i}";
            text.Append(type switch
            {
                "input_text" or "output_text" or "text" => parts[i].RequiredText("text"),
                "refusal" => parts[i].Text("refusal"),
                "input_image" or "input_file" or "input_audio" when images == ImagePolicy.Placeholder => $"[{type["input_".Length..]} omitted: this model reads text only]",
                "input_image" or "input_file" or "input_audio" => throw ApiException.Invalid(
                    $"This server runs a text-only model; {type["input_".Length..]} content (message {index}, part {i}) is not supported.", place, "unsupported_content"),
                _ => throw ApiException.Invalid($"{place}.type is '{type}'; expected input_text or output_text.", place),
            });
        }

        return text.ToString();
    }

    // The text itself, or what we sealed earlier; what others sealed is dropped.
    private static string Reasoning(Fields item)
    {
        string text = string.Concat(item.Objects("content").Select(part => part.Text("text")));
        if (text.Length > 0 || item.Text("encrypted_content") is not { } blob || !blob.StartsWith(ReasoningMark, StringComparison.Ordinal))
            return text;
        Span<byte> bytes = new byte[blob.Length];
        return Convert.TryFromBase64String(blob[ReasoningMark.Length..], bytes, out int written) ? Encoding.UTF8.GetString(bytes[..written]) : "";
    }

    private static TurnRequest Choice(Fields body, TurnRequest request, ResponseTools tools)
    {
        string? mode = null, named = null;
        if (body.Value("tool_choice") is not DataObject)
            mode = body.Text("tool_choice");
        else if (body.Object("tool_choice") is { } choice)
        {
            mode = choice.RequiredText("type");
            if (mode is "function" or "custom")
                named = tools.Shown(choice.RequiredText("name"), choice.Text("namespace"));
            else if (mode == "allowed_tools")
                mode = choice.Text("mode") ?? "auto";
        }

        switch (mode)
        {
            case null or "auto":
                return request;
            case "none":
                return request with { Choice = CallChoice.None };
            case "required" when request.Tools.Count > 0:
                return request with { Choice = CallChoice.Required };
            case "function" or "custom" when request.Tools.Any(tool => tool.Name == named):
                return request with { Choice = CallChoice.Required, NamedTool = named };
            default:
                throw ApiException.Invalid($"tool_choice '{named ?? mode}' cannot be met by the tools of the request.", "tool_choice");
        }
    }

    private static DataObject Without(Fields body, string field)
    {
        var rest = new DataObject();
        foreach (string key in (ReadOnlySpan<string>)["chat_template_kwargs", "thinking", "reasoning_effort"])
        {
            if (key != field && body.Value(key) is { } value)
                rest[key] = value;
        }

        return rest;
    }

    /// <summary>Gathers the items of one answer of the assistant: reasoning, text, calls.</summary>
    private sealed class OpenAnswer(List<ChatMessage> items)
    {
        private readonly StringBuilder _text = new();
        private readonly List<ToolCall> _calls = [];
        private string? _reasoning;

        public void Think(string text)
        {
            if (text.Length == 0)
                return;
            if (_text.Length > 0 || _calls.Count > 0)
                Close();
            _reasoning += text;
        }

        public void Say(string text)
        {
            if (_calls.Count > 0)
                Close();
            _text.Append(text);
        }

        public void Call(ToolCall call) => _calls.Add(call);

        public void Close()
        {
            if (_text.Length > 0 || _calls.Count > 0 || _reasoning is not null)
                items.Add(ChatMessage.Assistant(_text.ToString(), _reasoning) with { ToolCalls = [.. _calls] });
            _text.Clear();
            _calls.Clear();
            _reasoning = null;
        }
    }
}
