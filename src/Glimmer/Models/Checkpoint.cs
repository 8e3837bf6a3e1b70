using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Formats;
using Glimmer.Kernels;
using Glimmer.Models.Gguf;
using Glimmer.Models.Megatron;
using Glimmer.Operations;

namespace Glimmer.Models;

/// <summary>
/// A model on disk, whichever its format: a Hugging Face folder (or one of its files) or a GGUF file. Gives its configuration with Hugging Face keys and its
/// weights by name.
/// </summary>
public sealed class Checkpoint : IDisposable
{
    private readonly string? _configJson;
    private ModelConfig? _config;
    private GenerationConfig? _generation;

    private Checkpoint(string path, string? configJson, WeightSource weights, GgufFile? gguf, string? folder, GgufFile? trunk = null)
    {
        Trunk = trunk;
        Path = path;
        _configJson = configJson;
        Weights = weights;
        Gguf = gguf;
        Folder = folder;
    }

    /// <summary>Path as it was opened.</summary>
    public string Path { get; }

    /// <summary>The weights.</summary>
    public WeightSource Weights { get; }

    /// <summary>The GGUF file, or null.</summary>
    public GgufFile? Gguf { get; }

    /// <summary>The Hugging Face folder, or null.</summary>
    public string? Folder { get; }

    /// <summary>The file of the trunk, when the folder holds an addition to one (<see cref="Upcycling.TrunkReference"/>); else null.</summary>
    public GgufFile? Trunk { get; }

    /// <summary>The configuration as JSON text with Hugging Face keys: the content of <c>config.json</c>, or the metadata of a GGUF file translated.</summary>
    /// <exception cref="ModelFormatException">There is no <c>config.json</c>.</exception>
    public string ConfigJson =>
        _configJson ?? throw new ModelFormatException($"There is no config.json beside '{Path}'. Download it from the same place as the weights.");

    /// <summary>The configuration.</summary>
    /// <exception cref="ModelFormatException">There is no <c>config.json</c>, or a value in it is missing or wrong.</exception>
    /// <exception cref="UnsupportedModelException">The architecture or an option of it is not computed here.</exception>
    public ModelConfig Config => _config ??= ModelConfig.Parse(Encoding.UTF8.GetBytes(ConfigJson), Folder is null ? Path : System.IO.Path.Combine(Folder, "config.json"));

    /// <summary>How the checkpoint wants to be sampled and which tokens end a generation: <c>generation_config.json</c>, else the configuration.</summary>
    /// <exception cref="ModelFormatException">A value is wrong.</exception>
    public GenerationConfig Generation => _generation ??= ReadGeneration();

    /// <summary>Whether the file says that 8-bit activations are good enough to be its default, as <c>glimmer quantize</c> measured it.</summary>
    public bool PrefersQ8Activations => PreferredActivations.Read(Gguf);

    /// <summary>Loads the model: reads and packs all weights, or maps them where they were packed before.</summary>
    /// <param name="team">Threads that pack.</param>
    /// <param name="config">Configuration to use instead of the checkpoint's.</param>
    /// <param name="progress">Told the number of values of each parameter that is loaded.</param>
    /// <param name="options">Where packed weights are kept; null for all in memory.</param>
    /// <exception cref="ModelFormatException">A tensor is missing or does not have the shape that the configuration asks for, or a pack cache that is verified is damaged.</exception>
    /// <exception cref="UnsupportedModelException">The weights need more memory than there is, and no folder is named where experts could stay.</exception>
    /// <exception cref="IOException">The pack cache cannot be written.</exception>
    public CausalLm LoadModel(ThreadTeam team, ModelConfig? config = null, IProgress<long>? progress = null, LoadOptions? options = null)
    {
        options ??= new LoadOptions();
        options.Check();
        config ??= Config;
        MemoryPlan plan = MemoryPlan.Of(Weights.Tensors);
        long? expertBudget = plan.ExpertBudget(Path, options, MemoryPlan.AvailableBytes());
        PackCache? cache = options.PackCache is { } folder ? PackCache.Open(folder, this, plan.PackedBytes, options.VerifyPackCache) : null;
        ExpertStore? experts = expertBudget is { } bytes ? new ExpertStore(bytes) : null;
        try
        {
            CausalLm model = ModelRegistry.Build(config, new ParameterLoader(Weights, team, progress, cache, experts, options.ExpertShare));
            cache?.Complete();
            model.KeepPacked(cache, experts);
            Weights.ReleaseAll();
            if (Trunk is not null && File.Exists(System.IO.Path.Combine(Folder!, "adapter_config.json")))
                model.KeepAdapter(LoraAdapter.Load(model, Folder!));
            return model;
        }
        catch
        {
            experts?.Dispose();
            cache?.Dispose();
            throw;
        }
    }

