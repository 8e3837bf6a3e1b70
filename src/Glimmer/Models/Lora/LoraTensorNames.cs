using Glimmer.Formats;

namespace Glimmer.Models.Lora;

/// <summary>Which factor of a layer a tensor is.</summary>
internal enum LoraSide
{
    /// <summary>None: a module stored whole.</summary>
    None,

    /// <summary>A, [r, inputs].</summary>
    A,

    /// <summary>B, [outputs, r].</summary>
    B,

    /// <summary>The magnitudes of DoRA, [outputs].</summary>
    Magnitude,
}

/// <summary>The keys of adapter files.</summary>
internal static class LoraTensorNames
{
    private const string Stacked = ".mlp.experts", BaseLayer = ".base_layer";

    private static readonly (string End, LoraSide Side)[] s_ends =
        [(".lora_A.weight", LoraSide.A), (".lora_B.weight", LoraSide.B), (".lora_magnitude_vector", LoraSide.Magnitude), (".weight", LoraSide.None)];

    /// <summary>Module and side of a key.</summary>
    /// <exception cref="UnsupportedModelException">It is neither a factor nor a weight.</exception>
    public static (string Module, LoraSide Side) Parse(string key)
    {
        foreach ((string end, LoraSide side) in s_ends)
        {
            if (key.StartsWith(LoraParts.KeyPrefix, StringComparison.Ordinal) && key.EndsWith(end, StringComparison.Ordinal))
                return (key[LoraParts.KeyPrefix.Length..^end.Length], side);
        }

        throw new UnsupportedModelException($"It contains '{key}', which is neither a factor of a linear layer nor a weight.");
    }

    /// <summary>Adds what the tensors of a file are for; their numbers are read afterwards.</summary>
    /// <exception cref="UnsupportedModelException">A tensor is for what is not supported.</exception>
    /// <exception cref="ModelFormatException">A factor is missing or malformed.</exception>
    public static void Plan(IReadOnlyList<TensorInfo> tensors, CausalLm model, LoraOptions options, LoraParts parts)
    {
        var modules = new SortedDictionary<string, Dictionary<LoraSide, TensorInfo>>(StringComparer.Ordinal);
        foreach (TensorInfo tensor in tensors)
        {
            (string module, LoraSide side) = Parse(tensor.Name);
            if (!modules.TryGetValue(module, out Dictionary<LoraSide, TensorInfo>? sides))
                modules.Add(module, sides = []);
            sides[side] = tensor;
        }

        foreach ((string module, Dictionary<LoraSide, TensorInfo> sides) in modules)
        {
            if (sides.ContainsKey(LoraSide.None))
            {
                parts.AddSaved(module);
                continue;
            }

            if (!sides.TryGetValue(LoraSide.A, out TensorInfo? a) || !sides.ContainsKey(LoraSide.B) || a.Shape.Length != 2 || a.Shape[0] == 0)
                throw new ModelFormatException($"The adapter has only one of the two factors of '{module}', or A is no matrix.");
            if (sides.ContainsKey(LoraSide.Magnitude) != options.UseDora)
                throw new ModelFormatException($"The adapter says use_dora {options.UseDora}, but '{module}' has {(options.UseDora ? "no" : "a")} lora_magnitude_vector.");
            if (module.EndsWith(Stacked, StringComparison.Ordinal) || module.EndsWith(Stacked + BaseLayer, StringComparison.Ordinal))
                AddStacked(modules, module, a, model, options, parts);
            else
                parts.AddLinear(module, a.Shape[0]);
        }
    }

    // With factors for both stacked weights the ones for gate and up carry ".base_layer"; alone only the configuration tells which they are.
    private static void AddStacked(
        SortedDictionary<string, Dictionary<LoraSide, TensorInfo>> modules, string module, TensorInfo a, CausalLm model, LoraOptions options, LoraParts parts)
    {
        bool isBase = module.EndsWith(BaseLayer, StringComparison.Ordinal);
        bool isAlone = !isBase && !modules.ContainsKey(module + BaseLayer);
        bool isGateUp = isBase || (isAlone && options.TargetParameters.Any(name => name.EndsWith("gate_up_proj", StringComparison.Ordinal)));
        if (a.Shape[0] % model.Config.NRoutedExperts != 0)
            throw new ModelFormatException($"'{a.Name}' has {a.Shape[0]} rows, no whole number for each of {model.Config.NRoutedExperts} experts.");
        parts.AddStacked(LoraTargets.Layer(module), isGateUp, isAlone, a.Shape[0] / model.Config.NRoutedExperts);
    }
}
