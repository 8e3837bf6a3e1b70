namespace Glimmer.Chat;

/// <summary>What a model's output text is made of.</summary>
/// <param name="Thinking">Text between <c>&lt;think&gt;</c> and <c>&lt;/think&gt;</c> is reasoning.</param>
/// <param name="ToolCalls">Calls in GLM's <c>&lt;tool_call&gt;</c> form are recognised, in either layout.</param>
/// <param name="TrimReasoning">White space at both ends of the reasoning is dropped.</param>
/// <param name="TrimContent">White space at both ends of the content is dropped.</param>
public sealed record MessageGrammar(bool Thinking, bool ToolCalls, bool TrimReasoning, bool TrimContent)
{
    /// <summary>GLM-4.5 and 4.6: templates write the reasoning on lines of its own.</summary>
    public static MessageGrammar Glm45 { get; } = new(true, true, true, true);

    /// <summary>GLM-4.7 and later: reasoning is kept to the character, because templates put it back into the prompt so.</summary>
    public static MessageGrammar Glm47 { get; } = new(true, true, false, true);

    /// <summary>Text only, passed on as it is.</summary>
    public static MessageGrammar Plain { get; } = new(false, false, false, false);

    /// <summary>Text with think blocks, without GLM's tool calls.</summary>
    public static MessageGrammar PlainThinking { get; } = new(true, false, true, true);
}