    /// <summary>Opens a checkpoint.</summary>
    /// <param name="path">A folder with <c>config.json</c> and safetensors files, a <c>.safetensors</c> file or index, a <c>.gguf</c> file (any part of a
    /// split one), a folder that holds just one model in GGUF, or a folder under Megatron-core's names (<see cref="MegatronCheckpoint"/>).</param>
    /// <exception cref="ModelFormatException">Files are missing or malformed.</exception>
    /// <exception cref="UnsupportedModelException">The architecture or the quantisation is not supported.</exception>
    public static Checkpoint Open(string path)
    {
        if (Directory.Exists(path) && GgufIn(path) is string only)
            return OpenGguf(only);
        if (Directory.Exists(path) && MegatronArguments.IsIn(path))
            return OpenMegatron(path);
        return path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) ? OpenGguf(path) : OpenFolder(path);
    }

    /// <inheritdoc/>
    public void Dispose() => Weights.Dispose();

    private GenerationConfig ReadGeneration()
    {
        string? path = Folder is null ? null : System.IO.Path.Combine(Folder, "generation_config.json");
        GenerationConfig generation = File.Exists(path) ? GenerationConfig.Parse(File.ReadAllBytes(path), path) : new GenerationConfig();
        return generation.EosTokenIds.Count == 0 ? generation with { EosTokenIds = Config.EosTokenIds } : generation;
    }

    private static Checkpoint OpenGguf(string path)
    {
        GgufFile file = GgufFile.Open(path);
        try
        {
            GgufArchitecture architecture = GgufArchitecture.Of(file);
            JsonObject config = architecture.ReadConfig(file);
            string json = config.ToJsonString();
            using JsonDocument document = JsonDocument.Parse(json);
            return new Checkpoint(path, json, GgufWeights.Open(file, architecture, document.RootElement), file, null);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static Checkpoint OpenMegatron(string folder)
    {
        MegatronArguments arguments = MegatronArguments.Read(folder);
        ModelConfig config = ModelConfig.Parse(Encoding.UTF8.GetBytes(arguments.ConfigJson), System.IO.Path.Combine(folder, MegatronArguments.FileName));
        return new Checkpoint(folder, arguments.ConfigJson, MegatronWeights.Open(folder, config, arguments), null, folder);
    }

    private static Checkpoint OpenFolder(string path)
    {
        string folder = Directory.Exists(path) ? path : System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
        string configPath = System.IO.Path.Combine(folder, "config.json");
        string? json = File.Exists(configPath) ? File.ReadAllText(configPath) : null;
        if (path.EndsWith("config.json", StringComparison.Ordinal))
            path = folder;
        if (json is not null && Upcycling.TrunkReference.Read(json, configPath) is { } reference)
            return OpenAddition(path, folder, json, reference);
        return new Checkpoint(path, json, SafetensorsWeights.Open(path, json is null ? null : Fp8Block(configPath, json)), null, folder);
    }

    private static Checkpoint OpenAddition(string path, string folder, string json, Upcycling.TrunkReference reference)
    {
        ModelConfig config = ModelConfig.Parse(Encoding.UTF8.GetBytes(json), System.IO.Path.Combine(folder, "config.json"));
        Checkpoint trunk = OpenGguf(reference.Find(folder));
        try
        {
            WeightSource addition = SafetensorsWeights.Open(folder + "/model.safetensors");
            return new Checkpoint(path, json, WeightSource.Combine(path, trunk.Weights, name => reference.NamesOf(name, config), addition), null, folder, trunk.Gguf);
        }
        catch
        {
            trunk.Dispose();
            throw;
        }
    }

    // A folder without safetensors whose GGUF files are one model (one file, or the parts of one).
    internal static string? GgufIn(string folder)
    {
        if (Directory.EnumerateFiles(folder, "*.safetensors").Any())
            return null;
        string[] files = Directory.GetFiles(folder, "*.gguf");
        Array.Sort(files, StringComparer.Ordinal);
        return files.Length == 1 || (files.Length > 1 && files[0].EndsWith($"-00001-of-{files.Length:00000}.gguf", StringComparison.Ordinal)) ? files[0] : null;
    }

    private static (int Rows, int Columns)? Fp8Block(string path, string json)
    {
        try
        {
            using JsonDocument config = JsonDocument.Parse(json);
            if (config.RootElement.ValueKind != JsonValueKind.Object
                || !config.RootElement.TryGetProperty("quantization_config", out JsonElement quantization) || quantization.ValueKind != JsonValueKind.Object
                || !quantization.TryGetProperty("weight_block_size", out JsonElement block) || block.ValueKind == JsonValueKind.Null)
                return null;
            int[] sizes = block.ValueKind == JsonValueKind.Array
                ? [.. block.EnumerateArray().Select(b => b.ValueKind == JsonValueKind.Number && b.TryGetInt32(out int size) ? size : 0)] : [];
            return sizes is [> 0, > 0]
                ? (sizes[0], sizes[1])
                : throw new ModelFormatException($"'{path}': weight_block_size is {block.GetRawText()}; two positive whole numbers are expected.");
        }
        catch (JsonException e)
        {
            throw new ModelFormatException($"'{path}' is not valid JSON: {e.Message}", e);
        }
    }
}
