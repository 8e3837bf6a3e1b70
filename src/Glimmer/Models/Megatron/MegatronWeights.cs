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
    private readonly ModelConfig _config;
    private readonly Dictionary<string, List<Part>> _parts = new(StringComparer.Ordinal);

    private MegatronWeights(string path, ModelConfig config) => (_path, _config) = (path, config);

    /// <summary>Opens the safetensors files of a folder, or of the folders of its ranks.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="config">The model's configuration.</param>
    /// <param name="arguments">What else the folder says.</param>
    /// <exception cref="ModelFormatException">A tensor is missing, has another shape, or is not known.</exception>
    public static WeightSource Open(string folder, ModelConfig config, MegatronArguments arguments)
    {
        var files = new List<SafetensorsFile>();
        try
        {
            var builder = new MegatronWeights(folder, config);
            bool isDivided = arguments.TensorParallel * arguments.ExpertParallel > 1;
            foreach (MegatronRank rank in MegatronRank.All(arguments.TensorParallel, arguments.ExpertParallel))
            {
                List<SafetensorsFile> own = SafetensorsShards.Open(isDivided ? Path.Combine(folder, MegatronArguments.IterationFolder, rank.Folder) : folder);
                files.AddRange(own);
                builder.Add(new MegatronRankFiles(own), rank);
            }

            return new WeightSource(folder, builder.Build(arguments.RepeatsEmbedding), files);
        }
        catch
        {
            foreach (SafetensorsFile file in files)
                file.Dispose();
            throw;
        }
    }

    private void Add(MegatronRankFiles files, MegatronRank rank)
    {
        foreach (MegatronTensor tensor in MegatronLayout.Of(_config, files.HasNextToken, files.Has("output_layer.weight"), files.IsSlime))
        {
            // The padded size of the vocabulary is that of the file.
            int rows = tensor.IsPadded && files.Find(tensor.Name) is { } padded ? Math.Max(padded.Info.Shape[0] * rank.TensorSize, tensor.Shape[0]) : tensor.Shape[0];
            if (rank.Of(tensor, rows, _config.NRoutedExperts) is not { } slice)
                continue;
            StoredWeight stored = Take(files, slice, tensor);
            if (!rank.IsFirst(tensor.Name))
                continue;
            int row = 0;
            foreach (MegatronPiece piece in slice.Pieces)
            {
                if (!_parts.TryGetValue(piece.Source, out List<Part>? list))
                    _parts.Add(piece.Source, list = []);
                list.Add(new Part(piece.First, slice.FirstColumn, new StoredRows(stored, row, piece.Count)));
                row += piece.Count;
            }
        }

        if (files.Unused is { Length: > 0 } unknown)
            throw new ModelFormatException($"'{_path}' has the tensor '{unknown[0]}'{(unknown.Length > 1 ? $" and {unknown.Length - 1} more" : "")}, which a {_config.ModelType} model does not have under Megatron-core's names.");
    }

    private List<Weight> Build(bool repeatsEmbedding)
    {
        var weights = new List<Weight>();
        foreach ((string name, List<Part> parts) in _parts)
            weights.Add(Weight(name, parts));
        string prefix = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"model.layers.{_config.NumHiddenLayers}.");
        if (repeatsEmbedding && _parts.ContainsKey(prefix + "eh_proj.weight"))
        {
            weights.Add(Weight(prefix + "embed_tokens.weight", _parts["model.embed_tokens.weight"]));
            weights.Add(Weight(prefix + "shared_head.head.weight", _parts.GetValueOrDefault("lm_head.weight") ?? _parts["model.embed_tokens.weight"]));
        }

        return weights;
    }

    // Rows of width 1 for a vector, so that pieces of it can be taken.
    private StoredWeight Take(MegatronRankFiles files, MegatronSlice slice, MegatronTensor tensor)
    {
        int[] shape = tensor.Shape.Length == 1 ? [slice.Rows] : [slice.Rows, slice.Columns];
        if (files.Take(slice.Name) is not { } found)
            throw new ModelFormatException($"'{_path}' lacks the tensor '{slice.Name}'. The folder is incomplete.");
        TensorInfo info = found.Info;
        if (!info.Shape.SequenceEqual(shape))
            throw new ModelFormatException($"'{_path}': {info} should have the shape [{string.Join(", ", shape)}] by its configuration.");
        return new StoredWeight(new TensorInfo(info.Name, info.Type, [info.Shape[0], info.Shape.Length == 1 ? 1 : info.RowLength], info.SizeBytes), found.File.Data(info.Name), found.File);
    }

    private static Weight Weight(string name, List<Part> parts)
    {
        Part[] ordered = [.. parts.OrderBy(part => part.FirstColumn).ThenBy(part => part.FirstRow)];
        StoredWeight first = ordered[0].Rows.Stored;
        int columns = ordered.GroupBy(part => part.FirstColumn).Sum(group => group.First().Rows.Stored.Info.RowLength);
        int rows = ordered.Where(part => part.FirstColumn == 0).Sum(part => part.Rows.Count);
        // Only biases, norms and balance biases are vectors.
        bool isVector = columns == 1 && !name.EndsWith("_proj.weight", StringComparison.Ordinal);
        int[] shape = isVector ? [rows] : [rows, columns];
        var info = new TensorInfo(name, first.Info.Type, shape, first.Info.Type.ByteSize(columns) * rows);
        if (ordered.Length == 1)
            return new StoredWeight(info, ordered[0].Rows.Data, first.View().Owner!);
        return ordered[^1].FirstColumn > 0 ? new JoinedColumns(info, [.. ordered.Select(part => part.Rows)]) : new JoinedRows(info, [.. ordered.Select(part => part.Rows)]);
    }

    /// <summary>Rows of a stored tensor that belong at a place of another one.</summary>
    private readonly record struct Part(int FirstRow, int FirstColumn, StoredRows Rows);

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

    /// <summary>Columns from several places, side by side; every part has all rows.</summary>
    private sealed class JoinedColumns(TensorInfo info, StoredRows[] parts) : Weight(info)
    {
        public override void ReadFloat32(long firstRow, int rows, Span<float> values)
        {
            for (int r = 0, at = 0; r < rows; r++)
            {
                foreach (StoredRows part in parts)
                {
                    int width = part.Stored.Info.RowLength;
                    part.Stored.ReadFloat32(part.First + firstRow + r, 1, values.Slice(at, width));
                    at += width;
                }
            }
        }

        public override void ReadStored(long firstRow, int rows, Span<byte> bytes)
        {
            for (int r = 0, at = 0; r < rows; r++)
            {
                foreach (StoredRows part in parts)
                {
                    int width = (int)part.Stored.RowBytes;
                    part.Stored.ReadStored(part.First + firstRow + r, 1, bytes.Slice(at, width));
                    at += width;
                }
            }
        }
    }
}
