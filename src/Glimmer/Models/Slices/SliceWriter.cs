using System.Text;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Models.Gguf;
using Glimmer.Tensors;

namespace Glimmer.Models.Slices;

/// <summary>Writes a <see cref="ModelSlice"/> with random weights as a GGUF file, row by row, under its name only when it is complete.</summary>
/// <remarks>
/// Matrices are normal with a spread of g / sqrt(inputs), so that activations keep a normal range: g = 1.5 into a nonlinearity, 0.7 back into the residual stream, 2 for the
/// output matrix. Norms lie around 1. Routing over the experts is then close to uniform. The file has no tokenizer. Equal arguments give equal bytes.
/// </remarks>
public static class SliceWriter
{
    private const int ChunkBytes = 1 << 24;

    /// <summary>Writes a slice.</summary>
    /// <param name="slice">Which.</param>
    /// <param name="type">Element type of the matrices; rows that do not fit its blocks get the usual smaller type.</param>
    /// <param name="path">The file; it must not exist.</param>
    /// <param name="seed">Seed of the weights.</param>
    /// <param name="progress">Told after each chunk.</param>
    /// <param name="cancellationToken">Stops between chunks and leaves nothing behind.</param>
    /// <exception cref="IOException">The file exists, or cannot be written.</exception>
    public static void Write(
        ModelSlice slice, DType type, string path, ulong seed = 1, IProgress<ConversionProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(slice);
        if (File.Exists(path))
            throw new IOException($"'{path}' exists already. Delete it or choose another name.");
        byte[] json = Encoding.UTF8.GetBytes(slice.ConfigJson);
        ModelConfig config = ModelConfig.Parse(json, slice.Name);
        using JsonDocument document = JsonDocument.Parse(json);
        GgufArchitecture architecture = GgufArchitecture.OfModelType(config.ModelType);
        ModelSizes sizes = ModelSizes.From(document.RootElement) with
        {
            NextnLayers = config.NumNextnPredictLayers,
            IndexerLayers = new HashSet<int>(Enumerable.Range(0, config.NumHiddenLayers + config.NumNextnPredictLayers).Where(layer => config.IndexTopk > 0 && config.HasIndexer(layer))),
        };
        List<TensorInfo> tensors = [.. Tensors(architecture, sizes, type)];
        using GgufWriter writer = GgufWriter.Create(path, Metadata(slice, type, seed, architecture, document.RootElement, sizes), tensors);
        var weights = new RandomWeights(seed);
        long done = 0, total = tensors.Sum(tensor => tensor.Count);
        var buffer = new byte[ChunkBytes];
        for (int i = 0; i < tensors.Count; i++)
        {
            TensorInfo tensor = tensors[i];
            writer.BeginTensor(tensor.Name);
            (float spread, float mean) = Distribution(tensor);
            int rowBytes = (int)tensor.Type.ByteSize(tensor.RowLength);
            int chunk = Math.Max(1, ChunkBytes / rowBytes);
            for (long row = 0; row < tensor.Rows; row += chunk)
            {
                cancellationToken.ThrowIfCancellationRequested();
                int rows = (int)Math.Min(chunk, tensor.Rows - row);
                Memory<byte> bytes = buffer.AsMemory(0, rows * rowBytes);
                weights.Fill(tensor.Type, spread, mean, tensor.RowLength, i, row, rows, bytes);
                writer.Write(bytes.Span);
                progress?.Report(new ConversionProgress(tensor.Name, done += (long)rows * tensor.RowLength, total));
            }
        }

        writer.Complete();
    }

    private static IEnumerable<KeyValuePair<string, GgufValue>> Metadata(
        ModelSlice slice, DType type, ulong seed, GgufArchitecture architecture, JsonElement config, ModelSizes sizes)
    {
        var metadata = new List<KeyValuePair<string, GgufValue>>
        {
            new("general.architecture", GgufValue.Of(architecture.Name)),
            new("general.type", GgufValue.Of("model")),
            new("general.name", GgufValue.Of($"random {slice.Name} {type} seed {seed}")),
        };
        if (StorageTypes.GgufFileType(type) is uint fileType)
            metadata.Add(new("general.file_type", GgufValue.Of(fileType)));
        metadata.AddRange(architecture.WriteMetadata(config, sizes));
        metadata.Add(new("general.quantization_version", GgufValue.Of(2u)));
        metadata.Add(new("tokenizer.ggml.model", GgufValue.Of("none")));
        return metadata;
    }

    private static IEnumerable<TensorInfo> Tensors(GgufArchitecture architecture, ModelSizes sizes, DType type)
    {
        foreach (GgufName name in architecture.Names.Where(name => name.Scope == GgufScope.Global))
        {
            foreach (int _ in name.LayersOf(sizes))
                yield return Info(name.GgufIn(0), name.Shape(sizes), type);
        }

        for (int layer = 0; layer < sizes.Layers + sizes.NextnLayers; layer++)
        {
            // The MTP layer uses the trunk's embedding and output matrix.
            foreach (GgufName name in architecture.Names.Where(name => name.Scope != GgufScope.Global && !name.Optional && name.LayersOf(sizes).Contains(layer)))
            {
                long[] shape = name.Shape(sizes);
                string file = name.GgufIn(layer);
                if (name.Form == GgufForm.LatentKv)
                {
                    yield return Info(file, [sizes.Heads, sizes.KvLoraRank, sizes.NopeDim], type);
                    yield return Info(file.Replace("attn_k_b", "attn_v_b", StringComparison.Ordinal), [sizes.Heads, sizes.ValueDim, sizes.KvLoraRank], type);
                }
                else
                {
                    yield return Info(file, name.Form == GgufForm.ExpertStack ? [sizes.Experts, .. shape] : shape, type);
                }
            }
        }
    }

    private static TensorInfo Info(string name, long[] shape, DType type)
    {
        int[] sizes = [.. shape.Select(size => checked((int)size))];
        return new TensorInfo(name, GgufPlan.TypeFor(name, sizes, type), sizes);
    }

    private static (float Spread, float Mean) Distribution(TensorInfo tensor)
    {
        string name = tensor.Name;
        if (tensor.Shape.Length == 1)
            return name.EndsWith("norm.weight", StringComparison.Ordinal) ? (0.1f, 1) : (0.02f, 0);
        if (name == "token_embd.weight")
            return (1, 0);
        float gain = name switch
        {
            "output.weight" => 2,
            _ when name.Contains("_down", StringComparison.Ordinal) || name.EndsWith("attn_output.weight", StringComparison.Ordinal) => 0.7f,
            _ when name.Contains("attn_v", StringComparison.Ordinal) || name.Contains("eh_proj", StringComparison.Ordinal) => 1,
            _ => 1.5f,
        };
        return (gain / MathF.Sqrt(tensor.RowLength), 0);
    }
}
