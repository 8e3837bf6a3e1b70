using System.Globalization;
using Glimmer.Formats;
using Glimmer.Tensors;

namespace Glimmer.Models.Megatron;

/// <summary>Writes a checkpoint under the names of Megatron-core, with its fused tensors.</summary>
/// <remarks>
/// Real Megatron keeps a sharded format with pickled metadata. This is another one: <c>model.safetensors</c> (or several files and their index) with Megatron-core's names and layout, <c>args.json</c>,
/// <c>latest_checkpointed_iteration.txt</c>, and the tokenizer. <see cref="Checkpoint.Open"/> reads it like any model.
/// </remarks>
public static class MegatronCheckpoint
{
    private const int ChunkBytes = 1 << 24;

    /// <summary>Writes the folder, complete or not at all.</summary>
    /// <param name="source">The checkpoint.</param>
    /// <param name="output">A folder that does not exist yet, or is empty.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="progress">Told after each piece.</param>
    /// <param name="cancellation">Stops between pieces and leaves nothing behind.</param>
    /// <exception cref="UnsupportedModelException">Weights are quantised, the MTP layer has an embedding of its own, or a size cannot be divided among the ranks.</exception>
    /// <exception cref="IOException">The output exists, or cannot be written.</exception>
    public static void Write(Checkpoint source, string output, MegatronOptions? options = null, IProgress<ConversionProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        options ??= new MegatronOptions();
        options.Check();
        ModelConfig config = source.Config;
        WeightSource weights = source.Weights;
        bool hasNextToken = weights.Find(string.Create(CultureInfo.InvariantCulture, $"model.layers.{config.NumHiddenLayers}.eh_proj.weight")) is not null;
        bool repeats = hasNextToken && RepeatsEmbedding(weights, config);
        IReadOnlyList<MegatronTensor> layout = MegatronLayout.Of(config, hasNextToken, weights.Find("lm_head.weight") is not null, options.SlimeNames);
        MegatronRank[] ranks = [.. MegatronRank.All(options.TensorParallel, options.ExpertParallel)];
        var tell = new Teller(progress, layout.Sum(tensor => (long)tensor.Shape[0] * (tensor.Shape.Length == 1 ? 1 : tensor.Shape[1])) * ranks.Length);
        OutputFolder.Write(output, folder =>
        {
            new MegatronArguments(source.ConfigJson, repeats, source.Path, options.TensorParallel, options.ExpertParallel).Write(folder);
            if (source.Folder is { } companions)
                CheckpointConverter.CopyCompanions(companions, folder);
            foreach (MegatronRank rank in ranks)
            {
                string own = ranks.Length == 1 ? folder : Directory.CreateDirectory(Path.Combine(folder, MegatronArguments.IterationFolder, rank.Folder)).FullName;
                WriteRank(weights, layout, rank, options, config.NRoutedExperts, own, tell, cancellation);
            }
        });
    }

    private static void WriteRank(
        WeightSource weights, IReadOnlyList<MegatronTensor> layout, MegatronRank rank, MegatronOptions options, int experts, string folder, Teller tell, CancellationToken cancellation)
    {
        var parts = new List<(MegatronSlice Slice, TensorInfo Info)>();
        foreach (MegatronTensor tensor in layout)
        {
            int multiple = tensor.IsPadded ? options.PadVocabularyTo : 1, rows = (tensor.Shape[0] + multiple - 1) / multiple * multiple;
            if (rank.Of(tensor, rows, experts) is { } slice)
                parts.Add((slice, new TensorInfo(slice.Name, TypeOf(weights, tensor, options.Type), tensor.Shape.Length == 1 ? [slice.Rows] : [slice.Rows, slice.Columns])));
        }

        using SafetensorsWriter writer = SafetensorsWriter.Create(folder, [.. parts.Select(part => part.Info)], metadata: new Dictionary<string, string> { ["format"] = "pt" });
        foreach ((MegatronSlice slice, TensorInfo info) in parts)
        {
            writer.BeginTensor(info.Name);
            foreach (MegatronPiece piece in slice.Pieces)
            {
                WritePiece(writer, weights, piece, slice, info, cancellation);
                tell.Add(info.Name, (long)piece.Count * (info.Shape.Length == 1 ? 1 : info.RowLength));
            }

            int padding = slice.Rows - slice.Pieces.Sum(piece => piece.Count);
            if (padding > 0)
                writer.Write(new byte[padding * info.Type.ByteSize(info.RowLength)]);
        }

        writer.Complete();
    }

