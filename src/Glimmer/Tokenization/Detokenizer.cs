using System.Text;

namespace Glimmer.Tokenization;

/// <summary>Turns ids into text one by one and never emits a part of a character.</summary>
/// <remarks>
/// The bytes of an id are put behind those held back; everything is emitted up to a trailing proper prefix (1 to 3 bytes) of a valid UTF-8
/// sequence, which is held back. Bytes that can no longer become valid give one U+FFFD for each maximal invalid part at once. Only the first
/// two bytes of an encoded surrogate (ED A0..BF) wait for their third, as in Python's incremental decoder, which is the reference here.
/// What is emitted, <see cref="Flush"/> included, is always the text of <see cref="Tokenizer.Decode"/>. One sequence and one thread an instance.
/// </remarks>
public sealed class Detokenizer
{
    private readonly Tokenizer _tokenizer;
    private readonly bool _skipSpecial;
    private readonly byte[] _held = new byte[4];
    private int _heldCount;
    private byte[] _bytes = new byte[64];
    private char[] _chars = new char[64];

    /// <summary>Starts a text.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="skipSpecial">Whether special tokens are left out; they do not end a character that is held back then.</param>
    public Detokenizer(Tokenizer tokenizer, bool skipSpecial = false)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        (_tokenizer, _skipSpecial) = (tokenizer, skipSpecial);
    }

    /// <summary>The text that can be emitted after one more id; often a character or none.</summary>
    /// <param name="id">The id. One without a token adds nothing.</param>
    /// <returns>Valid until the next call.</returns>
    public ReadOnlySpan<char> Append(int id)
    {
        if (_skipSpecial && _tokenizer.IsSpecial(id))
            return default;
        ReadOnlySpan<byte> token = _tokenizer.TokenBytes(id);
        int count = _heldCount + token.Length;
        if (_bytes.Length < count)
            _bytes = new byte[2 * count];
        _held.AsSpan(0, _heldCount).CopyTo(_bytes);
        token.CopyTo(_bytes.AsSpan(_heldCount));
        Span<byte> bytes = _bytes.AsSpan(0, count);
        _heldCount = IncompleteTail(bytes);
        bytes[^_heldCount..].CopyTo(_held);
        return Text(bytes[..^_heldCount]);
    }

    /// <summary>The text that can be emitted after more ids.</summary>
    /// <param name="ids">The ids.</param>
    /// <returns>The text.</returns>
    public string Append(ReadOnlySpan<int> ids)
    {
        var text = new StringBuilder();
        foreach (int id in ids)
            text.Append(Append(id));
        return text.ToString();
    }

    /// <summary>The end of the text: U+FFFD when part of a character was held back. The instance is ready for another text.</summary>
    /// <returns>Valid until the next call.</returns>
    public ReadOnlySpan<char> Flush()
    {
        ReadOnlySpan<char> rest = Text(_held.AsSpan(0, _heldCount));
        _heldCount = 0;
        return rest;
    }

    /// <summary>How many bytes at the end of <paramref name="bytes"/> wait for more: a proper prefix of a valid sequence, or of a surrogate.</summary>
    internal static int IncompleteTail(ReadOnlySpan<byte> bytes)
    {
        for (int length = 1; length <= Math.Min(3, bytes.Length); length++)
        {
            byte b = bytes[^length];
            if (b < 0x80)
                return 0;
            if (b == 0xED && length == 2)
                return 2;
            if (b >= 0xC0)
                return Rune.DecodeFromUtf8(bytes[^length..], out _, out _) == System.Buffers.OperationStatus.NeedMoreData ? length : 0;
        }

        return 0;
    }

    private ReadOnlySpan<char> Text(ReadOnlySpan<byte> bytes)
    {
        if (_chars.Length < bytes.Length)
            _chars = new char[2 * bytes.Length];
        return _chars.AsSpan(0, Encoding.UTF8.GetChars(bytes, _chars));
    }
}
