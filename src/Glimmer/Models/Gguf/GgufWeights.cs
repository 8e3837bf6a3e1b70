using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Tensors;

namespace Glimmer.Models.Gguf;

/// <summary>
/// The weights of a GGUF file under their Hugging Face names, by the name table of its architecture. Every tensor of the file must be in the table, and have
/// the shape the config gives.
/// </summary>
internal sealed class GgufWeights
{
    private readonly GgufFile _file;
    private readonly string _architecture;
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    private GgufWeights(GgufFile file, string architecture)
    {
        _file = file;
        _architecture = architecture;
    }

    /// <summary>Maps the tensors of a file; the source owns the file from then on.</summary>
    /// <exception cref="ModelFormatException">A tensor is missing or has another shape than the metadata say.</exception>
    /// <exception cref="UnsupportedModelException">The file has a tensor the architecture does not know.</exception>
    public static WeightSource Open(GgufFile file, GgufArchitecture architecture, JsonElement config)
    {
        var builder = new GgufWeights(file, architecture.Name);
        ModelSizes sizes = architecture.SizesOf(file, config);
        var weights = new List<Weight>();
        foreach (GgufName name in architecture.Names)
        {
            foreach (int layer in name.LayersOf(sizes))
                builder.Add(name, layer, sizes, weights);
        }

        builder.RefuseOthers();
        return new WeightSource(file.Path, weights, [file]);
    }

    /// <summary>
    /// Row of the file that holds a checkpoint row when the rows of each head of width d are interleaved: h*d + s*d/2 + i lies at h*d + 2i + s.
    /// </summary>
    public static long InterleavedRow(long row, long headDim)
    {
        long inHead = row % headDim;
        long half = headDim / 2;
        return row - inHead + 2 * (inHead % half) + inHead / half;
    }

    private void Add(GgufName name, int layer, ModelSizes sizes, List<Weight> weights)
    {
        string stored = name.GgufIn(layer);
        if (name.Optional && _file.Find(stored) is null)
            return;
        long[] shape = name.Shape(sizes);
        switch (name.Form)
        {
            case GgufForm.ExpertStack:
                AddExperts(name, layer, [sizes.Experts, .. shape], weights);
                break;
            case GgufForm.LatentKv:
                weights.Add(LatentKv(name, layer, shape, sizes));
                break;
            case GgufForm.QueryRows or GgufForm.KeyRows:
                weights.Add(new ReorderedWeight(Take(stored, name.HfIn(layer), shape), row => InterleavedRow(row, sizes.HeadDim)));
                break;
            default:
                weights.Add(Take(stored, name.HfIn(layer), shape));
                break;
        }
    }

    private unsafe void AddExperts(GgufName name, int layer, long[] shape, List<Weight> weights)
    {
        StoredWeight stack = Take(name.GgufIn(layer), name.Hf, shape);
        int[] one = stack.Info.Shape[1..].ToArray();
        long bytes = stack.Info.SizeBytes / shape[0];
        Tensor view = stack.View();
        for (int e = 0; e < shape[0]; e++)
            weights.Add(new StoredWeight(new TensorInfo(name.HfIn(layer, e), stack.Info.Type, one, bytes), view.Data + e * bytes, view.Owner!));
    }

    private Weight LatentKv(GgufName name, int layer, long[] shape, ModelSizes sizes)
    {
        string keys = name.GgufIn(layer);
        string unsplit = keys.Replace("attn_k_b", "attn_kv_b", StringComparison.Ordinal);
        if (_file.Find(unsplit) is not null)
            return Take(unsplit, name.HfIn(layer), shape);
        StoredWeight key = Take(keys, keys, [sizes.Heads, sizes.KvLoraRank, sizes.NopeDim]);
        StoredWeight value = Take(keys.Replace("attn_k_b", "attn_v_b", StringComparison.Ordinal), keys, [sizes.Heads, sizes.ValueDim, sizes.KvLoraRank]);
        return new LatentKvWeight(name.HfIn(layer), key, value);
    }

    private unsafe StoredWeight Take(string stored, string name, long[] shape)
    {
        TensorInfo info = _file.Find(stored)
            ?? throw new ModelFormatException($"'{_file.Path}' lacks the tensor '{stored}', which '{_architecture}' needs. The file may be incomplete.");
        if (info.Shape.Length != shape.Length || !info.Shape.ToArray().Select(s => (long)s).SequenceEqual(shape))
            throw new ModelFormatException(
                $"'{_file.Path}': {info} (slowest dimension first) contradicts the metadata, which ask for [{string.Join(", ", shape)}].");
        _used.Add(stored);
        return new StoredWeight(new TensorInfo(name, info.Type, info.Shape.ToArray(), info.SizeBytes), _file.Data(stored), _file);
    }

    private void RefuseOthers()
    {
        foreach (TensorInfo info in _file.Tensors)
        {
            if (_used.Contains(info.Name))
                continue;
            string why = info.Name.StartsWith("rope_freqs", StringComparison.Ordinal) ? "scaled rotary frequencies are not supported"
                : "ignoring it could change the model";
            throw new UnsupportedModelException(
                $"'{_file.Path}' has the tensor '{info.Name}', which Glimmer does not know for the architecture '{_architecture}'; {why}.");
        }
    }
}
