namespace Glimmer.Tokenization;

/// <summary>What a byte-level BPE vocabulary is trained to be.</summary>
public sealed record BpeTrainerOptions
{
    /// <summary>The 256 characters of the byte alphabet: the initial alphabet that leaves no text without tokens.</summary>
    public static IReadOnlyList<string> ByteCharacters { get; } = [.. Enumerable.Range(0, 256).Select(b => ByteAlphabet.CharOf((byte)b).ToString())];

    /// <summary>Number of tokens to reach: special tokens, alphabet and merged tokens together. Training may end below it.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>A pair must occur this often to be merged; 0 and 1 are the same.</summary>
    public long MinFrequency { get; init; }

    /// <summary>Tokens that get the first ids, in this order. In the corpus they are ordinary text.</summary>
    public IReadOnlyList<string> SpecialTokens { get; init; } = [];

    /// <summary>Characters of the byte alphabet that are tokens whether they occur or not; more are added as the corpus has them.</summary>
    public IReadOnlyList<string> InitialAlphabet { get; init; } = ByteCharacters;

    /// <summary>Keeps this many characters at most, the most frequent ones; the others vanish from the words. Null: no limit.</summary>
    public int? LimitAlphabet { get; init; }

    /// <summary>Merged tokens are shorter than this many bytes, unless they are of two bytes. Null: no limit.</summary>
    public int? MaxTokenLength { get; init; }

    /// <summary>How text is cut into pieces; merges never cross their borders.</summary>
    public PreTokenizer PreTokenizer { get; init; } = PreTokenizer.Glm;

    /// <summary>Puts text into normalisation form C first.</summary>
    public bool NormalizeNfc { get; init; }

    /// <summary>Puts a space before every document that does not begin with one.</summary>
    public bool AddPrefixSpace { get; init; }

    /// <summary>Threads that count words; the result does not depend on it. Null: one a processor.</summary>
    public int? Threads { get; init; }
}

/// <summary>How far a training is.</summary>
/// <param name="Stage">What it does.</param>
/// <param name="Done">Documents read, or tokens there are.</param>
/// <param name="Total">Tokens to reach; 0 while documents are read.</param>
public readonly record struct BpeTrainingProgress(BpeTrainingStage Stage, long Done, long Total);

/// <summary>The stages of a training.</summary>
public enum BpeTrainingStage
{
    /// <summary>Documents are cut into words, which are counted.</summary>
    CountingWords,
    /// <summary>Pairs are merged.</summary>
    Merging,
}
