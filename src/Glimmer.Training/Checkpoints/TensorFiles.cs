using Glimmer.Formats;
using Glimmer.Tensors;

namespace Glimmer.Training.Checkpoints;

/// <summary>Named fp32 tensors in a safetensors file.</summary>
internal static class TensorFiles
{
    /// <summary>Writes <c>NAME.safetensors</c>.</summary>
    public static void Write(string folder, IEnumerable<KeyValuePair<string, Tensor>> tensors, string name = "model")
    {
        KeyValuePair<string, Tensor>[] list = [.. tensors];
        using var writer = SafetensorsWriter.Create(
            folder, [.. list.Select(t => new TensorInfo(t.Key, DType.F32, t.Value.Shape))], metadata: new Dictionary<string, string> { ["format"] = "pt" }, name: name);
        foreach ((string key, Tensor value) in list)
        {
            writer.BeginTensor(key);
            writer.Write(value.Bytes);
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
