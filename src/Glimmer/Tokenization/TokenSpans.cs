using System.Text;

namespace Glimmer.Tokenization;

/// <summary>Where a token lies in a text, in UTF-16 units: [<paramref name="Start"/>, <paramref name="End"/>).</summary>
/// <param name="Start">Start of the first character the token has bytes of.</param>
/// <param name="End">End of the last one.</param>
public readonly record struct TokenSpan(int Start, int End);

/// <summary>Finds where the tokens of an encoded text lie in it, for loss masks and log-probabilities by character.</summary>
public static class TokenSpans
{
    /// <summary>The place of every id.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="text">The text.</param>
    /// <param name="ids">Its ids. Their bytes must be those of the text: no normaliser changed it and no token swallowed white space.</param>
    /// <returns>One span an id. Tokens that are parts of one character all have that whole character.</returns>
    /// <exception cref="ArgumentException">The ids do not spell the text.</exception>
    public static TokenSpan[] Locate(Tokenizer tokenizer, ReadOnlySpan<char> text, ReadOnlySpan<int> ids)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        byte[] bytes = new byte[Encoding.UTF8.GetByteCount(text)];
        Encoding.UTF8.GetBytes(text, bytes);

        // charAt[b]: the unit the character of byte b begins at.
        var charAt = new int[bytes.Length + 1];
        int at = 0;
        for (int i = 0; i < text.Length;)
        {
            Rune.DecodeFromUtf16(text[i..], out Rune rune, out int units);
            charAt.AsSpan(at, rune.Utf8SequenceLength).Fill(i);
            at += rune.Utf8SequenceLength;
            i += units;
        }

        charAt[at] = text.Length;
        var spans = new TokenSpan[ids.Length];
        int from = 0;
        for (int i = 0; i < ids.Length; i++)
        {
            ReadOnlySpan<byte> token = tokenizer.TokenBytes(ids[i]);
            if (!bytes.AsSpan(from).StartsWith(token))
                throw new ArgumentException($"The ids do not spell the text: id {ids[i]} at position {i} is not what byte {from} of the text begins with.", nameof(ids));
            int to = from + token.Length;
            spans[i] = new TokenSpan(charAt[from], EndOfCharacter(to));
            from = to;
        }

        if (from != bytes.Length)
            throw new ArgumentException($"The ids spell only the first {from} of the text's {bytes.Length} bytes.", nameof(ids));
        return spans;

        int EndOfCharacter(int end)
        {
            while (end < bytes.Length && (bytes[end] & 0xC0) == 0x80)
                end++;
            return charAt[end];
        }
    }
}
