using System.Runtime.CompilerServices;
using System.Text;

namespace Glimmer.Tokenization;

/// <summary>What one encoding call works with: the text as UTF-8, the ids so far, a cache of pieces, memory for merging.</summary>
/// <remarks>One thread at a time; encoders keep a few for reuse.</remarks>
internal sealed class EncoderScratch
{
    /// <summary>Buffers that grew beyond this are not kept for the next call.</summary>
    private const int KeptBytes = 1 << 20;

    private byte[] _text = new byte[4096];
    private byte[] _stage = [];
    private int[] _ids = new int[1024];

    /// <summary>The text, valid UTF-8 with <see cref="Utf8Text.Padding"/> readable bytes behind it.</summary>
    public byte[] Text => _text;

    /// <summary>Length of the text in bytes.</summary>
    public int TextLength { get; private set; }

    /// <summary>The ids so far.</summary>
    public ReadOnlySpan<int> Ids => _ids.AsSpan(0, Count);

    /// <summary>How many ids there are.</summary>
    public int Count { get; private set; }

    /// <summary>Pieces merged before.</summary>
    public PieceCache Cache { get; } = new();

    /// <summary>Memory for merging pieces of ordinary length.</summary>
    public FlatMerger Flat { get; } = new();

    /// <summary>Memory for merging long pieces.</summary>
    public HeapMerger Heap { get; } = new();

    /// <summary>Starts a call with an empty text and no ids.</summary>
    public void Clear() => (TextLength, Count) = (0, 0);

    /// <summary>Appends UTF-16 text; each lone surrogate becomes U+FFFD.</summary>
    public void AppendText(ReadOnlySpan<char> text)
    {
        int most = text.Length <= 1 << 16 ? 3 * text.Length : Encoding.UTF8.GetByteCount(text);
        ReserveText(most);
        TextLength += Encoding.UTF8.GetBytes(text, _text.AsSpan(TextLength));
    }

    /// <summary>Appends UTF-8 text; each maximal invalid part becomes U+FFFD.</summary>
    public void AppendUtf8(ReadOnlySpan<byte> text)
    {
        if (!System.Text.Unicode.Utf8.IsValid(text))
        {
            AppendText(Encoding.UTF8.GetString(text));
            return;
        }

        ReserveText(text.Length);
        text.CopyTo(_text.AsSpan(TextLength));
        TextLength += text.Length;
    }

    /// <summary>A second text buffer of at least <paramref name="length"/> bytes and the padding, for a stretch that was rewritten.</summary>
    public byte[] Stage(int length)
    {
        if (_stage.Length < length + Utf8Text.Padding)
            _stage = new byte[length + length / 2 + Utf8Text.Padding];
        return _stage;
    }

    /// <summary>Appends an id.</summary>
    public void Add(int id)
    {
        if (Count == _ids.Length)
            Grow(1);
        _ids[Count++] = id;
    }

    /// <summary>Appends ids.</summary>
    public void Add(ReadOnlySpan<int> ids) => ids.CopyTo(Take(ids.Length));

    /// <summary>Memory for up to <paramref name="count"/> ids behind those there are; <see cref="Advance"/> says how many were written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<int> Reserve(int count)
    {
        if (_ids.Length - Count < count)
            Grow(count);
        return _ids.AsSpan(Count);
    }

    /// <summary>Takes over ids written behind those there are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Advance(int count) => Count += count;

    /// <summary>Drops buffers that one large text made large.</summary>
    public void Trim()
    {
        if (_text.Length > KeptBytes)
            _text = new byte[4096];
        if (_stage.Length > KeptBytes)
            _stage = [];
        if (_ids.Length > KeptBytes)
            _ids = new int[1024];
        Heap.Trim(KeptBytes / sizeof(int));
    }

    private Span<int> Take(int count)
    {
        Span<int> room = Reserve(count);
        Count += count;
        return room;
    }

    private void ReserveText(int more)
    {
        int needed = checked(TextLength + more + Utf8Text.Padding);
        if (needed > _text.Length)
            Array.Resize(ref _text, Math.Max(needed, (int)Math.Min(2L * _text.Length, Array.MaxLength)));
    }

    private void Grow(int count) =>
        Array.Resize(ref _ids, Math.Max(checked(Count + count), (int)Math.Min(2L * _ids.Length, Array.MaxLength)));
}
