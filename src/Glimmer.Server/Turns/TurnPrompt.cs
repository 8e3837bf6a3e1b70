using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Server.Http;
using Glimmer.Tokenization;

namespace Glimmer.Server.Turns;

/// <summary>The prompt of a request.</summary>
/// <param name="Ids">The ids.</param>
/// <param name="Text">The text that the template wrote; empty for a prompt of ids.</param>
/// <param name="Tools">The tools that the model was shown.</param>
internal sealed record TurnPrompt(int[] Ids, string Text, IReadOnlyList<ToolDefinition> Tools)
{
    /// <summary>Renders and encodes; needs no engine, so that tokens can be counted while it is busy.</summary>
    /// <exception cref="ApiException">The conversation cannot be rendered, or an id is not in the vocabulary.</exception>
    public static TurnPrompt Of(ServedModel model, TurnRequest request, TurnDefaults defaults)
    {
        if (request.Prompt is { } ids)
        {
            foreach (int id in ids)
            {
                if ((uint)id >= (uint)model.VocabularySize)
                    throw ApiException.Invalid($"The prompt contains the token {id}; the model has tokens 0 to {model.VocabularySize - 1}.", "prompt");
            }

            return new TurnPrompt([.. ids], "", []);
        }

        if (request.PromptText is { } text)
            return new TurnPrompt(model.Tokenizer.Encode(text, new EncodeOptions { AddedTokens = AddedTokenMatching.All, AddSpecialTokens = true }), text, []);
        return Chat(model, request, defaults);
    }

    private static TurnPrompt Chat(ServedModel model, TurnRequest request, TurnDefaults defaults)
    {
        ChatTemplate template = model.Template
            ?? throw ApiException.Invalid("This model has no chat template, so it cannot chat. Use /v1/completions or /generate to continue a text.", "messages");
        if (request.Messages.Count == 0)
            throw ApiException.Invalid("messages: expected at least one message.", "messages");
        IReadOnlyList<ToolDefinition> tools = ShowsTools(request) ? request.Tools : [];
        ChatMessage? opening = request.ContinueFinal ? request.Messages[^1] : null;
        if (opening is { Role: not "assistant" })
            throw ApiException.Invalid($"The last message has the role '{opening.Role}'; only an answer of the assistant can be continued.", "messages");
        string? reasoning = opening?.ReasoningContent is { Length: > 0 } thought ? thought : null;
        var options = new ChatTemplateOptions
        {
            Tools = tools,
            AddGenerationPrompt = request.AddGenerationPrompt || opening is not null,
            // An answer that is continued without reasoning has none.
            EnableThinking = opening is not null ? reasoning is not null : request.Thinking.Enabled ?? defaults.Thinking,
            ClearThinking = request.Thinking.Clear ?? (tools.Count > 0 && defaults.PreserveThinkingWithTools ? false : null),
            ReasoningEffort = request.Thinking.Effort,
            Variables = Variables(request, defaults),
        };
        IReadOnlyList<ChatMessage> messages = opening is null ? request.Messages : [.. request.Messages.Take(request.Messages.Count - 1)];
        try
        {
            RenderedText rendered = template.Render(messages, options);
            List<TextSegment> segments = PromptEncoding.Segments(rendered);
            if (opening is null)
                return new TurnPrompt(model.Tokenizer.Encode(segments), rendered.Text, tools);
            if (reasoning is not null)
            {
                bool isOpen = GlmMessageParser.EndsInOpenThinking(rendered.Text);
                segments.AddRange([new TextSegment(isOpen ? "" : "<think>", true), new TextSegment(reasoning, false), new TextSegment("</think>", true)]);
            }

            segments.Add(new TextSegment(ContentText.Of(opening.Content), false));
            segments.RemoveAll(segment => segment.Text.Length == 0);
            return new TurnPrompt(model.Tokenizer.Encode(segments), string.Concat(segments.Select(segment => segment.Text)), tools);
        }
        catch (Exception error) when (error is JinjaException or FormatException)
        {
            throw ApiException.Invalid($"The chat template of the model refuses the conversation: {error.Message}", "messages");
        }
    }

    // The request's own variables win, and so do its switches of thinking.
    private static DataObject? Variables(TurnRequest request, TurnDefaults defaults)
    {
        if (defaults.TemplateVariables is not { } common)
            return request.TemplateVariables;
        var variables = new DataObject();
        foreach ((string name, DataValue value) in common)
        {
            bool isDecided = name switch
            {
                "enable_thinking" => request.Thinking.Enabled is not null || request.ContinueFinal,
                "clear_thinking" => request.Thinking.Clear is not null,
                "reasoning_effort" => request.Thinking.Effort is not null,
                _ => false,
            };
            if (!isDecided)
                variables[name] = value;
        }

        foreach ((string name, DataValue value) in request.TemplateVariables ?? [])
            variables[name] = value;
        return variables;
    }

    // A demanded format has the whole text, so there is no room for calls beside it; a demanded call wins over the format.
    private static bool ShowsTools(TurnRequest request) =>
        request.Choice == CallChoice.Required || request.NamedTool is not null || (request.Choice == CallChoice.Auto && request.Format is null or { Kind: OutputFormatKind.StructuralTag });
}
