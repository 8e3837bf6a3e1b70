using System.Text;
using Glimmer.Chat;
using Glimmer.Server.Http;
using Glimmer.Server.OpenAi;
using Glimmer.Server.Turns;

namespace Glimmer.Server.Anthropic;

/// <summary>Reads <c>/v1/messages</c> and <c>/v1/messages/count_tokens</c>.</summary>
/// <param name="options">How the model is served.</param>
/// <param name="template">The model's template: says whether it knows deferred tools.</param>
internal sealed class MessagesReader(ServerOptions options, ChatTemplate? template)
{
    private const string BillingHeader = "x-anthropic-billing-header:";
    private readonly bool _knowsDeferred = template?.Source.Contains("defer_loading", StringComparison.Ordinal) == true;
    private readonly bool _knowsReferences = template?.Source.Contains("tool_reference", StringComparison.Ordinal) == true;

    /// <summary>Translates a request.</summary>
    /// <param name="body">The body.</param>
    /// <param name="id">Its id.</param>
    /// <param name="countOnly">Whether only tokens are counted: then no length is required.</param>
    /// <exception cref="ApiException">A field is wrong.</exception>
    public TurnRequest Read(Fields body, string id, bool countOnly)
    {
        int? maxTokens = body.Integer("max_tokens", 1);
        if (maxTokens is null && !countOnly)
            throw body.Missing("max_tokens");
        List<ChatMessage> messages = Messages(body);
        List<ToolDefinition> tools = Tools(body, out HashSet<string> dropped);
        var request = new TurnRequest
        {
            Id = id,
            Messages = messages,
            ContinueFinal = messages[^1] is { Role: "assistant", ToolCalls.Count: 0 },
            Tools = tools,
            Thinking = Thinking(body),
            Sampling = new SamplingChoice
            {
                Temperature = body.Number("temperature", 0, 2),
                TopP = body.Number("top_p", 0, 1, excludeLeast: true),
                TopK = body.Integer("top_k", -1),
            },
            MaxTokens = maxTokens,
            Stops = SharedFields.Stops(body, "stop_sequences"),
            Format = Format(body),
        };
        return KeepThinking(body, Choice(body, request, dropped));
    }

    private List<ChatMessage> Messages(Fields body)
    {
        var messages = new List<ChatMessage>();
        if (System(body) is { Length: > 0 } system)
            messages.Add(ChatMessage.System(system));
        IReadOnlyList<Fields> sent = body.Objects("messages");
        if (sent.Count == 0)
            throw ApiException.Invalid("messages is required and must hold at least one message.", "messages");
        for (int i = 0; i < sent.Count; i++)
        {
            string role = sent[i].RequiredText("role");
            switch (role)
            {
                case "user":
                    AddUser(messages, sent[i], i);
                    break;
                case "assistant":
                    messages.Add(Assistant(sent[i]));
                    break;
                case "system":
                    // In place: an instruction in the middle of a conversation belongs there, and moving it would change the prefix.
                    messages.Add(ChatMessage.System(Text(sent[i], i, ImagePolicy.Reject)));
                    break;
                default:
                    throw ApiException.Invalid($"messages.{i}.role is '{role}'; expected user, assistant or system.", $"messages.{i}.role");
            }
        }

        return messages;
    }

    private static string? System(Fields body)
    {
        if (body.Value("system") is { AsString: { } text })
            return text;
        // Some clients put a changing header before their instructions; it would end the prefix cache at its first letter.
        IEnumerable<string> texts = body.Objects("system").Select(block => block.Text("text") ?? "")
            .Where(text => text.Length > 0 && !text.StartsWith(BillingHeader, StringComparison.Ordinal));
        return string.Join('\n', texts);
    }