    private static void WritePiece(SafetensorsWriter writer, WeightSource weights, MegatronPiece piece, MegatronSlice slice, TensorInfo target, CancellationToken cancellation)
    {
        TensorInfo source = weights.Get(piece.Source);
        if (target.Shape.Length == 1)
        {
            // A vector is one row; pieces of it are entries.
            cancellation.ThrowIfCancellationRequested();
            var values = new float[source.Count];
            weights.ReadFloat32(piece.Source, values);
            writer.Write(Stored(values.AsSpan(piece.First, piece.Count), target.Type));
            return;
        }

        bool isCopied = !source.IsComputed && source.Type == target.Type;
        int width = source.RowLength, element = (int)target.Type.ByteSize(1), step = Math.Max(1, ChunkBytes / Math.Max(1, width * element));
        for (int row = 0; row < piece.Count; row += step)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = Math.Min(step, piece.Count - row);
            byte[] bytes;
            if (isCopied)
            {
                bytes = new byte[count * width * element];
                weights.ReadRows(piece.Source, piece.First + row, count, bytes);
            }
            else
            {
                var values = new float[count * width];
                weights.ReadFloat32Rows(piece.Source, piece.First + row, count, values);
                bytes = Stored(values, target.Type);
            }

            if (slice.Columns == width)
            {
                writer.Write(bytes);
                continue;
            }

            for (int r = 0; r < count; r++)
                writer.Write(bytes.AsSpan(((r * width) + slice.FirstColumn) * element, slice.Columns * element));
        }
    }

    private static byte[] Stored(ReadOnlySpan<float> values, DType type)
    {
        var bytes = new byte[type.ByteSize(values.Length)];
        Quantization.Quantizer.FromFloat32(type, values, bytes);
        return bytes;
    }

    private static DType TypeOf(WeightSource weights, MegatronTensor tensor, DType? type)
    {
        TensorInfo source = weights.Get(tensor.Pieces[0].Source);
        if (tensor.Name.EndsWith(".expert_bias", StringComparison.Ordinal))
            return DType.F32;
        // As in CheckpointConverter: vectors and the router keep full precision.
        bool isSensitive = tensor.Shape.Length < 2 || tensor.Name.EndsWith(".router.weight", StringComparison.Ordinal);
        if (type is { } asked)
            return isSensitive && source.Type == DType.F32 ? DType.F32 : asked;
        return !source.IsComputed && source.Type is DType.F32 or DType.BF16 or DType.F16 ? source.Type
            : throw new UnsupportedModelException($"{source} is quantised. Say what the weights become: --torch_dtype bfloat16 or float32.");
    }

    // Megatron-core's MTP layer uses the model's embedding and output matrix.
    private static bool RepeatsEmbedding(WeightSource weights, ModelConfig config)
    {
        string prefix = string.Create(CultureInfo.InvariantCulture, $"model.layers.{config.NumHiddenLayers}.");
        string head = weights.Find("lm_head.weight") is not null ? "lm_head.weight" : "model.embed_tokens.weight";
        bool embedding = Repeats(weights, prefix + "embed_tokens.weight", "model.embed_tokens.weight"), output = Repeats(weights, prefix + "shared_head.head.weight", head);
        return embedding && output;
    }

    private static bool Repeats(WeightSource weights, string copy, string original)
    {
        if (weights.Find(copy) is not { } info)
            return false;
        float[] ours = new float[info.RowLength], theirs = new float[info.RowLength];
        for (long row = 0; row < info.Rows; row++)
        {
            weights.ReadFloat32Rows(copy, row, 1, ours);
            weights.ReadFloat32Rows(original, row, 1, theirs);
            if (!ours.AsSpan().SequenceEqual(theirs))
                throw new UnsupportedModelException($"'{copy}' is not '{original}'; Megatron-core has no place for an embedding or output matrix of the MTP layer's own.");
        }

        return true;
    }

    private sealed class Teller(IProgress<ConversionProgress>? progress, long total)
    {
        private long _done;

        public void Add(string tensor, long elements) => progress?.Report(new ConversionProgress(tensor, _done += elements, total));
    }
}
