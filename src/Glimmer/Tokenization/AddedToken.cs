namespace Glimmer.Tokenization;

/// <summary>A token outside the trained vocabulary: a role marker, <c>&lt;think&gt;</c>, the end of text. It is matched as a whole in rendered prompts.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Text">What it is in text, and what decoding gives.</param>
/// <param name="IsSpecial">Decoding drops it with <c>skipSpecial</c>.</param>
public sealed record AddedToken(int Id, string Text, bool IsSpecial)
{
    /// <summary>White space before a match belongs to it (and is lost in decoding).</summary>
    public bool LStrip { get; init; }

    /// <summary>White space behind a match belongs to it (and is lost in decoding).</summary>
    public bool RStrip { get; init; }

    /// <summary>A match beside a word character (<c>\w</c>) does not count.</summary>
    public bool SingleWord { get; init; }

    /// <summary>It is looked for in the normalised text, after the tokens that are not were cut out.</summary>
    public bool Normalized { get; init; }
}
