namespace Glimmer.Kernels;

/// <summary>Sizes of one attention layer.</summary>
/// <param name="Heads">Query heads, H.</param>
/// <param name="KvHeads">Key/value heads, Hkv; divides <paramref name="Heads"/>. Query head h reads key/value head h / (H / Hkv).</param>
/// <param name="KeyDim">Width of queries and keys.</param>
/// <param name="ValueDim">Width of values and outputs, at least 1.</param>
/// <param name="Scale">Factor of the scores, for example 1 / sqrt(head dim).</param>
/// <param name="ValueIsKeyPrefix">
/// Whether every value equals the first <paramref name="ValueDim"/> elements of its key (MLA). Pages then hold key rows only; the results are the same.
/// </param>
/// <param name="PageType">Type of the elements in the pages.</param>
internal readonly record struct AttentionShape(
    int Heads, int KvHeads, int KeyDim, int ValueDim, float Scale, bool ValueIsKeyPrefix = false, KeyValueType PageType = KeyValueType.F32)
{
    /// <summary>Query heads that share one key/value head.</summary>
    public int Group => Heads / KvHeads;

    /// <summary>The page format of these keys and values.</summary>
    public KeyValueLayout Layout => new(KvHeads, KeyDim, ValueDim, PageType, ValueIsKeyPrefix);

    /// <summary>Throws when the sizes do not fit together.</summary>
    public void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(KvHeads, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Heads, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(KeyDim, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(ValueDim, 1);
        if (Heads % KvHeads != 0)
            throw new ArgumentOutOfRangeException(nameof(Heads), Heads, $"{Heads} query heads cannot share {KvHeads} key/value heads evenly.");
        if (ValueIsKeyPrefix && ValueDim > KeyDim)
            throw new ArgumentOutOfRangeException(nameof(ValueDim), ValueDim, $"A value of {ValueDim} cannot be the prefix of a key of {KeyDim}.");
    }
}

/// <summary>The tokens of one sequence in a flat batch, and where its keys and values live.</summary>
/// <param name="firstToken">Index of its first token in the batch; its tokens are neighbours.</param>
/// <param name="tokens">Number of its tokens in this step; 0 is allowed.</param>
/// <param name="firstPosition">Position of the first of them in the sequence.</param>
/// <param name="pages">Page table of this layer and sequence: page i holds positions 64 i to 64 i + 63 in the format of <see cref="KeyValueLayout"/>.</param>
internal readonly unsafe struct AttentionSequence(int firstToken, int tokens, int firstPosition, float** pages)
{
    public readonly int FirstToken = firstToken;
    public readonly int Tokens = tokens;
    public readonly int FirstPosition = firstPosition;
    public readonly float** Pages = pages;
}
