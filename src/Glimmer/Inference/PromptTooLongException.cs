namespace Glimmer.Inference;

/// <summary>The prompt does not fit into the context with room for at least one token more.</summary>
public sealed class PromptTooLongException : ArgumentException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="promptTokens">Tokens of the prompt.</param>
    /// <param name="contextLength">Most positions of prompt and answer together.</param>
    public PromptTooLongException(int promptTokens, int contextLength)
        : base($"The prompt has {promptTokens} tokens; the context holds {contextLength} with room for at least one more. Shorten the prompt.") =>
        (PromptTokens, ContextLength) = (promptTokens, contextLength);

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens { get; }

    /// <summary>Most positions of prompt and answer together.</summary>
    public int ContextLength { get; }
}
