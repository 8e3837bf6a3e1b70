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
}
