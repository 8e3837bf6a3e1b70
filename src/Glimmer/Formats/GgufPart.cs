using System.Buffers.Binary;
using System.Text;
using Glimmer.Tensors;

namespace Glimmer.Formats;

/// <summary>One GGUF file: metadata and tensor directory, checked completely before anything is believed.</summary>
/// <remarks>
/// Format: ggml-org/ggml docs/gguf.md, versions 2 and 3, little endian. The cursor never passes the end of the file and counts are compared with the bytes
/// that are left, so a header that claims a terabyte allocates nothing. As in ggml the data of the tensors follows in directory order without gaps, each
/// padded to the alignment.
/// </remarks>
internal sealed class GgufPart : IDisposable
{
    private const int MaxKeyBytes = 65535;
    private const int MaxDimensions = 4;

    private static readonly UTF8Encoding s_strictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly MappedFile _file;
    private readonly Dictionary<string, long> _offsets = new(StringComparer.Ordinal);
    private long _at;

    private GgufPart(MappedFile file)
    {
        _file = file;
    }

    /// <summary>Path as it was opened.</summary>
    public string Path => _file.Path;

    /// <summary>Version of the format.</summary>
    public uint Version { get; private set; }

    /// <summary>Metadata in file order.</summary>
    public Dictionary<string, GgufValue> Metadata { get; } = new(StringComparer.Ordinal);

    /// <summary>Tensors in file order.</summary>
    public List<TensorInfo> Tensors { get; } = [];

    /// <summary>What keeps views alive.</summary>
    public MappedFile File => _file;

    /// <summary>Bytes before the data of the first tensor.</summary>
    public long HeaderBytes => _offsets.Count == 0 ? _file.Length : _offsets.Values.Min();

    /// <summary>Opens and checks one file.</summary>
    /// <exception cref="ModelFormatException">The file is missing, truncated or contradicts itself.</exception>
    public static GgufPart Open(string path)
    {
        var part = new GgufPart(MappedFile.Open(path));
        try
        {
            part.Read();
            return part;
        }
        catch
        {
            part.Dispose();
            throw;
        }
    }

    /// <summary>First byte of a tensor of this part.</summary>
    public unsafe byte* Data(string name) => _file.Pointer + _offsets[name];

    public void Dispose() => _file.Dispose();

    private void Read()
    {
        if (_file.Length < 4 || !_file.Span(0, 4).SequenceEqual("GGUF"u8))
            throw Wrong("does not start with 'GGUF'; it is no GGUF file or an older format (convert it again from the original checkpoint)");
        _at = 4;
        Version = ReadUInt32("version");
        if (Version is 0x02000000 or 0x03000000)
            throw Wrong("is a big-endian GGUF file; only little-endian files are supported");
        if (Version is not (2 or 3))
            throw Wrong($"has GGUF version {Version}; versions 2 and 3 are supported");
        ulong tensorCount = ReadUInt64("tensor count");
        ulong keyCount = ReadUInt64("key count");

        // The shortest key is 13 bytes, the shortest directory entry 33.
        if (keyCount > (ulong)Left / 13 || tensorCount > (ulong)Left / 33)
            throw Wrong($"claims {keyCount} metadata keys and {tensorCount} tensors, more than its {_file.Length} bytes can hold");
        for (ulong i = 0; i < keyCount; i++)
            ReadKey();
        ReadDirectory(tensorCount);
    }

    private void ReadKey()
    {
        string key = ReadName("a metadata key", MaxKeyBytes);
        GgufValueType type = ReadValueType(key);
        GgufValue value = type == GgufValueType.Array ? ReadArray(key) : ReadScalar(key, type);
        if (!Metadata.TryAdd(key, value))
            throw Wrong($"has the metadata key '{key}' twice");
    }

    private GgufValue ReadScalar(string key, GgufValueType type)
    {
        long start = _at;
        SkipValues(key, type, 1);
        return new GgufValue(key, type, type, 1, _file, start);
    }

    private GgufValue ReadArray(string key)
    {
        GgufValueType type = ReadValueType(key);
        ulong count = ReadUInt64(key);
        if (type == GgufValueType.Array)
            throw Wrong($"has nested arrays in '{key}', which Glimmer does not read (nor does llama.cpp)");
        int smallest = type == GgufValueType.String ? 8 : GgufValue.SizeOf(type);
        if (count > (ulong)(Left / smallest) || count > int.MaxValue)
            throw Wrong($"claims {count} elements in '{key}', more than the {Left} bytes left can hold");
        long start = _at;
        SkipValues(key, type, (long)count);
        return new GgufValue(key, GgufValueType.Array, type, (long)count, _file, start);
    }

    private void SkipValues(string key, GgufValueType type, long count)
    {
        if (type == GgufValueType.String)
        {
            for (long i = 0; i < count; i++)
            {
                ulong length = ReadUInt64(key);
                if (length > (ulong)Left || length > int.MaxValue)
                    throw Wrong($"claims a string of {length} bytes in '{key}', but only {Left} are left");
                _at += (long)length;
            }

            return;
        }

        long bytes = count * GgufValue.SizeOf(type);
        if (bytes > Left)
            throw Wrong($"ends inside the metadata key '{key}'");
        if (type == GgufValueType.Bool && _file.Span(_at, (int)bytes).IndexOfAnyExcept((byte)0, (byte)1) >= 0)
            throw Wrong($"has a truth value in '{key}' that is neither 0 nor 1");
        _at += bytes;
    }

