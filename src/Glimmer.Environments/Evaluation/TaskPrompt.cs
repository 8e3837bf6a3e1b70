using Glimmer.Chat;

namespace Glimmer.Environments.Evaluation;

/// <summary>What a model is asked.</summary>
/// <param name="Messages">The conversation.</param>
/// <param name="Tools">Tools that it may call.</param>
public sealed record TaskPrompt(IReadOnlyList<ChatMessage> Messages, IReadOnlyList<ToolDefinition> Tools)
{
    /// <summary>A prompt without tools.</summary>
    /// <param name="messages">The conversation.</param>
    public TaskPrompt(params IReadOnlyList<ChatMessage> messages)
        : this(messages, [])
    {
    }

    /// <summary>A text to go on with instead of a conversation, for models that have seen none; no template is used.</summary>
    public string? Text { get; init; }

    /// <summary>Texts that end the answer and do not belong to it.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];
}
