using ZstdSharp;

namespace Glimmer.Data.Readers;

/// <summary>Reads a file line by line as bytes, in memory of the longest line, and knows where each line begins.</summary>
internal sealed class LineReader : IDisposable
{
    private const int FirstBuffer = 1 << 16;

    private readonly string _path;
    private readonly Stream _stream;
    private readonly int _longest;
    private byte[] _buffer = new byte[FirstBuffer];
    private int _start, _end;
    private long _line, _offset;

    /// <summary>Opens a file.</summary>
    /// <param name="path">The file; decompressed by its ending.</param>
    /// <param name="longest">Most bytes of a line.</param>
    public LineReader(string path, int longest) => (_path, _stream, _longest) = (path, DataFile.Open(path), longest);

    /// <summary>Where the line that was read last begins.</summary>
    public FilePosition Position { get; private set; }

    /// <summary>Reads a line without its end (a line feed, with or without a carriage return before it) and without a byte order mark.</summary>
    /// <param name="line">The line, valid until the next call.</param>
    /// <returns>False at the end of the file.</returns>
    /// <exception cref="ModelFormatException">The line is too long, or the file cannot be decompressed.</exception>
    public bool TryRead(out ReadOnlyMemory<byte> line)
    {
        int searched = 0;
        while (true)
        {
            int found = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n');
            if (found >= 0)
            {
                line = Take(searched + found, 1);
                return true;
            }

            searched = _end - _start;
            Position = new FilePosition(_path, _line + 1, _offset);
            if (searched > _longest)
                throw new ModelFormatException($"{Position}: the line has more than {_longest} bytes. Is it a file of lines?");
            if (Fill())
                continue;
            line = Take(searched, 0);
            return searched > 0;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _stream.Dispose();

    private ReadOnlyMemory<byte> Take(int length, int ending)
    {
        Position = new FilePosition(_path, ++_line, _offset);
        ReadOnlyMemory<byte> line = _buffer.AsMemory(_start, length);
        if (_offset == 0 && line.Span.StartsWith("\uFEFF"u8))
            line = line[3..];
        if (line.Length > 0 && line.Span[^1] == '\r')
            line = line[..^1];
        _start += length + ending;
        _offset += length + ending;
        return line;
    }

    private bool Fill()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_end, _start) = (_end - _start, 0);
        }

        if (_end == _buffer.Length)
            Array.Resize(ref _buffer, checked(_buffer.Length * 2));
        try
        {
            int count = _stream.Read(_buffer, _end, _buffer.Length - _end);
            _end += count;
            return count > 0;
        }
        catch (Exception e) when (e is InvalidDataException or ZstdException or IOException)
        {
            throw new ModelFormatException($"{new FilePosition(_path, _line + 1, _offset)}: the content cannot be read on: {e.Message}", e);
        }
    }
}
