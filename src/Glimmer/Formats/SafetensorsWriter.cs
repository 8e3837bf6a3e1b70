using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json;
using Glimmer.Tensors;

namespace Glimmer.Formats;

/// <summary>
/// Writes tensors to <c>model.safetensors</c> in a folder, or to shards <c>model-00001-of-00003.safetensors</c> with <c>model.safetensors.index.json</c> when
/// they exceed the shard size, as a stream in the announced order.
/// </summary>
/// <remarks>Each file gets its name when it is complete; the index comes last, in <see cref="Complete"/>. A tensor is never split over shards.</remarks>
public sealed class SafetensorsWriter : IDisposable
{
    private readonly string _folder;
    private readonly List<List<TensorInfo>> _shards;
    private readonly IReadOnlyDictionary<string, string>? _metadata;
    private readonly string _name;
    private int _shard = -1;
    private int _current;
    private long _left;
    private AtomicFile? _file;

    private SafetensorsWriter(string folder, List<List<TensorInfo>> shards, IReadOnlyDictionary<string, string>? metadata, string name)
    {
        _folder = folder;
        _shards = shards;
        _metadata = metadata;
        _name = name;
    }

    /// <summary>Starts writing.</summary>
    /// <param name="folder">An existing folder.</param>
    /// <param name="tensors">Names, types and shapes in order.</param>
    /// <param name="maxShardBytes">Largest data size of a file; a larger tensor gets a file of its own.</param>
    /// <param name="metadata">String pairs for the header of each file, for example <c>format: pt</c>.</param>
    /// <param name="name">Name of the file without its ending: <c>model</c>, <c>adapter_model</c>.</param>
    /// <exception cref="ArgumentException">A name appears twice, or a type cannot be stored in safetensors.</exception>
    public static SafetensorsWriter Create(
        string folder, IReadOnlyList<TensorInfo> tensors, long maxShardBytes = 5_000_000_000, IReadOnlyDictionary<string, string>? metadata = null,
        string name = "model")
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        var shards = new List<List<TensorInfo>> { new() };
        long bytes = 0;
        foreach (TensorInfo info in tensors)
        {
            if (!names.Add(info.Name))
                throw new ArgumentException($"The tensor '{info.Name}' is announced twice.", nameof(tensors));
            _ = NameOf(info.Type);
            if (bytes > 0 && bytes + info.SizeBytes > maxShardBytes)
            {
                shards.Add([]);
                bytes = 0;
            }

            shards[^1].Add(info);
            bytes += info.SizeBytes;
        }

        var writer = new SafetensorsWriter(folder, shards, metadata, name);
        writer.StartShard();
        return writer;
    }

    /// <summary>Starts the data of the next tensor.</summary>
    /// <exception cref="InvalidOperationException">Another one is expected, or the one before it is incomplete.</exception>
    public void BeginTensor(string name)
    {
        CheckFinished();
        if (_current == _shards[_shard].Count && _shard < _shards.Count - 1)
        {
            _file!.Commit();
            StartShard();
        }

        string? next = _current < _shards[_shard].Count ? _shards[_shard][_current].Name : null;
        if (next != name)
            throw new InvalidOperationException($"'{name}' is not the next tensor; {(next is null ? "all are written" : $"'{next}' is")}.");
        _left = _shards[_shard][_current++].SizeBytes;
    }

    /// <summary>Writes some bytes of the current tensor.</summary>
    /// <exception cref="InvalidOperationException">More bytes than the tensor has.</exception>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _left)
            throw new InvalidOperationException($"{bytes.Length} bytes exceed the {_left} left of the tensor.");
        _file!.Stream.Write(bytes);
        _left -= bytes.Length;
    }

    /// <summary>Finishes the last file and writes the index when there are several.</summary>
    /// <exception cref="InvalidOperationException">A tensor is missing or incomplete.</exception>
    public void Complete()
    {
        CheckFinished();
        if (_shard != _shards.Count - 1 || _current != _shards[_shard].Count)
            throw new InvalidOperationException("Not all tensors were written.");
        _file!.Commit();
        if (_shards.Count > 1)
            WriteIndex();
    }

    /// <inheritdoc/>
    public void Dispose() => _file?.Dispose();

    /// <summary>The name of a type in safetensors headers.</summary>
    /// <exception cref="ArgumentException">Block types have none.</exception>
    internal static string NameOf(DType type) => type switch
    {
        DType.F8E4M3 => "F8_E4M3",
        DType.F8E5M2 => "F8_E5M2",
        DType.Bool => "BOOL",
        _ when type.IsBlockType() => throw new ArgumentException($"safetensors has no type for {type} blocks; GGUF has."),
        _ => type.ToString(),
    };

    private void StartShard()
    {
        _shard++;
        _current = 0;
        _file = new AtomicFile(System.IO.Path.Combine(_folder, ShardName(_shard)));
        byte[] json = Header(_shards[_shard]);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)json.Length);
        _file.Stream.Write(length);
        _file.Stream.Write(json);
    }

    private string ShardName(int shard) => _shards.Count == 1
        ? $"{_name}.safetensors"
        : string.Create(CultureInfo.InvariantCulture, $"{_name}-{shard + 1:00000}-of-{_shards.Count:00000}.safetensors");

    private byte[] Header(List<TensorInfo> tensors)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            if (_metadata is { Count: > 0 })
            {
                json.WriteStartObject("__metadata__");
                foreach ((string key, string value) in _metadata)
                    json.WriteString(key, value);
                json.WriteEndObject();
            }

            long offset = 0;
            foreach (TensorInfo info in tensors)
            {
                json.WriteStartObject(info.Name);
                json.WriteString("dtype", NameOf(info.Type));
                json.WriteStartArray("shape");
                foreach (int size in info.Shape)
                    json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset += info.SizeBytes);
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        // The format allows trailing blanks; with them the data starts at a multiple of 64.
        while ((stream.Length + 8) % 64 != 0)
            stream.WriteByte((byte)' ');
        return stream.ToArray();
    }

    private void WriteIndex()
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteStartObject("metadata");
            json.WriteNumber("total_size", _shards.Sum(s => s.Sum(t => t.SizeBytes)));
            json.WriteEndObject();
            json.WriteStartObject("weight_map");
            for (int shard = 0; shard < _shards.Count; shard++)
            {
                foreach (TensorInfo info in _shards[shard])
                    json.WriteString(info.Name, ShardName(shard));
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        AtomicFile.WriteAllBytes(System.IO.Path.Combine(_folder, $"{_name}.safetensors.index.json"), stream.ToArray());
    }

    private void CheckFinished()
    {
        if (_left != 0)
            throw new InvalidOperationException($"'{_shards[_shard][_current - 1].Name}' lacks {_left} bytes.");
    }
}
