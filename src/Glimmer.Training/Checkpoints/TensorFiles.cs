using Glimmer.Formats;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Training.Checkpoints;

/// <summary>Named fp32 tensors in safetensors files.</summary>
internal static class TensorFiles
{
    private const int ChunkFloats = 1 << 20;

    /// <summary>Writes <c>NAME.safetensors</c>, or several files and their index where they would be large; every tensor in fp32, or in the type that <paramref name="typeOf"/> gives its name.</summary>
    public static void Write(string folder, IEnumerable<KeyValuePair<string, Tensor>> tensors, string name = "model", Func<string, DType>? typeOf = null, long maxShardBytes = 5_000_000_000)
    {
        KeyValuePair<string, Tensor>[] list = [.. tensors];
        using var writer = SafetensorsWriter.Create(
            folder, [.. list.Select(t => new TensorInfo(t.Key, typeOf?.Invoke(t.Key) ?? DType.F32, t.Value.Shape))], maxShardBytes, metadata: new Dictionary<string, string> { ["format"] = "pt" }, name: name);
        foreach ((string key, Tensor value) in list)
        {
            writer.BeginTensor(key);
            DType type = typeOf?.Invoke(key) ?? DType.F32;
            if (type == DType.F32)
            {
                writer.Write(value.Bytes);
                continue;
            }

            for (long at = 0; at < value.Count; at += ChunkFloats)
            {
                ReadOnlySpan<float> values = value.F32.Slice((int)at, (int)Math.Min(ChunkFloats, value.Count - at));
                byte[] bytes = new byte[type.ByteSize(values.Length)];
                Quantizer.FromFloat32(type, values, bytes);
                writer.Write(bytes);
            }
        }

        writer.Complete();
    }

    /// <summary>Reads tensors of a folder into memory that is there.</summary>
    /// <exception cref="ModelFormatException">A tensor is missing or has another shape.</exception>
    public static void Read(string folder, IEnumerable<KeyValuePair<string, Tensor>> tensors, string name = "model")
    {
        string path = Path.Combine(folder, name + ".safetensors");
        using WeightSource source = SafetensorsWeights.Open(File.Exists(path) ? path : folder);
        foreach ((string key, Tensor value) in tensors)
        {
            TensorInfo stored = source.Get(key);
            if (!stored.Shape.SequenceEqual(value.Shape))
                throw new ModelFormatException($"'{path}': tensor '{key}' has the shape [{string.Join(", ", stored.Shape.ToArray())}] but this run needs [{string.Join(", ", value.Shape.ToArray())}]. The checkpoint belongs to another model.");
            source.ReadFloat32(key, value.F32);
        }
    }
}
