using System.Buffers.Binary;
using Glimmer.Tensors;

namespace Glimmer.Formats;

/// <summary>One <c>.safetensors</c> file, mapped into memory: u64 header length, a JSON header, then the data of the tensors without gaps.</summary>
/// <remarks>
/// Source: huggingface/safetensors, README "Format". Everything the header claims is checked before it is used: names and fields unique, ranges inside the
/// file, as long as shape and type say, neither overlapping nor leaving holes. Opening allocates in proportion to the header that is really there.
/// </remarks>
public sealed class SafetensorsFile : IMappedWeights
{
    private readonly MappedFile _file;
    private readonly Dictionary<string, SafetensorsEntry> _entries;
    private readonly TensorInfo[] _tensors;
    private readonly long _dataStart;

    private SafetensorsFile(MappedFile file, SafetensorsHeader header, long dataStart)
    {
        _file = file;
        _dataStart = dataStart;
        Metadata = header.Metadata;
        _tensors = [.. header.Entries.Select(e => e.Info)];
        _entries = header.Entries.ToDictionary(e => e.Info.Name, StringComparer.Ordinal);
    }

    /// <summary>Path as it was opened.</summary>
    public string Path => _file.Path;

    /// <summary>The string pairs of <c>__metadata__</c>.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>The tensors in the order of their data.</summary>
    public IReadOnlyList<TensorInfo> Tensors => _tensors;

    /// <summary>Opens and checks a file.</summary>
    /// <exception cref="ModelFormatException">The file is missing, truncated or contradicts itself.</exception>
    public static SafetensorsFile Open(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            if (file.Length < 8)
                throw new ModelFormatException(
                    $"'{path}' has {file.Length} bytes; a safetensors file starts with an 8-byte header length. The download may be incomplete.");
            ulong headerLength = BinaryPrimitives.ReadUInt64LittleEndian(file.Span(0, 8));
            if (headerLength > (ulong)file.Length - 8)
                throw new ModelFormatException(
                    $"'{path}': the header claims {headerLength} bytes but the file has {file.Length}. It is truncated or no safetensors file.");
            if (headerLength is 0 or > SafetensorsHeader.MaxBytes)
                throw new ModelFormatException($"'{path}': the header length is {headerLength}; it must be between 2 and {SafetensorsHeader.MaxBytes}.");
            long dataStart = 8 + (long)headerLength;
            SafetensorsHeader header = SafetensorsHeader.Parse(path, file.Span(8, (int)headerLength), file.Length - dataStart);
            return new SafetensorsFile(file, header, dataStart);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    IEnumerable<(MappedFile File, long HeaderBytes)> IMappedWeights.Files => [(_file, _dataStart)];

    /// <summary>The tensor of that name, or null.</summary>
    public TensorInfo? Find(string name) => _entries.TryGetValue(name, out SafetensorsEntry? entry) ? entry.Info : null;

    /// <summary>A view of the mapped bytes; valid until this file is disposed.</summary>
    /// <exception cref="ModelFormatException">The file has no such tensor.</exception>
    public unsafe Tensor View(string name)
    {
        SafetensorsEntry entry = Entry(name);
        return new Tensor(entry.Info.Type, entry.Info.Shape, _file.Pointer + _dataStart + entry.Begin, _file);
    }

    /// <summary>Unmaps the file. Views of it must no longer be used.</summary>
    public void Dispose() => _file.Dispose();

    /// <summary>First byte of a tensor.</summary>
    internal unsafe byte* Data(string name) => _file.Pointer + _dataStart + Entry(name).Begin;

    private SafetensorsEntry Entry(string name) =>
        _entries.TryGetValue(name, out SafetensorsEntry? entry) ? entry : throw new ModelFormatException($"'{Path}' has no tensor '{name}'.");
}
