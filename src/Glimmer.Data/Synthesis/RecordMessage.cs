namespace Glimmer.Data.Synthesis;

/// <summary>A message of a training record.</summary>
/// <param name="Role"><c>system</c>, <c>user</c>, <c>assistant</c>, <c>tool_call</c> (content: <c>{"name": ..., "arguments": {...}}</c>) or <c>tool</c> (content: the result).</param>
/// <param name="Content">The text.</param>
public sealed record RecordMessage(string Role, string Content)
{
    /// <summary>What the assistant thinks before it answers.</summary>
    public string? ReasoningContent { get; init; }

    /// <summary>False: the message is read but not learned, such as a wrong turn that is corrected later.</summary>
    public bool HasLoss { get; init; } = true;
}
