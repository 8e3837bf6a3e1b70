using System.Text;
using Glimmer.Quantization;
using Glimmer.Tensors;
using Microsoft.Win32.SafeHandles;

namespace Glimmer.Formats;

/// <summary>The packed matrices of one checkpoint in a file that is mapped, not read: the next start of the same model packs nothing.</summary>
/// <remarks>
/// Little endian. 64 bytes of head: <c>GLIMPACK</c>, u32 version, u32 zero, 32 bytes key of the source, i64 offset of the table, i64 bytes of the file. The packed bytes follow, each matrix at
/// a multiple of 64 and in the order of loading, so that the three matrices of an expert are one run. The table at the end names them. Packed bytes are the same
/// on every instruction set. The file holds nothing that the checkpoint does not: deleting it costs time only.
/// </remarks>
internal sealed unsafe class PackCacheFile : IDisposable
{
    public const int Version = 1;
    public const int HeadBytes = 64;
    public const int Alignment = 64;
    public const int KeyBytes = 32;
    public const long MaxTableBytes = 1L << 30;

    private readonly MappedFile _file;
    private readonly Dictionary<string, PackCacheEntry> _entries = new(StringComparer.Ordinal);

    private PackCacheFile(MappedFile file)
    {
        _file = file;
        Handle = File.OpenHandle(file.Path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
    }

    public static ReadOnlySpan<byte> Magic => "GLIMPACK"u8;

    /// <summary>Path as it was opened.</summary>
    public string Path => _file.Path;

    /// <summary>Bytes of the file.</summary>
    public long Length => _file.Length;

    /// <summary>First byte of the mapping.</summary>
    public byte* Pointer => _file.Pointer;

    /// <summary>For reading without the mapping.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>All matrices.</summary>
    public IEnumerable<PackCacheEntry> Entries => _entries.Values;

    /// <summary>Maps a file; null when it belongs to another source, another version, or is damaged: then it is written again.</summary>
    /// <param name="path">The file; it need not exist.</param>
    /// <param name="key">Key of the source.</param>
    public static PackCacheFile? TryOpen(string path, ReadOnlySpan<byte> key)
    {
        if (!File.Exists(path))
            return null;
        PackCacheFile? file = null;
        try
        {
            file = new PackCacheFile(MappedFile.Open(path));
            if (file.Read(key))
                return file;
        }
        catch (Exception e) when (e is IOException or EndOfStreamException or ModelFormatException or ArgumentException or DecoderFallbackException)
        {
            // Whatever is wrong with a cache, the checkpoint has everything.
        }

        file?.Dispose();
        return null;
    }

    /// <summary>The entry of a matrix when the file holds it in the form that the kernels read now, else null.</summary>
    public PackCacheEntry? Find(string name, PackedMatrix matrix) =>
        _entries.TryGetValue(name, out PackCacheEntry? e) && e.Offset >= 0 && e.Type == matrix.Type && e.Rows == matrix.Rows && e.Columns == matrix.Columns
            && e.PanelBytes == matrix.PanelBytes && e.Bytes == matrix.Bytes && e.Form == PackedWeights.FormOf(matrix.Type) ? e : null;

    /// <summary>Name of the matrix that another one repeats, or null.</summary>
    public string? SameAs(string name) => _entries.TryGetValue(name, out PackCacheEntry? e) && e.SameAs.Length > 0 ? e.SameAs : null;

    /// <summary>First packed byte of an entry. Valid until <see cref="Dispose"/>.</summary>
    public byte* Data(PackCacheEntry entry) => _file.Pointer + entry.Offset;

    /// <summary>Asks the system to read the whole file ahead.</summary>
    public void WillNeedAll() => MemoryAdvice.WillNeed(_file.Pointer, _file.Length);

    public void Dispose()
    {
        Handle.Dispose();
        _file.Dispose();
    }

    private bool Read(ReadOnlySpan<byte> key)
    {
        if (_file.Length < HeadBytes || !_file.Span(0, 8).SequenceEqual(Magic))
            return false;
        using var stream = new UnmanagedMemoryStream(_file.Pointer, _file.Length);
        using var reader = new BinaryReader(stream, new UTF8Encoding(false, throwOnInvalidBytes: true));
        stream.Position = Magic.Length;
        if (reader.ReadUInt32() != Version || reader.ReadUInt32() != 0 || !reader.ReadBytes(KeyBytes).AsSpan().SequenceEqual(key))
            return false;
        long table = reader.ReadInt64();
        if (reader.ReadInt64() != _file.Length || table < HeadBytes || table > _file.Length || _file.Length - table > MaxTableBytes)
            return false;
        stream.Position = table;
        int count = reader.ReadInt32();
        for (int i = 0; i < count; i++)
        {
            PackCacheEntry entry = ReadEntry(reader);
            bool fits = entry.Offset == -1
                || (entry.Offset >= HeadBytes && entry.Offset % Alignment == 0 && entry.Bytes >= 0 && entry.Offset <= table - entry.Bytes);
            if (!fits || !_entries.TryAdd(entry.Name, entry))
                return false;
        }

        return true;
    }

    private static PackCacheEntry ReadEntry(BinaryReader reader) => new(
        reader.ReadString(), Enum.Parse<DType>(reader.ReadString()), reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt64(), reader.ReadUInt64(),
        reader.ReadInt64(), reader.ReadInt64(), reader.ReadString());

    public static void WriteEntry(BinaryWriter writer, PackCacheEntry entry)
    {
        writer.Write(entry.Name);
        writer.Write(entry.Type.ToString());
        writer.Write(entry.Rows);
        writer.Write(entry.Columns);
        writer.Write(entry.PanelBytes);
        writer.Write(entry.Form);
        writer.Write(entry.Offset);
        writer.Write(entry.Bytes);
        writer.Write(entry.SameAs);
    }
}
