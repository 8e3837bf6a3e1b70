using Glimmer.Formats;
using Glimmer.Tensors;

namespace Glimmer.Models.Megatron;

/// <summary>The weights of a Megatron-core folder under their Hugging Face names: what was fused is read row by row from where it lies.</summary>
/// <remarks>
/// Accepted besides the names of <see cref="MegatronLayout"/>: the prefix <c>module.</c>, the unfused layout (<c>input_layernorm</c>, <c>pre_mlp_layernorm</c>, <c>local_experts.N</c>),
/// <c>mtp_model_layer</c> for <c>transformer_layer</c>, slime's indexer, and zero rows behind the vocabulary.
/// </remarks>
internal sealed unsafe class MegatronWeights
{
    private readonly string _path;
    private readonly Dictionary<string, (SafetensorsFile File, TensorInfo Info)> _stored = new(StringComparer.Ordinal);
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    private MegatronWeights(string path) => _path = path;

    /// <summary>Opens the safetensors files of a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="config">The model's configuration.</param>
    /// <param name="repeatsEmbedding">Whether the MTP layer of the Hugging Face checkpoint repeats embedding and output matrix.</param>
    /// <exception cref="ModelFormatException">A tensor is missing, has another shape, or is not known.</exception>
    public static WeightSource Open(string folder, ModelConfig config, bool repeatsEmbedding)
    {
        List<SafetensorsFile> files = SafetensorsShards.Open(folder);
        try
        {
            return new WeightSource(folder, new MegatronWeights(folder).Build(files, config, repeatsEmbedding), files);
        }
        catch
        {
            foreach (SafetensorsFile file in files)
                file.Dispose();
            throw;
        }
    }

    private List<Weight> Build(List<SafetensorsFile> files, ModelConfig config, bool repeatsEmbedding)
    {
        foreach (SafetensorsFile file in files)
        {
            foreach (TensorInfo info in file.Tensors)
                _stored[info.Name.StartsWith("module.", StringComparison.Ordinal) ? info.Name["module.".Length..] : info.Name] = (file, info);
        }

        bool slime = _stored.Keys.Any(name => name.EndsWith(".self_attention.wq_b.weight", StringComparison.Ordinal));
        bool hasNextToken = _stored.Keys.Any(name => name.StartsWith("mtp.", StringComparison.Ordinal));
        IReadOnlyList<MegatronTensor> layout = MegatronLayout.Of(config, hasNextToken, _stored.ContainsKey("output_layer.weight"), slime);
        var parts = new Dictionary<string, List<(int To, StoredRows Rows)>>(StringComparer.Ordinal);
        foreach (MegatronTensor tensor in layout)
        {
            (StoredWeight stored, int padding) = Take(tensor);
            int row = 0;
            foreach (MegatronPiece piece in tensor.Pieces)
            {
                if (!parts.TryGetValue(piece.Source, out List<(int, StoredRows)>? list))
                    parts.Add(piece.Source, list = []);
                list.Add((piece.First, new StoredRows(stored, row, piece.Count)));
                row += piece.Count;
            }
        }

        string[] unknown = [.. _stored.Where(item => !_used.Contains(item.Value.Info.Name)).Select(item => item.Value.Info.Name)];
        if (unknown.Length > 0)
            throw new ModelFormatException($"'{_path}' has the tensor '{unknown[0]}'{(unknown.Length > 1 ? $" and {unknown.Length - 1} more" : "")}, which a {config.ModelType} model does not have under Megatron-core's names.");
        var weights = new List<Weight>();
        foreach ((string name, List<(int To, StoredRows Rows)> list) in parts)
            weights.Add(Weight(name, [.. list.OrderBy(part => part.To).Select(part => part.Rows)]));
        if (repeatsEmbedding && hasNextToken)
        {
            string prefix = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"model.layers.{config.NumHiddenLayers}.");
            weights.Add(Weight(prefix + "embed_tokens.weight", [.. parts["model.embed_tokens.weight"].Select(part => part.Rows)]));
            weights.Add(Weight(prefix + "shared_head.head.weight", [.. (parts.GetValueOrDefault("lm_head.weight") ?? parts["model.embed_tokens.weight"]).Select(part => part.Rows)]));
        }

