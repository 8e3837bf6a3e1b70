namespace Glimmer.Tokenization;

/// <summary>One merge of a trained vocabulary, in the spelling of the byte alphabet.</summary>
/// <param name="Left">Left part.</param>
/// <param name="Right">Right part.</param>
/// <param name="Count">How often the pair occurred when it was merged.</param>
public readonly record struct BpeMerge(string Left, string Right, long Count);

/// <summary>A trained vocabulary.</summary>
public sealed class BpeTrainingResult
{
    internal BpeTrainingResult(BpeTrainerOptions options, IReadOnlyList<string> tokens, IReadOnlyList<BpeMerge> merges, IReadOnlyList<string> alphabet) =>
        (Options, Tokens, Merges, Alphabet) = (options, tokens, merges, alphabet);

    /// <summary>What was asked for.</summary>
    public BpeTrainerOptions Options { get; }

    /// <summary>All tokens in order of ids: special tokens, alphabet, merged ones; the latter two in the spelling of the byte alphabet.</summary>
    public IReadOnlyList<string> Tokens { get; }

    /// <summary>The merges in order of rank.</summary>
    public IReadOnlyList<BpeMerge> Merges { get; }

    /// <summary>The characters of the byte alphabet that are tokens.</summary>
    public IReadOnlyList<string> Alphabet { get; }

    /// <summary>Writes the vocabulary as a <c>tokenizer.json</c> that this library and Hugging Face's tokenizers load.</summary>
    /// <param name="stream">Where to write.</param>
    /// <param name="layout">What is in the file beside vocabulary and merges.</param>
    public void WriteTokenizerJson(Stream stream, TokenizerLayout? layout = null)
    {
        ArgumentNullException.ThrowIfNull(stream);
        TokenizerJsonWriter.Write(stream, this, layout ?? new TokenizerLayout());
    }

    /// <summary>The tokenizer that <see cref="WriteTokenizerJson"/> describes.</summary>
    public Tokenizer ToTokenizer(TokenizerLayout? layout = null)
    {
        using var stream = new MemoryStream();
        WriteTokenizerJson(stream, layout);
        return Tokenizer.FromJson(stream.ToArray());
    }
}

/// <summary>What a written <c>tokenizer.json</c> holds beside vocabulary and merges.</summary>
public sealed record TokenizerLayout
{
    /// <summary>Tokens added behind the vocabulary, which get the next ids, and whether each is special.</summary>
    public IReadOnlyList<(string Text, bool IsSpecial)> AddedTokens { get; init; } = [];

    /// <summary>Whether a piece that is a token becomes it without merging, as GLM's files say; it changes no ids of a trained vocabulary.</summary>
    public bool IgnoreMerges { get; init; } = true;
}
