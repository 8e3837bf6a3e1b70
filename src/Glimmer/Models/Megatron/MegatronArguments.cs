using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Formats;

namespace Glimmer.Models.Megatron;

/// <summary><c>args.json</c> of a Megatron-core folder: the configuration of the model, and what its layout does not say.</summary>
/// <param name="ConfigJson">The Hugging Face configuration.</param>
/// <param name="RepeatsEmbedding">Whether the MTP layer of the Hugging Face checkpoint repeats embedding and output matrix; they are stored once here.</param>
/// <param name="BaseModel">Where the weights came from; null when it is not known.</param>
/// <param name="TensorParallel">Ranks of tensor parallelism that the weights are divided among.</param>
/// <param name="ExpertParallel">Ranks of expert parallelism that the experts are divided among.</param>
public sealed record MegatronArguments(string ConfigJson, bool RepeatsEmbedding, string? BaseModel, int TensorParallel = 1, int ExpertParallel = 1)
{
    /// <summary>Folder of the weights of several ranks.</summary>
    internal const string IterationFolder = "iter_0000001";

    /// <summary>Name of the file.</summary>
    public const string FileName = "args.json";

    /// <summary>Name of the file that says which iteration the weights are of.</summary>
    public const string IterationFile = "latest_checkpointed_iteration.txt";

    /// <summary>Whether a folder holds a model under Megatron-core's names, as <see cref="MegatronCheckpoint"/> writes it.</summary>
    public static bool IsIn(string folder) => File.Exists(Path.Combine(folder, FileName)) && File.Exists(Path.Combine(folder, IterationFile));

    /// <summary>Reads the file of a folder.</summary>
    /// <exception cref="ModelFormatException">It is no JSON object with <c>hf_config</c>.</exception>
    public static MegatronArguments Read(string folder)
    {
        string path = Path.Combine(folder, FileName);
        try
        {
            using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(path));
            JsonElement root = json.RootElement;
            return new MegatronArguments(
                root.GetProperty("hf_config").GetRawText(),
                root.TryGetProperty("mtp_repeats_embedding", out JsonElement repeats) && repeats.ValueKind == JsonValueKind.True,
                root.TryGetProperty("model", out JsonElement model) && model.ValueKind == JsonValueKind.String ? model.GetString() : null,
                Size(root, "tensor_model_parallel_size"),
                Size(root, "expert_model_parallel_size"));
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new ModelFormatException($"'{path}' is not what 'glimmer export --to_mcore' writes: {e.Message}", e);
        }
    }

    /// <summary>Writes the file.</summary>
    /// <param name="folder">An existing folder.</param>
    public void Write(string folder)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("format", "megatron-core names in safetensors");
            json.WriteString("model", BaseModel);
            json.WriteString("tuner_type", "full");
            json.WriteNumber("tensor_model_parallel_size", TensorParallel);
            json.WriteNumber("pipeline_model_parallel_size", 1);
            json.WriteNumber("expert_model_parallel_size", ExpertParallel);
            json.WriteBoolean("mtp_repeats_embedding", RepeatsEmbedding);
            json.WritePropertyName("hf_config");
            JsonNode.Parse(ConfigJson)!.WriteTo(json);
            json.WriteEndObject();
        }

        AtomicFile.WriteAllBytes(Path.Combine(folder, FileName), stream.ToArray());
        AtomicFile.WriteAllBytes(Path.Combine(folder, IterationFile), Encoding.UTF8.GetBytes(TensorParallel * ExpertParallel > 1 ? "1\n" : "release\n"));
    }

    private static int Size(JsonElement root, string name) => root.TryGetProperty(name, out JsonElement size) && size.TryGetInt32(out int ranks) && ranks > 0 ? ranks : 1;
}
