using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Formats;
using Glimmer.Models.Gguf;
using Glimmer.Models.Megatron;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>How far a conversion is.</summary>
/// <param name="Tensor">The tensor being written.</param>
/// <param name="ElementsDone">Elements written so far.</param>
/// <param name="ElementsTotal">Elements of the whole checkpoint.</param>
public readonly record struct ConversionProgress(string Tensor, long ElementsDone, long ElementsTotal);

/// <summary>
/// Converts checkpoints between the Hugging Face layout and GGUF, and between element types: the library behind <c>glimmer convert</c>. Weights are streamed
/// row by row, so memory stays bounded; the output appears under its name only when it is complete.
/// </summary>
/// <remarks>
/// Norms, biases and the router keep full precision. Quantised sources (GGUF blocks, FP8, INT4) are converted from the values they stand for; rows that
/// already have the wanted type are copied. Configuration, tokenizer and chat template are translated along.
/// </remarks>
public static class CheckpointConverter
{
    private static readonly string[] s_companions =
        ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "chat_template.jinja", "LICENSE", "NOTICE"];

    // The other general.* keys (licence, origin, languages) are copied from a GGUF source.
    private static readonly string[] s_ownKeys =
        ["general.architecture", "general.type", "general.name", "general.file_type", "general.quantization_version", "general.alignment"];

    /// <summary>Converts a checkpoint.</summary>
    /// <param name="input">Anything <see cref="Checkpoint.Open"/> takes.</param>
    /// <param name="output">A path ending in <c>.gguf</c> for GGUF, else a folder that does not exist yet (or is empty) for the Hugging Face layout.</param>
    /// <param name="type">Element type of the matrices; see <see cref="StorageTypes.Parse"/>. Rows that do not fit its blocks get a smaller block type.</param>
    /// <param name="progress">Told after each chunk of rows, or null.</param>
    /// <param name="cancellation">Stops between chunks and leaves nothing behind.</param>
    /// <exception cref="ModelFormatException">The input is malformed.</exception>
    /// <exception cref="UnsupportedModelException">The architecture, the tokenizer or the type cannot be written in the output format.</exception>
    /// <exception cref="IOException">The output exists, or cannot be written.</exception>
    public static void Convert(
        string input, string output, DType type, IProgress<ConversionProgress>? progress = null, CancellationToken cancellation = default) =>
        Convert(input, output, StorageRecipe.Of(type), progress, cancellation: cancellation);

    /// <summary>Converts a checkpoint with a mixture of types.</summary>
    /// <param name="input">Anything <see cref="Checkpoint.Open"/> takes.</param>
    /// <param name="output">As the other overload.</param>
    /// <param name="recipe">Types of the matrices; a folder takes one type only.</param>
    /// <param name="progress">Told after each chunk of rows, or null.</param>
    /// <param name="metadata">Keys and values of our own to add to a GGUF file.</param>
    /// <param name="cancellation">Stops between chunks and leaves nothing behind.</param>
    public static void Convert(
        string input, string output, StorageRecipe recipe, IProgress<ConversionProgress>? progress = null,
        IReadOnlyList<KeyValuePair<string, GgufValue>>? metadata = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(recipe);
        using Checkpoint source = Checkpoint.Open(input);
        if (output.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            WriteGguf(source, output, recipe, metadata ?? [], progress, cancellation);
        else
            WriteFolder(source, output, recipe.Type, progress, cancellation);
    }

    private static void WriteGguf(
        Checkpoint source, string output, StorageRecipe recipe, IReadOnlyList<KeyValuePair<string, GgufValue>> more, IProgress<ConversionProgress>? progress,
        CancellationToken cancellation)
    {
        if (File.Exists(output))
            throw new IOException($"'{output}' exists already. Delete it or choose another name.");
        using JsonDocument config = JsonDocument.Parse(source.ConfigJson);
        GgufArchitecture architecture = GgufArchitecture.OfModelType(HfConfig.Text(config.RootElement, "model_type") ?? "");
        ModelSizes sizes = architecture.SizesOf(source.Weights, config.RootElement);
        List<PlannedTensor> plan = GgufPlan.Build(source.Weights, architecture, sizes, recipe);
        var metadata = new List<KeyValuePair<string, GgufValue>>
        {
            new("general.architecture", GgufValue.Of(architecture.Name)),
            new("general.type", GgufValue.Of("model")),
            new("general.name", GgufValue.Of(NameOf(source))),
        };
        if (source.Gguf is not null)
            metadata.AddRange(source.Gguf.Metadata.Where(k => k.Key.StartsWith("general.", StringComparison.Ordinal) && !s_ownKeys.Contains(k.Key)));
        if (recipe.FileType is uint fileType)
            metadata.Add(new("general.file_type", GgufValue.Of(fileType)));
        metadata.AddRange(architecture.WriteMetadata(config.RootElement, sizes));
        metadata.Add(new("general.quantization_version", GgufValue.Of(2u)));
        metadata.AddRange(source.Gguf is null ? TokenizerToGguf.Translate(source.Folder!, config.RootElement)
            : source.Gguf.Metadata.Where(k => k.Key.StartsWith("tokenizer.", StringComparison.Ordinal)));
        metadata.AddRange(more);
        using GgufWriter writer = GgufWriter.Create(output, metadata, [.. plan.Select(p => p.Target)]);
        Stream(plan, writer.BeginTensor, bytes => writer.Write(bytes.Span), progress, cancellation);
        writer.Complete();
    }

    /// <summary>Writes a checkpoint as a Hugging Face folder, complete or not at all.</summary>
    /// <param name="source">The checkpoint.</param>
    /// <param name="output">A folder that does not exist yet, or is empty.</param>
    /// <param name="type">Type of the matrices: F32, BF16 or F16; null keeps every tensor as it is.</param>
    /// <param name="progress">Told after each chunk of rows, or null.</param>
    /// <param name="cancellation">Stops between chunks and leaves nothing behind.</param>
    /// <param name="asPublished">
    /// Whether the folder has the tensors and types of GLM's published ones: norms and routers in <paramref name="type"/> too, balance biases in F32, and in the MTP layer of GLM-4.5 to 4.7 the trunk's
    /// embedding and head once more. Otherwise norms, biases and routers keep full precision, and no tensor is added.
    /// </param>
    /// <exception cref="UnsupportedModelException">The type cannot be written, or a quantised weight cannot stay as it is.</exception>
    /// <exception cref="IOException">The output exists, or cannot be written.</exception>
    public static void WriteFolder(Checkpoint source, string output, DType? type, IProgress<ConversionProgress>? progress = null, CancellationToken cancellation = default, bool asPublished = false)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (type is not (null or DType.F32 or DType.BF16 or DType.F16))
        {
            throw new UnsupportedModelException(
                $"safetensors checkpoints are written as f32, bf16 or f16, not {type}. Name an output ending in .gguf for block types.");
        }

        List<PlannedTensor> plan = [.. source.Weights.Tensors.Select(t => PlanFor(source.Weights, t, t.Name, type, asPublished))];
        if (asPublished)
            plan.AddRange(Repeats(source).Select(repeat => PlanFor(source.Weights, source.Weights.Get(repeat.Of), repeat.Name, type, asPublished)));
        OutputFolder.Write(output, folder =>
        {
            File.WriteAllText(Path.Combine(folder, "config.json"), type is { } written ? ConfigFor(source, written) : source.ConfigJson);
            if (source.Gguf is null)
                CopyCompanions(source.Folder!, folder);
            else
                TokenizerFromGguf.Write(source.Gguf, source.ConfigJson, folder);
            var header = new Dictionary<string, string> { ["format"] = "pt" };
            using SafetensorsWriter writer = SafetensorsWriter.Create(folder, [.. plan.Select(p => p.Target)], metadata: header);
            Stream(plan, writer.BeginTensor, bytes => writer.Write(bytes.Span), progress, cancellation);
            writer.Complete();
        });
    }

    /// <summary>Tensors of the trunk that a published checkpoint repeats in its MTP layer and this one leaves out. Those of GLM-5 repeat nothing; Megatron-core's arguments say what their model repeated.</summary>
    internal static IEnumerable<(string Name, string Of)> Repeats(Checkpoint source)
    {
        ModelConfig config = source.Config;
        string layer = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"model.layers.{config.NumHiddenLayers}.");
        if (config.ModelType is not ("glm4_moe" or "glm4_moe_lite") || (source.Folder is not null && MegatronArguments.IsIn(source.Folder)) || Lacks(layer + "eh_proj.weight") || !Lacks(NextTokenHead.DraftTokensOf(config.NumHiddenLayers)))
            yield break;
        if (Lacks(layer + "embed_tokens.weight"))
            yield return (layer + "embed_tokens.weight", "model.embed_tokens.weight");
        if (Lacks(layer + "shared_head.head.weight"))
            yield return (layer + "shared_head.head.weight", Lacks("lm_head.weight") ? "model.embed_tokens.weight" : "lm_head.weight");

        bool Lacks(string name) => source.Weights.Find(name) is null;
    }

    private static void Stream(
        List<PlannedTensor> plan, Action<string> begin, Action<ReadOnlyMemory<byte>> write, IProgress<ConversionProgress>? progress,
        CancellationToken cancellation)
    {
        long total = plan.Sum(p => p.Target.Count);
        long done = 0;
        foreach (PlannedTensor tensor in plan)
        {
            begin(tensor.Target.Name);
            tensor.Convert(write, elements => progress?.Report(new ConversionProgress(tensor.Target.Name, done += elements, total)), cancellation);
        }
    }

    // Vectors and the router are small and sensitive: they keep a float type they already have.
    private static PlannedTensor PlanFor(WeightSource weights, TensorInfo info, string name, DType? wanted, bool asPublished)
    {
        if (wanted is null && (info.IsComputed || info.Type is not (DType.F32 or DType.BF16 or DType.F16)))
            throw new UnsupportedModelException($"{info} is quantised and cannot stay as it is in a float checkpoint. Say what the weights become, for example bfloat16.");
        DType type = wanted ?? info.Type;
        bool sensitive = info.Name.EndsWith(".e_score_correction_bias", StringComparison.Ordinal)
            || (!asPublished && (info.Shape.Length < 2 || info.Name.EndsWith(".mlp.gate.weight", StringComparison.Ordinal)));
        DType target = !sensitive || type == DType.F32 ? type : !info.IsComputed && info.Type is DType.BF16 or DType.F16 ? info.Type : DType.F32;
        bool copied = !info.IsComputed && info.Type == target;
        return new PlannedTensor(
            new TensorInfo(name, target, info.Shape),
            (first, rows, values) => weights.ReadFloat32Rows(info.Name, first, rows, values),
            copied ? (first, rows, bytes) => weights.ReadRows(info.Name, first, rows, bytes.Span) : null);
    }

    // The configuration as it is, but for the element type: the output is not quantised.
    private static string ConfigFor(Checkpoint source, DType type)
    {
        JsonObject config = JsonNode.Parse(source.ConfigJson) as JsonObject
            ?? throw new ModelFormatException($"The config.json of '{source.Path}' is no JSON object.");
        config.Remove("quantization_config");
        config.Remove("torch_dtype");
        config["dtype"] = type switch
        {
            DType.F32 => "float32",
            DType.BF16 => "bfloat16",
            _ => "float16",
        };
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
            config.WriteTo(writer);
        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }

    /// <summary>Copies the files that belong to a checkpoint beside its weights and configuration: tokenizer, template, generation settings, licence.</summary>
    internal static void CopyCompanions(string from, string to)
    {
        foreach (string name in s_companions)
        {
            string path = Path.Combine(from, name);
            if (File.Exists(path))
                AtomicFile.WriteAllBytes(Path.Combine(to, name), File.ReadAllBytes(path)); // a copy that is on the disk
        }
    }

    private static string NameOf(Checkpoint source) =>
        source.Gguf is not null && source.Gguf.TryGetValue("general.name", out GgufValue? name)
            ? name.AsString()
            : Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(source.Folder ?? source.Path)));
}