    private void AddUser(List<ChatMessage> messages, Fields message, int index)
    {
        if (message.Value("content") is { AsString: { } plain })
        {
            messages.Add(ChatMessage.User(plain));
            return;
        }

        IReadOnlyList<Fields> blocks = message.Objects("content");
        if (blocks.Count == 0)
            throw message.Missing("content");
        var text = new List<string>();
        for (int i = 0; i < blocks.Count; i++)
        {
            if (blocks[i].RequiredText("type") == "tool_result")
            {
                Flush();
                AddResult(messages, blocks[i]);
            }
            else if (BlockText(blocks[i], index, i, options.Images) is { } part)
                text.Add(part);
        }

        Flush();

        void Flush()
        {
            if (text.Count > 0)
                messages.Add(ChatMessage.User(string.Join('\n', text)));
            text.Clear();
        }
    }

    // References to deferred tools are expanded by the template at the start of a tool message only, so they get one of their own.
    private void AddResult(List<ChatMessage> messages, Fields result)
    {
        string? id = result.Text("tool_use_id");
        if (result.Value("content") is null or { AsString: not null })
        {
            messages.Add(ChatMessage.Tool(result.Text("content") ?? "", id));
            return;
        }

        var text = new List<string>();
        var references = new DataArray([]);
        int i = 0;
        foreach (Fields block in result.Objects("content"))
        {
            if (block.RequiredText("type") != "tool_reference")
            {
                if (BlockText(block, -1, i, ImagePolicy.Placeholder) is { } part)
                    text.Add(part);
            }
            else if (_knowsReferences)
                references = new DataArray([.. references, new DataObject { { "type", "tool_reference" }, { "name", block.Text("tool_name") ?? block.RequiredText("name") } }]);
            else
                text.Add($"The tool {block.Text("tool_name") ?? block.Text("name")} is available.");
            i++;
        }

        if (references.Count > 0)
            messages.Add(new ChatMessage { Role = "tool", Content = references, ToolCallId = id });
        if (text.Count > 0 || references.Count == 0)
            messages.Add(ChatMessage.Tool(string.Join('\n', text), id));
    }

    private static ChatMessage Assistant(Fields message)
    {
        if (message.Value("content") is null or { AsString: not null })
            return ChatMessage.Assistant(message.Text("content") ?? "");
        StringBuilder text = new(), reasoning = new();
        var calls = new List<ToolCall>();
        foreach (Fields block in message.Objects("content"))
        {
            switch (block.RequiredText("type"))
            {
                case "text":
                    text.Append(block.RequiredText("text"));
                    break;
                case "thinking":
                    reasoning.Append(block.Text("thinking"));
                    break;
                case "tool_use":
                    calls.Add(new ToolCall
                    {
                        Id = block.Text("id"),
                        Name = block.RequiredText("name"),
                        Arguments = block.Value("input") switch
                        {
                            null => [],
                            DataObject input => input,
                            _ => throw block.Wrong("input", "an object"),
                        },
                    });
                    break;
                default:
                    break; // Blocks of the vendor's own tools, and thinking that only the vendor can read.
            }
        }

        return ChatMessage.Assistant(text.ToString(), reasoning.Length > 0 ? reasoning.ToString() : null) with { ToolCalls = calls };
    }

    private static string Text(Fields message, int index, ImagePolicy images) => message.Value("content") is { AsString: { } text }
        ? text
        : string.Join('\n', message.Objects("content").Select((block, i) => BlockText(block, index, i, images)).Where(part => part is not null));

    // Null for blocks that are dropped.
    private static string? BlockText(Fields block, int message, int part, ImagePolicy images)
    {
        string type = block.RequiredText("type");
        switch (type)
        {
            case "text":
                return block.RequiredText("text");
            case "search_result":
                return string.Concat(block.Objects("content").Select(item => item.Text("text")));
            case "image" or "document" or "container_upload" when images == ImagePolicy.Placeholder:
                return $"[{type} omitted: this model reads text only]";
            case "image" or "document" or "container_upload":
                string place = $"messages.{message}.content.{part}";
                throw ApiException.Invalid($"This server runs a text-only model; {type} content (message {message}, part {part}) is not supported.", place, "unsupported_content");
            default:
                return null;
        }
    }

