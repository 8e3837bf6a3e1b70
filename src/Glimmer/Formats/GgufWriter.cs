using System.Buffers.Binary;
using System.Text;

namespace Glimmer.Formats;

/// <summary>Writes a GGUF file (version 3) as a stream: metadata and directory first, then the data of each tensor in the announced order.</summary>
/// <remarks>The file gets its name in <see cref="Complete"/>; without that, disposing leaves nothing behind.</remarks>
public sealed class GgufWriter : IDisposable
{
    private readonly AtomicFile _file;
    private readonly IReadOnlyList<TensorInfo> _tensors;
    private readonly int _alignment;
    private int _current = -1;
    private long _left;

    private GgufWriter(AtomicFile file, IReadOnlyList<TensorInfo> tensors, int alignment)
    {
        _file = file;
        _tensors = tensors;
        _alignment = alignment;
    }

    /// <summary>Starts a file.</summary>
    /// <param name="path">Where it will appear.</param>
    /// <param name="metadata">Keys and values in order.</param>
    /// <param name="tensors">Names, types and shapes (slowest dimension first) in order.</param>
    /// <param name="alignment">Bytes between which tensors start; a power of two of at least 8.</param>
    /// <exception cref="ArgumentException">A tensor cannot be stored in GGUF, or the alignment is wrong.</exception>
    public static GgufWriter Create(string path, IEnumerable<KeyValuePair<string, GgufValue>> metadata, IReadOnlyList<TensorInfo> tensors, int alignment = 32)
    {
        if (alignment < 8 || (alignment & (alignment - 1)) != 0)
            throw new ArgumentException($"The alignment {alignment} is no power of two of at least 8.", nameof(alignment));
        byte[] header = Header([.. metadata], tensors, alignment);
        var file = new AtomicFile(path);
        try
        {
            file.Stream.Write(header);
            return new GgufWriter(file, tensors, alignment);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Starts the data of the next tensor.</summary>
    /// <exception cref="InvalidOperationException">Another one is expected, or the one before it is incomplete.</exception>
    public void BeginTensor(string name)
    {
        FinishTensor();
        _current++;
        if (_current >= _tensors.Count || _tensors[_current].Name != name)
            throw new InvalidOperationException(
                $"'{name}' is not the next tensor; {(_current < _tensors.Count ? $"'{_tensors[_current].Name}' is" : "all are written")}.");
        _left = _tensors[_current].SizeBytes;
    }

    /// <summary>Writes some bytes of the current tensor.</summary>
    /// <exception cref="InvalidOperationException">More bytes than the tensor has.</exception>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _left)
            throw new InvalidOperationException($"{bytes.Length} bytes exceed the {_left} left of the tensor.");
        _file.Stream.Write(bytes);
        _left -= bytes.Length;
    }

    /// <summary>Flushes everything and gives the file its name.</summary>
    /// <exception cref="InvalidOperationException">A tensor is missing or incomplete.</exception>
    public void Complete()
    {
        FinishTensor();
        if (_current != _tensors.Count - 1)
            throw new InvalidOperationException($"{_tensors.Count - 1 - _current} tensors were not written.");
        _file.Commit();
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private void FinishTensor()
    {
        if (_left != 0)
            throw new InvalidOperationException($"'{_tensors[_current].Name}' lacks {_left} bytes.");
        if (_current >= 0)
            _file.Stream.Write(new byte[Padding(_file.Stream.Position)]);
    }

    private int Padding(long position) => (int)(-position & (_alignment - 1));

    private static byte[] Header(KeyValuePair<string, GgufValue>[] metadata, IReadOnlyList<TensorInfo> tensors, int alignment)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream, Encoding.UTF8);
        bool stateAlignment = alignment != 32;
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write((ulong)tensors.Count);
        writer.Write((ulong)(metadata.Length + (stateAlignment ? 1 : 0)));
        if (stateAlignment)
            WriteKey(writer, "general.alignment", GgufValue.Of((uint)alignment));
        foreach ((string key, GgufValue value) in metadata)
            WriteKey(writer, key, value);
        WriteDirectory(writer, tensors, alignment);
        writer.Write(new byte[-stream.Length & (alignment - 1)]);
        return stream.ToArray();
    }

    private static void WriteDirectory(BinaryWriter writer, IReadOnlyList<TensorInfo> tensors, int alignment)
    {
        long offset = 0;
        foreach (TensorInfo info in tensors)
        {
            if (info.Shape.Length is 0 or > 4)
                throw new ArgumentException($"{info} has {info.Shape.Length} dimensions; GGUF stores 1 to 4.");
            WriteString(writer, info.Name);
            writer.Write((uint)info.Shape.Length);
            for (int i = info.Shape.Length - 1; i >= 0; i--)
                writer.Write((ulong)info.Shape[i]);
            writer.Write(GgufTensorType.IdOf(info.Type) ?? throw new ArgumentException($"GGUF has no type for {info}."));
            writer.Write((ulong)offset);
            offset = (offset + info.SizeBytes + alignment - 1) & -alignment;
        }
    }

    private static void WriteKey(BinaryWriter writer, string key, GgufValue value)
    {
        WriteString(writer, key);
        writer.Write((uint)value.Type);
        if (value.Value is not Array array)
        {
            WriteScalar(writer, value.Value);
            return;
        }

        writer.Write((uint)value.ElementType);
        writer.Write((ulong)array.Length);
        if (array is string[] strings)
        {
            foreach (string text in strings)
                WriteString(writer, text);
            return;
        }

        foreach (object element in array)
            WriteScalar(writer, element);
    }

    private static void WriteScalar(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case byte v: writer.Write(v); break;
            case sbyte v: writer.Write(v); break;
            case ushort v: writer.Write(v); break;
            case short v: writer.Write(v); break;
            case uint v: writer.Write(v); break;
            case int v: writer.Write(v); break;
            case float v: writer.Write(v); break;
            case bool v: writer.Write(v); break;
            case string v: WriteString(writer, v); break;
            case ulong v: writer.Write(v); break;
            case long v: writer.Write(v); break;
            case double v: writer.Write(v); break;
            default: throw new ArgumentException($"GGUF has no type for a {value.GetType().Name}.");
        }
    }

    private static void WriteString(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)bytes.Length);
        writer.Write(length);
        writer.Write(bytes);
    }
}