        return weights;
    }

    // Rows of width 1 for a vector, so that pieces of it can be taken.
    private (StoredWeight Rows, int Padding) Take(MegatronTensor tensor)
    {
        (SafetensorsFile file, TensorInfo info) = Spellings(tensor.Name).Select(name => _stored.GetValueOrDefault(name)).FirstOrDefault(found => found.Info is not null);
        if (info is null)
            throw new ModelFormatException($"'{_path}' lacks the tensor '{tensor.Name}'. The folder is incomplete, or sharded over ranks, which is not read.");
        _used.Add(info.Name);
        int padding = info.Shape.Length == tensor.Shape.Length ? info.Shape[0] - tensor.Shape[0] : -1;
        if (padding < 0 || (padding > 0 && !tensor.IsPadded) || !info.Shape[1..].SequenceEqual(tensor.Shape.AsSpan(1)))
            throw new ModelFormatException($"'{_path}': {info} should have the shape [{string.Join(", ", tensor.Shape)}] by its configuration.");
        int width = info.Shape.Length == 1 ? 1 : info.RowLength;
        return (new StoredWeight(new TensorInfo(info.Name, info.Type, [info.Shape[0], width], info.SizeBytes), file.Data(info.Name), file), padding);
    }

    private static Weight Weight(string name, StoredRows[] parts)
    {
        StoredWeight first = parts[0].Stored;
        int rows = parts.Sum(part => part.Count);
        bool isVector = first.Info.RowLength == 1 && !name.EndsWith("_proj.weight", StringComparison.Ordinal);
        int[] shape = isVector ? [rows] : [rows, first.Info.RowLength];
        var info = new TensorInfo(name, first.Info.Type, shape, first.RowBytes * rows);
        return parts.Length == 1 ? new StoredWeight(info, parts[0].Data, first.View().Owner!) : new JoinedRows(info, parts);
    }

    private static IEnumerable<string> Spellings(string name)
    {
        foreach (string spelling in (string[])[name, Unfused(name), name.Replace(".q_layernorm.weight", ".linear_q_up_proj.layer_norm_weight", StringComparison.Ordinal).Replace(".kv_layernorm.weight", ".linear_kv_up_proj.layer_norm_weight", StringComparison.Ordinal)])
        {
            yield return spelling;
            yield return spelling.Replace(".transformer_layer.", ".mtp_model_layer.", StringComparison.Ordinal);
        }
    }

    private static string Unfused(string name)
    {
        name = name.Replace("self_attention.linear_qkv.layer_norm_weight", "input_layernorm.weight", StringComparison.Ordinal)
            .Replace("mlp.linear_fc1.layer_norm_weight", "pre_mlp_layernorm.weight", StringComparison.Ordinal);
        int expert = name.IndexOf(".mlp.experts.linear_fc", StringComparison.Ordinal);
        if (expert < 0)
            return name;
        int number = name.LastIndexOf(".weight", StringComparison.Ordinal) + ".weight".Length;
        string layer = name[(expert + ".mlp.experts.".Length)..(number - ".weight".Length)];
        return $"{name[..expert]}.mlp.experts.local_experts.{name[number..]}.{layer}.weight";
    }

    /// <summary>Rows of a stored tensor.</summary>
    private readonly record struct StoredRows(StoredWeight Stored, int First, int Count)
    {
        public byte* Data => Stored.View().Data + (First * Stored.RowBytes);
    }

    /// <summary>Rows from several places, one behind the other. The entries of a vector are rows of width 1 in the parts.</summary>
    private sealed class JoinedRows(TensorInfo info, StoredRows[] parts) : Weight(info)
    {
        public override void ReadFloat32(long firstRow, int rows, Span<float> values)
        {
            int done = 0, width = parts[0].Stored.Info.RowLength;
            foreach ((StoredWeight stored, long first, int count) in Within(firstRow, rows))
            {
                stored.ReadFloat32(first, count, values.Slice(done * width, count * width));
                done += count;
            }
        }

        public override void ReadStored(long firstRow, int rows, Span<byte> bytes)
        {
            int done = 0, width = (int)parts[0].Stored.RowBytes;
            foreach ((StoredWeight stored, long first, int count) in Within(firstRow, rows))
            {
                stored.ReadStored(first, count, bytes.Slice(done * width, count * width));
                done += count;
            }
        }

        private List<(StoredWeight Stored, long First, int Count)> Within(long firstRow, int rows)
        {
            // A vector is one row of many entries.
            long from = Info.Shape.Length == 1 ? 0 : firstRow, to = Info.Shape.Length == 1 ? Info.Count : firstRow + rows, at = 0;
            var found = new List<(StoredWeight, long, int)>();
            foreach (StoredRows part in parts)
            {
                long start = Math.Max(from, at), end = Math.Min(to, at + part.Count);
                if (start < end)
                    found.Add((part.Stored, part.First + start - at, (int)(end - start)));
                at += part.Count;
            }

            return found;
        }
    }
}
