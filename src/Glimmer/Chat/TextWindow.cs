namespace Glimmer.Chat;

/// <summary>Text that has arrived and is not used up yet.</summary>
internal sealed class TextWindow
{
    private char[] _buffer = new char[256];
    private int _start;
    private int _end;

    /// <summary>Characters used up so far: where the waiting text stands in the whole.</summary>
    public long Position { get; private set; }

    /// <summary>The text that waits.</summary>
    public ReadOnlySpan<char> Text => _buffer.AsSpan(_start, _end - _start);

    public void Append(ReadOnlySpan<char> text)
    {
        int waiting = _end - _start;
        if (_end + text.Length > _buffer.Length)
        {
            // At least as much is free after a move as was moved, so moving costs a constant number of copies a character.
            char[] target = 2L * (waiting + text.Length) > _buffer.Length ? new char[checked(2 * (waiting + text.Length))] : _buffer;
            _buffer.AsSpan(_start, waiting).CopyTo(target);
            (_buffer, _start, _end) = (target, 0, waiting);
        }

        text.CopyTo(_buffer.AsSpan(_end));
        _end += text.Length;
    }

    /// <summary>Uses up the first characters.</summary>
    public void Skip(int count)
    {
        _start += count;
        Position += count;
        if (_start == _end)
            _start = _end = 0;
    }
}