    private void ReadDirectory(ulong tensorCount)
    {
        var claimed = new List<ulong>();
        for (ulong i = 0; i < tensorCount; i++)
        {
            TensorInfo info = ReadTensor();
            claimed.Add(ReadUInt64(info.Name));
            if (!_offsets.TryAdd(info.Name, 0))
                throw Wrong($"names the tensor '{info.Name}' twice");
            Tensors.Add(info);
        }

        long alignment = Alignment();
        long dataStart = RoundUp(_at, alignment);
        long expected = 0;
        for (int i = 0; i < Tensors.Count; i++)
        {
            TensorInfo info = Tensors[i];
            if (claimed[i] != (ulong)expected)
                throw Wrong($"places '{info.Name}' at offset {claimed[i]}; {expected} is expected, right after the tensor before it");
            if (expected > _file.Length - dataStart - info.SizeBytes)
                throw Wrong($"ends inside the tensor '{info.Name}': {info.SizeBytes} bytes at {dataStart + expected} are expected, the file has "
                    + $"{_file.Length}. The download may be incomplete");
            _offsets[info.Name] = dataStart + expected;
            expected = RoundUp(expected + info.SizeBytes, alignment);
        }

        // Writers pad the last tensor too, so a file without its padding has lost its end.
        if (Tensors.Count > 0 && dataStart + expected > _file.Length)
            throw Wrong($"ends at byte {_file.Length}, inside the padding of its last tensor; {dataStart + expected} bytes are expected. The download may "
                + "be incomplete");
    }

    private TensorInfo ReadTensor()
    {
        string name = ReadName("a tensor name", MaxKeyBytes);
        uint dimensions = ReadUInt32(name);
        if (dimensions is 0 or > MaxDimensions)
            throw Wrong($"gives '{name}' {dimensions} dimensions; 1 to {MaxDimensions} are possible");
        var shape = new int[dimensions];
        Int128 elements = 1;
        for (int i = 0; i < shape.Length; i++)
        {
            ulong size = ReadUInt64(name);
            if (size is 0 or > int.MaxValue)
                throw Wrong($"gives '{name}' a dimension of {size}; 1 to {int.MaxValue} is possible");
            shape[^(i + 1)] = (int)size;
            elements *= size;
            if (elements > long.MaxValue)
                throw Wrong($"gives '{name}' more elements than 2^63");
        }

        uint id = ReadUInt32(name);
        DType type = GgufTensorType.Find(id) ?? throw Wrong($"gives '{name}' the type {id}, {GgufTensorType.Describe(id)}");
        if (shape[^1] % type.BlockElements() != 0)
            throw Wrong($"gives '{name}' rows of {shape[^1]} elements, no multiple of the {type.BlockElements()} of a {type} block");
        Int128 bytes = elements / type.BlockElements() * type.BlockBytes();
        if (bytes > _file.Length)
            throw Wrong($"gives '{name}' {bytes} bytes, but the file has only {_file.Length}");
        return new TensorInfo(name, type, shape, (long)bytes);
    }

    private long Alignment()
    {
        if (!Metadata.TryGetValue("general.alignment", out GgufValue? value))
            return 32;
        if (value.Type != GgufValueType.UInt32)
            throw Wrong($"has a general.alignment of type {value.Type}; u32 is expected");
        long alignment = value.AsInteger();
        if (alignment is 0 or > 1 << 24 || (alignment & (alignment - 1)) != 0)
            throw Wrong($"has a general.alignment of {alignment}; a power of two up to {1 << 24} is expected");
        return alignment;
    }

    private string ReadName(string what, int maxBytes)
    {
        ulong length = ReadUInt64(what);
        if (length > (ulong)Left)
            throw Wrong($"claims {length} bytes for {what} at byte {_at}, but only {Left} are left");
        if (length == 0 || length > (ulong)maxBytes)
            throw Wrong($"has {length} bytes for {what} at byte {_at}; 1 to {maxBytes} are possible");
        try
        {
            string name = s_strictUtf8.GetString(_file.Span(_at, (int)length));
            _at += (long)length;
            return name;
        }
        catch (DecoderFallbackException e)
        {
            throw new ModelFormatException($"'{Path}': {what} at byte {_at} is not UTF-8.", e);
        }
    }

    private GgufValueType ReadValueType(string key)
    {
        uint type = ReadUInt32(key);
        if (type > (uint)GgufValueType.Float64)
            throw Wrong($"has the unknown value type {type} in '{key}'");
        return (GgufValueType)type;
    }

    private uint ReadUInt32(string what) => BinaryPrimitives.ReadUInt32LittleEndian(Take(4, what));

    private ulong ReadUInt64(string what) => BinaryPrimitives.ReadUInt64LittleEndian(Take(8, what));

    private ReadOnlySpan<byte> Take(int bytes, string what)
    {
        if (bytes > Left)
            throw Wrong($"ends inside its header, at '{what}'. The download may be incomplete");
        ReadOnlySpan<byte> span = _file.Span(_at, bytes);
        _at += bytes;
        return span;
    }

    private long Left => _file.Length - _at;

    private static long RoundUp(long value, long alignment) => (value + alignment - 1) / alignment * alignment;

    private ModelFormatException Wrong(string what) => new($"'{Path}' {what}.");
}
