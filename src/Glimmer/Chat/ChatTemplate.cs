namespace Glimmer.Chat;

/// <summary>What a rendering may choose.</summary>
public sealed record ChatTemplateOptions
{
    /// <summary>Tools offered to the model.</summary>
    public IReadOnlyList<ToolDefinition> Tools { get; init; } = [];

    /// <summary>End with the opening of an assistant message, for the model to go on from.</summary>
    public bool AddGenerationPrompt { get; init; } = true;

    /// <summary>The thinking switch; null leaves it to the template.</summary>
    public bool? EnableThinking { get; init; }

    /// <summary>False keeps the reasoning of earlier turns in the prompt; null leaves it to the template.</summary>
    public bool? ClearThinking { get; init; }

    /// <summary>How hard the model should think (<c>low</c>, <c>high</c>, ...), for templates that read it.</summary>
    public string? ReasoningEffort { get; init; }

    /// <summary>More variables for the template; they override the ones above.</summary>
    public DataObject? Variables { get; init; }
}

/// <summary>The chat template of a checkpoint: from messages to the prompt the model was trained on.</summary>
public sealed class ChatTemplate
{
    private readonly JinjaTemplate _template;
    private readonly DataObject _specialTokens = [];

    /// <summary>Reads a template.</summary>
    /// <param name="source">The checkpoint's <c>chat_template</c>.</param>
    /// <param name="specialTokens">Tokens that templates name, such as <c>bos_token</c> and <c>eos_token</c>.</param>
    /// <param name="options">Limits and clock; null for the defaults.</param>
    /// <exception cref="ModelFormatException">The template is malformed or uses what is not supported; the message names the line.</exception>
    public ChatTemplate(string source, IReadOnlyDictionary<string, string>? specialTokens = null, JinjaOptions? options = null)
    {
        try
        {
            _template = JinjaTemplate.Parse(source, options);
        }
        catch (JinjaException error)
        {
            throw new ModelFormatException(error.Message, error);
        }

        foreach ((string name, string token) in specialTokens ?? new Dictionary<string, string>())
            _specialTokens[name] = new StringValue(token, TextOrigin.Template);
        Grammar = DetectGrammar();
    }

    /// <summary>The template's text.</summary>
    public string Source => _template.Source;

    /// <summary>How the model's output is to be parsed, found by rendering a message with a tool call.</summary>
    public MessageGrammar Grammar { get; }

    /// <summary>Renders a conversation.</summary>
    /// <remarks>
    /// Before rendering: null content becomes the empty string, arguments are mappings (<see cref="ToolCall"/>), and the role <c>developer</c> becomes
    /// <c>system</c> where the template does not know it. Without tools the variable is None, as in the reference environment.
    /// </remarks>
    /// <exception cref="JinjaException">The template failed, exceeded a limit, or refused the conversation (<see cref="JinjaException.RaisedByTemplate"/>).</exception>
    public RenderedText Render(IReadOnlyList<ChatMessage> messages, ChatTemplateOptions? options = null) =>
        _template.RenderSegments(Variables(messages, options ?? new ChatTemplateOptions()));

    /// <summary>A parser for the model's answer to a prompt.</summary>
    /// <param name="prompt">The prompt as rendered: if it ends in an open think block, the answer starts with reasoning.</param>
    /// <param name="tools">Tools whose calls are recognised; empty when none were offered or the request forbids calls.</param>
    public GlmMessageParser CreateParser(string prompt, IReadOnlyList<ToolDefinition>? tools = null) =>
        new(new MessageParserOptions { Grammar = Grammar, StartsInReasoning = Grammar.Thinking && GlmMessageParser.EndsInOpenThinking(prompt), Tools = tools ?? [] });

    private DataObject Variables(IReadOnlyList<ChatMessage> messages, ChatTemplateOptions options)
    {
        var variables = new DataObject();
        foreach ((string name, DataValue token) in _specialTokens)
            variables[name] = token;
        bool knowsDeveloper = Source.Contains("developer", StringComparison.Ordinal);
        variables["messages"] = new DataArray(messages.Select(message => message.ToData(message.Role == "developer" && !knowsDeveloper ? "system" : message.Role)));
        variables["tools"] = options.Tools.Count == 0 ? DataValue.Null : new DataArray(options.Tools.Select(tool => tool.Data));
        variables["documents"] = DataValue.Null;
        variables["add_generation_prompt"] = options.AddGenerationPrompt;
        if (options.EnableThinking is { } thinking)
            variables["enable_thinking"] = thinking;
        if (options.ClearThinking is { } clear)
            variables["clear_thinking"] = clear;
        if (options.ReasoningEffort is { } effort)
            variables["reasoning_effort"] = effort;
        foreach ((string name, DataValue value) in options.Variables ?? [])
            variables[name] = value;
        return variables;
    }

    private MessageGrammar DetectGrammar()
    {
        MessageGrammar plain = Source.Contains("<think>", StringComparison.Ordinal) ? MessageGrammar.PlainThinking : MessageGrammar.Plain;
        if (!Source.Contains("<arg_key>", StringComparison.Ordinal))
            return plain;
        var call = new ToolCall { Name = "f", Arguments = new DataObject { { "k", "v" } } };
        try
        {
            string probe = Render([ChatMessage.User("q"), ChatMessage.Assistant("") with { ToolCalls = [call] }], new ChatTemplateOptions { AddGenerationPrompt = false }).Text;
            return probe.Contains("</arg_key>\n<arg_value>", StringComparison.Ordinal) ? MessageGrammar.Glm45 : MessageGrammar.Glm47;
        }
        catch (JinjaException)
        {
            // A template that refuses this conversation still writes GLM's argument tags; the later layout is the more careful reading.
            return MessageGrammar.Glm47;
        }
    }
}
