namespace Glimmer.Tokenization;

/// <summary>A tokenizer as its file describes it, whatever the file: what <see cref="TokenizerJsonReader"/> and <see cref="GgufTokenizerReader"/> give.</summary>
internal sealed class TokenizerDefinition
{
    /// <summary>The token of every id, added tokens included.</summary>
    public required TokenStore Tokens { get; init; }

    /// <summary>The tokens by their bytes.</summary>
    public required PieceTable Pieces { get; init; }

    /// <summary>The merges; the rank is the position.</summary>
    public required Merge[] Merges { get; init; }

    /// <summary>Tokens whose spelling is outside the byte alphabet: no text can give them, but they have names.</summary>
    public required IReadOnlyDictionary<string, int> Unspellable { get; init; }

    /// <summary>The added tokens in the file's order.</summary>
    public required IReadOnlyList<AddedToken> AddedTokens { get; init; }

    /// <summary>How text is cut into pieces.</summary>
    public required PreTokenizer PreTokenizer { get; init; }

    /// <summary>Whether text is put into normalisation form C.</summary>
    public bool NormalizesNfc { get; init; }

    /// <summary>Whether a space is put before every stretch that does not begin with one.</summary>
    public bool AddsPrefixSpace { get; init; }

    /// <summary>Whether a piece that is a token becomes it without merging.</summary>
    public bool IgnoresMerges { get; init; }

    /// <summary>What a byte without a token becomes; -1: it is dropped.</summary>
    public int UnknownId { get; init; } = -1;

    /// <summary>Whether neighbouring unknown bytes become one id.</summary>
    public bool FusesUnknown { get; init; }

    /// <summary>Ids before the text when special tokens are asked for.</summary>
    public int[] Prefix { get; init; } = [];

    /// <summary>Ids behind the text when special tokens are asked for.</summary>
    public int[] Suffix { get; init; } = [];

    /// <summary>Names and roles of special ids, and the chat template.</summary>
    public TokenizerRoles Roles { get; set; } = new();
}

/// <summary>What some ids are for. None of it changes how text is encoded.</summary>
internal sealed record TokenizerRoles
{
    /// <summary>Beginning of text.</summary>
    public int? BosId { get; init; }

    /// <summary>End of text.</summary>
    public int? EosId { get; init; }

    /// <summary>Padding.</summary>
    public int? PadId { get; init; }

    /// <summary>Ids that end a generation.</summary>
    public IReadOnlyList<int> EndIds { get; init; } = [];

    /// <summary>The chat template.</summary>
    public string? ChatTemplate { get; init; }
}
