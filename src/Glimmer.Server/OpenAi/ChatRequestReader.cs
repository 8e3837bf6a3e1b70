using Glimmer.Chat;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;

namespace Glimmer.Server.OpenAi;

/// <summary>What a chat or completion request asks of the answer's form; the rest is a <see cref="TurnRequest"/>.</summary>
/// <param name="Model">The name as sent, for the answer.</param>
/// <param name="Stream">Whether the answer is a stream of events.</param>
/// <param name="IncludeUsage">Whether the stream ends with a chunk of usage.</param>
/// <param name="ContinuousUsage">Whether every chunk has usage.</param>
/// <param name="SeparateReasoning">Whether reasoning stands apart from the text.</param>
/// <param name="StreamReasoning">Whether reasoning is streamed.</param>
/// <param name="ReturnTokenIds">Whether ids are returned.</param>
/// <param name="Timings">Whether the end says how long prompt and answer took.</param>
/// <param name="ContinuousTimings">Whether every chunk says so.</param>
internal sealed record ReplyForm(
    string Model, bool Stream, bool IncludeUsage, bool ContinuousUsage, bool SeparateReasoning = true, bool StreamReasoning = true, bool ReturnTokenIds = false, bool Timings = false,
    bool ContinuousTimings = false);

/// <summary>Reads <c>/v1/chat/completions</c>.</summary>
internal static class ChatRequestReader
{
    private const int MaxTools = 1024;

    /// <summary>Translates a request.</summary>
    /// <exception cref="ApiException">A field is wrong.</exception>
    public static (TurnRequest Turn, ReplyForm Form) Read(Fields body, ServerState state, string id)
    {
        RefuseUnsupported(body);
        TurnRequest turn = SharedFields.Read(body, id) with
        {
            Messages = [.. body.Objects("messages").Select((message, i) => Message(message, i, state.Options.Images))],
            Tools = Tools(body),
            ParallelCalls = body.Flag("parallel_tool_calls") ?? true,
            Thinking = Thinking(body),
            TemplateVariables = body.Object("chat_template_kwargs")?.Data,
            Logprobs = body.Flag("logprobs") ?? false,
            TopLogprobs = body.Integer("top_logprobs", 0, 20) ?? 0,
            ContinueFinal = body.Flag("continue_final_message") ?? false,
            AddGenerationPrompt = body.Flag("add_generation_prompt") ?? true,
        };
        if (turn.Messages.Count == 0)
            throw ApiException.Invalid("messages is required and must hold at least one message.", "messages");
        if (turn.ContinueFinal && body.Flag("add_generation_prompt") == true)
            throw ApiException.Invalid("continue_final_message and add_generation_prompt exclude each other.", "continue_final_message");
        turn = ToolChoice(body, turn);
        return (turn, SharedFields.Form(body));
    }

    /// <summary>The thinking switches: <c>chat_template_kwargs</c> before <c>thinking</c> before <c>reasoning_effort</c>.</summary>
    public static ThinkingSwitches Thinking(Fields body)
    {
        Fields? kwargs = body.Object("chat_template_kwargs"), zai = body.Object("thinking");
        bool? enabled = kwargs?.Flag("enable_thinking");
        enabled ??= zai?.Text("type") switch
        {
            null => null,
            "enabled" or "adaptive" => true,
            "disabled" => false,
            { } other => throw ApiException.Invalid($"thinking.type is '{other}'; expected 'enabled' or 'disabled'.", "thinking.type"),
        };
        string? effort = body.Text("reasoning_effort") ?? body.Object("reasoning")?.Text("effort");
        return Effort(effort, "reasoning_effort", new ThinkingSwitches(enabled, null, kwargs?.Flag("clear_thinking") ?? zai?.Flag("clear_thinking"), zai?.Integer("budget_tokens", 0)));
    }

    /// <summary>Adds an effort: <c>none</c> turns thinking off, all others on, unless a stronger switch has decided.</summary>
    public static ThinkingSwitches Effort(string? effort, string field, ThinkingSwitches switches) => effort switch
    {
        null => switches,
        "none" => switches with { Enabled = switches.Enabled ?? false },
        "minimal" or "low" or "medium" or "high" or "xhigh" or "max" => switches with { Enabled = switches.Enabled ?? true, Effort = effort },
        _ => throw ApiException.Invalid($"{field} is '{effort}'; expected none, minimal, low, medium, high, xhigh or max.", field),
    };

    private static void RefuseUnsupported(Fields body)
    {
        if (body.Has("audio") || body.TextOrTexts("modalities").Contains("audio"))
            throw ApiException.Invalid("Audio is not supported: this server runs a text-only model.", "modalities", "unsupported_content");
        if (body.Has("functions") && body.Has("tools"))
            throw ApiException.Invalid("functions and tools exclude each other; use tools.", "functions");
    }

    private static ChatMessage Message(Fields message, int index, ImagePolicy images)
    {
        string role = message.RequiredText("role");
        role = role switch
        {
            "system" or "user" or "assistant" or "tool" => role,
            "developer" => "system",
            "function" => "tool",
            _ => throw ApiException.Invalid($"messages.{index}.role is '{role}'; expected system, developer, user, assistant or tool.", $"messages.{index}.role"),
        };
        DataValue? content = Content(message, index, role == "tool" ? ImagePolicy.Placeholder : images);
        IReadOnlyList<ToolCall> calls = role == "assistant" ? Calls(message, index) : [];
        if (content is null && role is not ("assistant" or "tool"))
            throw message.Missing("content");
        return new ChatMessage
        {
            Role = role,
            Content = content ?? "",
            ReasoningContent = role == "assistant" ? NotEmpty(message.Text("reasoning_content") ?? message.Text("reasoning")) : null,
            ToolCalls = calls,
            ToolCallId = message.Text("tool_call_id"),
            Name = message.Text("name"),
        };
    }

