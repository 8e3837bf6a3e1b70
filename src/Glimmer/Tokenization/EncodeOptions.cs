namespace Glimmer.Tokenization;

/// <summary>Which added tokens encoding looks for in the text.</summary>
public enum AddedTokenMatching
{
    /// <summary>None, and no id of an added token is ever produced: for text that users, files or tools supply.</summary>
    None,
    /// <summary>
    /// Those that are not special, as <c>split_special_tokens</c> of Hugging Face's libraries. Not enough for user text: <c>&lt;think&gt;</c> and
    /// the markers of tool calls are not special in GLM's vocabularies.
    /// </summary>
    NonSpecial,
    /// <summary>All: for prompts rendered by a chat template.</summary>
    All,
}

/// <summary>How text is encoded. The default is safe for text of unknown origin.</summary>
public sealed record EncodeOptions
{
    /// <summary>No added token is matched and nothing is put around the ids: the default.</summary>
    public static EncodeOptions UserText { get; } = new();

    /// <summary>All added tokens are matched and nothing is put around the ids: for prompts rendered by a chat template.</summary>
    public static EncodeOptions RenderedPrompt { get; } = new() { AddedTokens = AddedTokenMatching.All };

    /// <summary>Which added tokens are looked for.</summary>
    public AddedTokenMatching AddedTokens { get; init; }

    /// <summary>Puts the ids around the result that the tokenizer's template asks for (a bos for Llama-3; nothing for GLM).</summary>
    public bool AddSpecialTokens { get; init; }
}

/// <summary>A part of a prompt and where it comes from.</summary>
/// <param name="Text">The text.</param>
/// <param name="IsTrusted">It was written by the chat template: added tokens in it are meant. Message text is not trusted.</param>
public readonly record struct TextSegment(string Text, bool IsTrusted);
