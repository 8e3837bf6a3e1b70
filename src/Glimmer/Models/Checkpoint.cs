using Glimmer.Formats;
using Glimmer.Kernels;

namespace Glimmer.Models;

/// <summary>A model on disk: configuration and weights, from a Hugging Face folder or a GGUF file.</summary>
public sealed class Checkpoint : IDisposable
{
    private Checkpoint(string path, ModelConfig config, GenerationConfig generation, WeightSource weights) =>
        (Path, Config, Generation, Weights) = (path, config, generation, weights);

    /// <summary>The folder or file.</summary>
    public string Path { get; }

    /// <summary>What config.json (or the GGUF metadata) says.</summary>
    public ModelConfig Config { get; }

    /// <summary>What generation_config.json says; stop tokens fall back to the model configuration.</summary>
    public GenerationConfig Generation { get; }

    /// <summary>The weights by checkpoint name.</summary>
    public WeightSource Weights { get; }

    /// <summary>Opens a folder with config.json and safetensors.</summary>
    /// <exception cref="ModelFormatException">A file is missing, damaged or contradicts another.</exception>
    /// <exception cref="UnsupportedModelException">The architecture or an option of it is not computed here.</exception>
    public static Checkpoint Open(string path)
    {
        string configPath = System.IO.Path.Combine(path, "config.json");
        if (!File.Exists(configPath))
            throw new ModelFormatException($"'{path}' has no config.json.");
        ModelConfig config = ModelConfig.Parse(File.ReadAllBytes(configPath), configPath);
        string generationPath = System.IO.Path.Combine(path, "generation_config.json");
        GenerationConfig generation = File.Exists(generationPath) ? GenerationConfig.Parse(File.ReadAllBytes(generationPath), generationPath) : new GenerationConfig();
        if (generation.EosTokenIds.Count == 0)
            generation = generation with { EosTokenIds = config.EosTokenIds };
        return new Checkpoint(path, config, generation, SafetensorsWeights.Open(path));
    }

    /// <summary>Loads the model.</summary>
    /// <param name="team">Threads that pack the weights.</param>
    /// <param name="config">Configuration to use instead of the checkpoint's.</param>
    /// <param name="progress">Told the number of values of each parameter loaded.</param>
    public CausalLm LoadModel(ThreadTeam team, ModelConfig? config = null, IProgress<long>? progress = null) =>
        ModelRegistry.Build(config ?? Config, new ParameterLoader(Weights, team, progress));

    /// <inheritdoc/>
    public void Dispose() => Weights.Dispose();
}