    private List<ToolDefinition> Tools(Fields body, out HashSet<string> dropped)
    {
        var tools = new List<ToolDefinition>();
        dropped = [];
        foreach (Fields tool in body.Objects("tools", 1024))
        {
            string? type = tool.Text("type");
            if (type is not (null or "custom") && !tool.Has("input_schema"))
            {
                // Tools that the vendor's servers run; without them the model answers by itself.
                dropped.Add(tool.Text("name") ?? type);
                continue;
            }

            var function = new DataObject { { "name", tool.RequiredText("name") } };
            if (tool.Text("description") is { } description)
                function["description"] = description;
            function["parameters"] = tool.Object("input_schema")?.Data ?? new DataObject { { "type", "object" } };
            var definition = new DataObject { { "type", "function" }, { "function", function } };
            if (_knowsDeferred && tool.Flag("defer_loading") == true)
                definition["defer_loading"] = true;
            tools.Add(new ToolDefinition(definition));
        }

        return tools;
    }

    private static TurnRequest Choice(Fields body, TurnRequest request, HashSet<string> dropped)
    {
        if (body.Object("tool_choice") is not { } choice)
            return request;
        request = request with { ParallelCalls = choice.Flag("disable_parallel_tool_use") != true };
        string type = choice.RequiredText("type");
        switch (type)
        {
            case "auto":
                return request;
            case "none":
                return request with { Choice = CallChoice.None };
            case "any" when request.Tools.Count > 0:
                return request with { Choice = CallChoice.Required };
            case "any":
                throw ApiException.Invalid("tool_choice demands a call, but the request declares no tool that this server can offer.", "tool_choice");
            case "tool":
                string name = choice.RequiredText("name");
                if (dropped.Contains(name))
                    throw ApiException.Invalid($"tool_choice names '{name}', a tool that runs on the vendor's servers and is not offered here.", "tool_choice");
                if (request.Tools.All(tool => tool.Name != name))
                    throw ApiException.Invalid($"tool_choice names '{name}', which is not among the tools.", "tool_choice");
                return request with { Choice = CallChoice.Required, NamedTool = name };
            default:
                throw ApiException.Invalid($"tool_choice.type is '{type}'; expected auto, any, tool or none.", "tool_choice.type");
        }
    }

    private ThinkingSwitches Thinking(Fields body)
    {
        Fields? thinking = body.Object("thinking");
        bool? enabled = thinking?.RequiredText("type") switch
        {
            null => null,
            "disabled" => false,
            _ => true, // enabled, adaptive, and what comes next
        };
        ThinkingSwitches switches = ChatRequestReader.Effort(
            body.Object("output_config")?.Text("effort"), "output_config.effort", new ThinkingSwitches(enabled, Budget: thinking?.Integer("budget_tokens", 0)));
        return switches with { Enabled = switches.Enabled ?? options.AnthropicThinking };
    }

    // What the client wants of earlier reasoning.
    private static TurnRequest KeepThinking(Fields body, TurnRequest request)
    {
        foreach (Fields edit in body.Object("context_management")?.Objects("edits") ?? [])
        {
            if (edit.Text("type")?.StartsWith("clear_thinking", StringComparison.Ordinal) != true)
                continue;
            if (edit.Value("keep") is { AsString: "all" })
                return request with { Thinking = request.Thinking with { Clear = false } };
            if (edit.Value("keep") is DataObject keep && new Fields(keep, "keep").Integer("value", 0) is { } turns)
                return request with { Thinking = request.Thinking with { Clear = false }, Messages = KeepLast(request.Messages, turns) };
        }

        return request;
    }

    private static ChatMessage[] KeepLast(IReadOnlyList<ChatMessage> messages, int turns)
    {
        ChatMessage[] kept = [.. messages];
        for (int i = kept.Length - 1; i >= 0; i--)
        {
            if (kept[i].ReasoningContent is not null && --turns < 0)
                kept[i] = kept[i] with { ReasoningContent = null };
        }

        return kept;
    }

    private static OutputFormat? Format(Fields body)
    {
        Fields? format = body.Object("output_config")?.Object("format") ?? body.Object("output_format");
        return format is null ? null : SharedFields.ResponseFormat(format);
    }
}