    // Reasoning that is empty renders as reasoning that is absent.
    private static string? NotEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;

    // One string whichever form it came in, so that the same message renders the same in the next turn.
    private static DataValue? Content(Fields message, int index, ImagePolicy images)
    {
        DataValue? content = message.Value("content");
        if (content is null or { AsString: not null })
            return content;
        if (content is not DataArray parts)
            throw message.Wrong("content", "a string, an array of parts or null");
        var text = new System.Text.StringBuilder();
        for (int i = 0; i < parts.Count; i++)
        {
            string place = $"messages.{index}.content.{i}";
            if (parts[i].AsString is { } plain)
            {
                text.Append(plain);
                continue;
            }

            var part = new Fields(parts[i] as DataObject ?? throw ApiException.Invalid($"{place}: expected an object.", place), place);
            string type = part.RequiredText("type");
            switch (type)
            {
                case "text" or "input_text" or "output_text":
                    text.Append(part.RequiredText("text"));
                    break;
                case "refusal":
                    text.Append(part.Text("refusal"));
                    break;
                default:
                    text.Append(Media(type, index, i, place, images));
                    break;
            }
        }

        return text.ToString();
    }

    private static string Media(string type, int message, int part, string place, ImagePolicy images)
    {
        string? kind = type switch
        {
            "image_url" or "input_image" or "image" => "image",
            "input_audio" or "audio" => "audio",
            "file" or "input_file" => "file",
            "video_url" or "input_video" or "video" => "video",
            _ => null,
        };
        if (kind is null)
            throw ApiException.Invalid($"{place}.type is '{type}'; expected text.", place);
        if (images == ImagePolicy.Placeholder)
            return $"[{kind} omitted: this model reads text only]";
        throw ApiException.Invalid($"This server runs a text-only model; {kind} content (message {message}, part {part}) is not supported.", place, "unsupported_content");
    }

    private static IReadOnlyList<ToolCall> Calls(Fields message, int index)
    {
        var calls = new List<ToolCall>();
        foreach (Fields call in message.Objects("tool_calls"))
        {
            Fields function = call.Object("function") ?? throw call.Missing("function");
            calls.Add(new ToolCall { Id = call.Text("id"), Name = function.RequiredText("name"), Arguments = Arguments(function) });
        }

        if (calls.Count == 0 && message.Object("function_call") is { } legacy)
            calls.Add(new ToolCall { Name = legacy.RequiredText("name"), Arguments = Arguments(legacy) });
        return calls;
    }

    /// <summary>The arguments of a call: an object, or the JSON text of one; numbers keep their spelling.</summary>
    public static DataObject Arguments(Fields function)
    {
        DataValue? arguments = function.Value("arguments");
        if (arguments is null || (arguments.AsString is { } blank && string.IsNullOrWhiteSpace(blank)))
            return [];
        if (arguments.AsString is { } text && DataValue.TryParse(text, out DataValue? parsed))
            arguments = parsed;
        return arguments as DataObject ?? throw function.Wrong("arguments", "the JSON text of an object");
    }

    /// <summary>The functions of <c>tools</c>, and of the older <c>functions</c>.</summary>
    /// <exception cref="ApiException">A tool is malformed.</exception>
    public static List<ToolDefinition> Tools(Fields body)
    {
        var tools = new List<ToolDefinition>();
        foreach (Fields tool in body.Objects("tools", MaxTools))
        {
            if (tool.RequiredText("type") != "function")
                continue; // Tools that the vendor's own servers run.
            Fields function = tool.Object("function") ?? throw tool.Missing("function");
            CheckFunction(function);
            tools.Add(new ToolDefinition(tool.Data));
        }

        foreach (Fields function in body.Objects("functions", MaxTools))
        {
            CheckFunction(function);
            tools.Add(new ToolDefinition(new DataObject { { "type", "function" }, { "function", function.Data } }));
        }

        return tools;
    }

    private static void CheckFunction(Fields function)
    {
        if (function.RequiredText("name").Length == 0)
            throw function.Wrong("name", "a name");
        _ = function.Object("parameters");
    }

    private static TurnRequest ToolChoice(Fields body, TurnRequest turn)
    {
        string? named = null;
        string? mode;
        if (body.Value("tool_choice") is DataObject choice)
        {
            var fields = new Fields(choice, "tool_choice");
            mode = fields.Text("type");
            if (mode == "function")
                named = (fields.Object("function") ?? throw fields.Missing("function")).RequiredText("name");
            else if (mode == "allowed_tools")
                mode = fields.Object("allowed_tools")?.Text("mode") ?? "auto";
        }
        else
            mode = body.Text("tool_choice");
        if (mode is null && body.Value("function_call") is { } legacy)
        {
            named = (legacy as DataObject)?.Find("name")?.AsString;
            mode = named is null ? legacy.AsString : "function";
        }

        turn = mode switch
        {
            null or "auto" => turn,
            "none" => turn with { Choice = CallChoice.None },
            "required" or "any" => turn with { Choice = CallChoice.Required },
            "function" => turn with { Choice = CallChoice.Required, NamedTool = named },
            _ => throw ApiException.Invalid($"tool_choice is '{mode}'; expected auto, none, required or a function.", "tool_choice"),
        };
        if (turn.Choice == CallChoice.Required && turn.Tools.Count == 0)
            throw ApiException.Invalid("tool_choice demands a call, but the request has no function among its tools.", "tool_choice");
        if (named is not null && turn.Tools.All(tool => tool.Name != named))
            throw ApiException.Invalid($"tool_choice names '{named}', which is not among the tools.", "tool_choice");
        return turn;
    }
}
