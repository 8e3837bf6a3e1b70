namespace Glimmer.Chat;

/// <summary>A step in the model's message, in the order in which the text arrives.</summary>
public abstract record MessageEvent
{
    private protected MessageEvent()
    {
    }
}

/// <summary>More reasoning.</summary>
/// <param name="Text">Not empty.</param>
public sealed record ReasoningDelta(string Text) : MessageEvent;

/// <summary>More visible text.</summary>
/// <param name="Text">Not empty.</param>
public sealed record TextDelta(string Text) : MessageEvent;

/// <summary>A tool call whose name is settled.</summary>
/// <param name="Index">Counts the calls of the message from 0.</param>
/// <param name="Id">Made up here; unique.</param>
/// <param name="Name">One of the tools offered.</param>
public sealed record ToolCallStart(int Index, string Id, string Name) : MessageEvent;

/// <summary>More of a call's arguments: the deltas of a completed call joined are its JSON.</summary>
/// <param name="Index">The call.</param>
/// <param name="Json">Not empty.</param>
public sealed record ToolCallArguments(int Index, string Json) : MessageEvent;

/// <summary>A call is complete.</summary>
/// <param name="Index">The call.</param>
/// <param name="Call">The call with its arguments.</param>
public sealed record ToolCallEnd(int Index, ToolCall Call) : MessageEvent;

/// <summary>The text ended inside a call that was already announced. It is no call: its raw text is ordinary text of the message, which a stream leaves out.</summary>
/// <param name="Index">The call.</param>
/// <param name="RawText">The text from the call's opening marker on.</param>
public sealed record ToolCallCut(int Index, string RawText) : MessageEvent;

/// <summary>A complete message of the model.</summary>
/// <param name="Reasoning">The reasoning, or null when there is none.</param>
/// <param name="Content">The visible text, or null when there is none.</param>
/// <param name="ToolCalls">The calls in order.</param>
public sealed record ParsedMessage(string? Reasoning, string? Content, IReadOnlyList<ToolCall> ToolCalls)
{
    /// <summary>The message for the history of the conversation.</summary>
    public ChatMessage ToChatMessage() => new() { Role = "assistant", Content = Content ?? "", ReasoningContent = Reasoning, ToolCalls = ToolCalls };
}
