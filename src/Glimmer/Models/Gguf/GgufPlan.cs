using Glimmer.Formats;
using Glimmer.Tensors;

namespace Glimmer.Models.Gguf;

/// <summary>The tensors of a GGUF file to be written from a checkpoint: names by the table of the architecture, rows in the order llama.cpp expects.</summary>
internal sealed class GgufPlan
{
    private readonly WeightSource _weights;
    private readonly ModelSizes _sizes;
    private readonly StorageRecipe _recipe;
    private readonly List<PlannedTensor> _plan = [];
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    private GgufPlan(WeightSource weights, ModelSizes sizes, StorageRecipe recipe)
    {
        _weights = weights;
        _sizes = sizes;
        _recipe = recipe;
    }

    /// <summary>Plans all tensors, layer by layer.</summary>
    /// <exception cref="ModelFormatException">The checkpoint lacks a tensor or has one of another shape.</exception>
    /// <exception cref="UnsupportedModelException">The checkpoint has a tensor that GGUF cannot hold for this architecture.</exception>
    public static List<PlannedTensor> Build(WeightSource weights, GgufArchitecture architecture, ModelSizes sizes, StorageRecipe recipe)
    {
        var builder = new GgufPlan(weights, sizes, recipe);
        foreach (GgufName name in architecture.Names.Where(n => n.Scope == GgufScope.Global))
            builder.AddIn(name, 0);
        for (int layer = 0; layer < sizes.Layers + sizes.NextnLayers; layer++)
        {
            foreach (GgufName name in architecture.Names.Where(n => n.Scope != GgufScope.Global))
                builder.AddIn(name, layer);
        }

        builder.RefuseOthers(architecture.Name);
        return builder._plan;
    }

    private void AddIn(GgufName name, int layer)
    {
        if (!name.LayersOf(_sizes).Contains(layer) || (name.Optional && _weights.Find(name.HfIn(layer)) is null))
            return;
        switch (name.Form)
        {
            case GgufForm.ExpertStack:
                AddExperts(name, layer);
                break;
            case GgufForm.LatentKv:
                AddLatentKv(name, layer);
                break;
            case GgufForm.QueryRows or GgufForm.KeyRows:
                TensorInfo permuted = Take(name, layer);
                AddRows(name.GgufIn(layer), permuted.Shape, [permuted], row => (permuted, CheckpointRow(row, _sizes.HeadDim)));
                break;
            default:
                TensorInfo info = Take(name, layer);
                AddRows(name.GgufIn(layer), info.Shape, [info], row => (info, row));
                break;
        }
    }

    private void AddExperts(GgufName name, int layer)
    {
        TensorInfo[] experts = [.. Enumerable.Range(0, (int)_sizes.Experts).Select(e => Take(name, layer, e))];
        long rows = experts[0].Rows;
        AddRows(name.GgufIn(layer), [experts.Length, .. experts[0].Shape], experts, row => (experts[row / rows], row % rows));
    }

    // Value rows are rows of kv_b_proj; key rows are transposed for each head and cannot be copied.
    private void AddLatentKv(GgufName name, int layer)
    {
        TensorInfo info = Take(name, layer);
        (int heads, int nope, int value, int latent) = ((int)_sizes.Heads, (int)_sizes.NopeDim, (int)_sizes.ValueDim, (int)_sizes.KvLoraRank);
        string keys = name.GgufIn(layer);
        _plan.Add(new PlannedTensor(new TensorInfo(keys, TypeFor(keys, [heads, latent, nope]), [heads, latent, nope]), ReadKeys, null));
        AddRows(keys.Replace("attn_k_b", "attn_v_b", StringComparison.Ordinal), [heads, value, latent], [info],
            row => (info, row / value * (nope + value) + nope + row % value));

        void ReadKeys(long firstRow, int rows, Span<float> values)
        {
            var head = new float[nope * latent];
            for (int done = 0; done < rows;)
            {
                long h = (firstRow + done) / latent;
                int start = (int)((firstRow + done) % latent);
                int end = Math.Min(latent, start + rows - done);
                _weights.ReadFloat32Rows(info.Name, h * (nope + value), nope, head);
                for (int c = start; c < end; c++, done++)
                {
                    for (int i = 0; i < nope; i++)
                        values[done * nope + i] = head[i * latent + c];
                }
            }
        }
    }

    // A tensor whose rows are rows of the checkpoint, in the order the map gives.
    private void AddRows(string name, ReadOnlySpan<int> shape, TensorInfo[] sources, Func<long, (TensorInfo Source, long Row)> map)
    {
        var target = new TensorInfo(name, TypeFor(name, shape), shape);
        bool copied = Array.TrueForAll(sources, s => !s.IsComputed && s.Type == target.Type);
        int width = target.RowLength;
        int rowBytes = (int)target.Type.ByteSize(width);
        _plan.Add(new PlannedTensor(
            target,
            (firstRow, rows, values) =>
            {
                for (int r = 0; r < rows; r++)
                {
                    (TensorInfo source, long row) = map(firstRow + r);
                    _weights.ReadFloat32Rows(source.Name, row, 1, values.Slice(r * width, width));
                }
            },
            !copied ? null : (firstRow, rows, bytes) =>
            {
                for (int r = 0; r < rows; r++)
                {
                    (TensorInfo source, long row) = map(firstRow + r);
                    _weights.ReadRows(source.Name, row, 1, bytes.Span.Slice(r * rowBytes, rowBytes));
                }
            }));
    }

    // Norms, biases and the router are F32, as llama.cpp requires.
    internal static DType TypeFor(string name, ReadOnlySpan<int> shape, DType wanted) =>
        shape.Length < 2 || name.EndsWith(".ffn_gate_inp.weight", StringComparison.Ordinal) ? DType.F32 : StorageTypes.ForRows(wanted, shape[^1]);

    private DType TypeFor(string name, ReadOnlySpan<int> shape) => TypeFor(name, shape, _recipe.TypeOf(name, _sizes.Layers + _sizes.NextnLayers));

    private TensorInfo Take(GgufName name, int layer, int expert = 0)
    {
        TensorInfo info = _weights.Get(name.HfIn(layer, expert));
        long[] shape = name.Shape(_sizes);
        if (!info.Shape.ToArray().Select(s => (long)s).SequenceEqual(shape))
            throw new ModelFormatException($"'{_weights.Path}': {info} contradicts the configuration, which asks for [{string.Join(", ", shape)}].");
        _used.Add(info.Name);
        return info;
    }

    // The inverse of GgufWeights.InterleavedRow: file row h*d + 2i + s holds checkpoint row h*d + s*d/2 + i.
    private static long CheckpointRow(long fileRow, long headDim)
    {
        long inHead = fileRow % headDim;
        return fileRow - inHead + inHead % 2 * (headDim / 2) + inHead / 2;
    }

    // Tables of rotary frequencies, which old checkpoints carry, follow from the configuration.
    private void RefuseOthers(string architecture)
    {
        foreach (TensorInfo info in _weights.Tensors)
        {
            if (!_used.Contains(info.Name) && !info.Name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal))
                throw new UnsupportedModelException(
                    $"'{_weights.Path}' has the tensor '{info.Name}', which the GGUF architecture '{architecture}' has no place for.");
        }
    }
}
