using System.Text;
using System.Text.Json.Nodes;
using Glimmer.Formats;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Tensors;

namespace Glimmer.Training;

/// <summary>Writes a model with random weights to start pre-training from.</summary>
/// <remarks>
/// How GLM is initialised, as its authors say: matrices normal with standard deviation <c>initializer_range</c> (0.02), biases 0, norms 1, and the matrices
/// that write to the residual stream
/// (<c>o_proj</c>, <c>down_proj</c>) times <c>1 / sqrt(2 L)</c>; no µP. A weight depends on the seed, the place of its tensor in the layout and its index,
/// on nothing else.
/// </remarks>
public static class ModelInitializer
{
    /// <summary>Writes <c>config.json</c> and <c>model.safetensors</c> (fp32).</summary>
    /// <param name="configJson">Configuration with Hugging Face keys.</param>
    /// <param name="folder">Folder to write to; it is created.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ModelFormatException">The configuration is wrong.</exception>
    /// <exception cref="UnsupportedModelException">The architecture is not known.</exception>
    public static void Write(string configJson, string folder, ulong seed) => Write(configJson, folder, seed, null);

    /// <summary>The same, with the values that a checkpoint has: random are the tensors that it lacks.</summary>
    /// <param name="configJson">Configuration with Hugging Face keys.</param>
    /// <param name="folder">Folder to write to; it is created.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="known">The checkpoint's weights; null for none.</param>
    internal static void Write(string configJson, string folder, ulong seed, WeightSource? known)
    {
        ModelConfig config = ModelConfig.Parse(Encoding.UTF8.GetBytes(configJson));
        Directory.CreateDirectory(folder);
        var names = new List<(string Name, LayoutTensor Tensor)>();
        foreach (LayoutTensor tensor in CheckpointLayout.All(config, config.NumNextnPredictLayers > 0).Where(tensor => !tensor.IsOptional))
        {
            for (int copy = 0; copy < tensor.Copies; copy++)
                names.Add((tensor.Name.Replace("{0}", copy.ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal), tensor));
        }

        using (var writer = SafetensorsWriter.Create(folder, [.. names.Select(n => new TensorInfo(n.Name, DType.F32, n.Tensor.Shape))], metadata: new Dictionary<string, string> { ["format"] = "pt" }))
        {
            for (int i = 0; i < names.Count; i++)
            {
                using Tensor values = Tensor.Allocate(DType.F32, names[i].Tensor.Shape);
                if (known?.Find(names[i].Name) is not null)
                    known!.ReadFloat32(names[i].Name, values.F32);
                else
                    Fill(values.F32, names[i].Name, names[i].Tensor.Columns != 0, config, seed, i);
                writer.BeginTensor(names[i].Name);
                writer.Write(values.Bytes);
            }

            writer.Complete();
        }

        AtomicFile.WriteAllBytes(Path.Combine(folder, "config.json"), Encoding.UTF8.GetBytes(WithType(configJson, "float32")));
    }

    /// <summary>The configuration with another type of its weights, in the words of transformers.</summary>
    internal static string WithType(string configJson, string type)
    {
        JsonObject json = JsonNode.Parse(configJson)!.AsObject();
        json.Remove("torch_dtype");
        json["dtype"] = type;
        return json.ToJsonString(new System.Text.Json.JsonSerializerOptions { WriteIndented = true });
    }

    private static void Fill(Span<float> values, string name, bool matrix, ModelConfig config, ulong seed, int tensor)
    {
        if (!matrix)
        {
            values.Fill(name.EndsWith("bias", StringComparison.Ordinal) ? 0 : 1);
            return;
        }

        bool residual = name.EndsWith("o_proj.weight", StringComparison.Ordinal) || name.EndsWith("down_proj.weight", StringComparison.Ordinal);
        double deviation = config.InitializerRange * (residual ? 1 / Math.Sqrt(2.0 * config.NumHiddenLayers) : 1);
        for (int i = 0; i < values.Length; i++)
        {
            // Box-Muller.
            double radius = Math.Sqrt(-2 * Math.Log(CounterRandom.Uniform(seed, DrawPurpose.Initialisation, ((long)tensor << 32) + i, 0)));
            double angle = 2 * Math.PI * CounterRandom.Uniform(seed, DrawPurpose.Initialisation, ((long)tensor << 32) + i, 1);
            values[i] = (float)(deviation * radius * Math.Cos(angle));
        }
    }
}
