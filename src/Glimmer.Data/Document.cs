namespace Glimmer.Data;

/// <summary>A text of a corpus.</summary>
/// <param name="Id">Its name: from the file's <c>id</c>, or file and line.</param>
/// <param name="Text">The text.</param>
public sealed record Document(string Id, string Text)
{
    /// <summary>Control tokens in the text are meant: a generator or a chat template wrote it. Text of other origin never becomes a control token.</summary>
    public bool HasControlTokens { get; init; }
}
