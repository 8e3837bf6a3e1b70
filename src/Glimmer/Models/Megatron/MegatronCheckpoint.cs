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
    /// <param name="type">Type of the weights, F32 or BF16; null keeps each as it is. The balance bias stays F32.</param>
    /// <param name="padVocabularyTo">The rows of embedding and output matrix become a multiple of this, with zero rows; 1 for none.</param>
    /// <param name="slimeNames">Whether the indexer of DSA is spelled as slime does.</param>
    /// <param name="progress">Told after each piece.</param>
    /// <param name="cancellation">Stops between pieces and leaves nothing behind.</param>
    /// <exception cref="UnsupportedModelException">Weights are quantised, or the MTP layer has an embedding of its own.</exception>
    /// <exception cref="IOException">The output exists, or cannot be written.</exception>
    public static void Write(
        Checkpoint source, string output, DType? type = null, int padVocabularyTo = 1, bool slimeNames = false, IProgress<ConversionProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentOutOfRangeException.ThrowIfLessThan(padVocabularyTo, 1);
        if (type is not (null or DType.F32 or DType.BF16))
            throw new UnsupportedModelException($"Weights under Megatron-core's names are written as float32 or bfloat16, not {type}.");
        ModelConfig config = source.Config;
        WeightSource weights = source.Weights;
        bool hasNextToken = weights.Find(string.Create(CultureInfo.InvariantCulture, $"model.layers.{config.NumHiddenLayers}.eh_proj.weight")) is not null;
        bool repeats = hasNextToken && RepeatsEmbedding(weights, config);
        IReadOnlyList<MegatronTensor> layout = MegatronLayout.Of(config, hasNextToken, weights.Find("lm_head.weight") is not null, slimeNames);
        TensorInfo[] infos = [.. layout.Select(tensor => new TensorInfo(tensor.Name, TypeOf(weights, tensor, type), Padded(tensor, padVocabularyTo)))];
        OutputFolder.Write(output, folder =>
        {
            new MegatronArguments(source.ConfigJson, repeats, source.Path).Write(folder);
            if (source.Folder is { } companions)
                CheckpointConverter.CopyCompanions(companions, folder);
            using SafetensorsWriter writer = SafetensorsWriter.Create(folder, infos, metadata: new Dictionary<string, string> { ["format"] = "pt" });
            long total = infos.Sum(info => info.Count), done = 0;
            for (int t = 0; t < layout.Count; t++)
            {
                writer.BeginTensor(infos[t].Name);
                foreach (MegatronPiece piece in layout[t].Pieces)
                {
                    WritePiece(writer, weights, piece, infos[t], cancellation);
                    progress?.Report(new ConversionProgress(infos[t].Name, done += (long)piece.Count * (infos[t].Shape.Length == 1 ? 1 : infos[t].RowLength), total));
                }

                int padding = infos[t].Shape[0] - layout[t].Shape[0];
                if (padding > 0)
                    writer.Write(new byte[padding * infos[t].Type.ByteSize(infos[t].RowLength)]);
            }

            writer.Complete();
        });
    }

    private static void WritePiece(SafetensorsWriter writer, WeightSource weights, MegatronPiece piece, TensorInfo target, CancellationToken cancellation)
    {
        TensorInfo source = weights.Get(piece.Source);
        bool isCopied = !source.IsComputed && source.Type == target.Type;
        if (target.Shape.Length == 1)
        {
            // A vector is one row; pieces of it are entries.
            cancellation.ThrowIfCancellationRequested();
            var values = new float[source.Count];
            weights.ReadFloat32(piece.Source, values);
            writer.Write(Stored(values.AsSpan(piece.First, piece.Count), target.Type));
            return;
        }

        int width = target.RowLength, rowBytes = (int)target.Type.ByteSize(width), step = Math.Max(1, ChunkBytes / Math.Max(1, rowBytes));
        for (int row = 0; row < piece.Count; row += step)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = Math.Min(step, piece.Count - row);
            if (isCopied)
            {
                var bytes = new byte[count * rowBytes];
                weights.ReadRows(piece.Source, piece.First + row, count, bytes);
                writer.Write(bytes);
            }
            else
            {
                var values = new float[count * width];
                weights.ReadFloat32Rows(piece.Source, piece.First + row, count, values);
                writer.Write(Stored(values, target.Type));
            }
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

    private static int[] Padded(MegatronTensor tensor, int multiple) =>
        tensor.IsPadded ? [(tensor.Shape[0] + multiple - 1) / multiple * multiple, .. tensor.Shape[1..]] : tensor.Shape;

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
}
