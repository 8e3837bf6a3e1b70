using System.Text;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Formats;

/// <summary>Writes a <see cref="PackCacheFile"/> matrix by matrix. The file appears under its name only when it is complete.</summary>
internal sealed unsafe class PackCacheWriter : IDisposable
{
    private const int ChunkBytes = 64 << 20;

    private readonly AtomicFile _file;
    private readonly byte[] _key;
    private readonly List<PackCacheEntry> _entries = [];

    /// <summary>Starts a file.</summary>
    /// <param name="path">Its final name; the folder must exist.</param>
    /// <param name="key">Key of the source.</param>
    public PackCacheWriter(string path, byte[] key)
    {
        _key = key;
        _file = new AtomicFile(path);
        _file.Stream.Write(new byte[PackCacheFile.HeadBytes]);
    }

    /// <summary>Appends the packed bytes of a matrix.</summary>
    public void Add(string name, PackedMatrix matrix)
    {
        FileStream stream = _file.Stream;
        long offset = (stream.Position + PackCacheFile.Alignment - 1) / PackCacheFile.Alignment * PackCacheFile.Alignment;
        stream.Write(new byte[offset - stream.Position]);
        for (long done = 0; done < matrix.Bytes; done += ChunkBytes)
            stream.Write(new ReadOnlySpan<byte>(matrix.Data + done, (int)Math.Min(ChunkBytes, matrix.Bytes - done)));
        _entries.Add(new PackCacheEntry(
            name, matrix.Type, matrix.Rows, matrix.Columns, matrix.PanelBytes, PackedWeights.FormOf(matrix.Type), offset, matrix.Bytes));
    }

    /// <summary>Says that a matrix repeats another one, so that the next start need not compare them.</summary>
    public void AddSame(string name, string other) => _entries.Add(new PackCacheEntry(name, DType.U8, 0, 0, 0, 0, -1, 0, other));

    /// <summary>Writes table and head and gives the file its name.</summary>
    public void Complete()
    {
        FileStream stream = _file.Stream;
        long table = stream.Position;
        using (var writer = new BinaryWriter(stream, new UTF8Encoding(false), leaveOpen: true))
        {
            writer.Write(_entries.Count);
            foreach (PackCacheEntry entry in _entries)
                PackCacheFile.WriteEntry(writer, entry);
            writer.Flush();
            long length = stream.Position;
            stream.Position = 0;
            writer.Write(PackCacheFile.Magic);
            writer.Write(PackCacheFile.Version);
            writer.Write(0);
            writer.Write(_key);
            writer.Write(table);
            writer.Write(length);
        }

        _file.Commit();
    }

    public void Dispose() => _file.Dispose();
}
