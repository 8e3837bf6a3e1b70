namespace Glimmer.Models.Lora;

/// <summary>What PEFT makes of an adapter file that says more than PEFT can.</summary>
internal static class PeftRules
{
    /// <summary>One sentence for each kind of factor that PEFT drops or refuses; empty when it loads the file as we do.</summary>
    /// <remarks>PEFT 0.21 moves gate_proj, up_proj and down_proj targets of models with stacked experts to the experts; its own file tells nothing of it but a warning.</remarks>
    public static IReadOnlyList<string> Warnings(ModelConfig config, IEnumerable<string> modules, bool useDora)
    {
        if (config.NRoutedExperts == 0)
            return [];
        var warnings = new List<string>();
        string[] all = [.. modules.Distinct()];
        int dense = all.Count(module => module.Contains(".mlp.", StringComparison.Ordinal) && module.EndsWith("_proj", StringComparison.Ordinal) && !LoraTargets.IsExpert(module));
        int single = all.Count(module => LoraTargets.IsExpert(module) && module.EndsWith("_proj", StringComparison.Ordinal));
        int draft = all.Count(module => LoraTargets.Layer(module) >= config.NumHiddenLayers);
        if (dense > 0)
        {
            warnings.Add(useDora
                ? $"PEFT refuses to load {dense} dense and shared-expert layers with DoRA for a {config.ModelType} model. Merge the adapter for its users."
                : $"PEFT drops the factors of {dense} dense and shared-expert layers of a {config.ModelType} model: it looks for them in the routed experts. Merge the adapter for its users.");
        }

        if (single > 0)
            warnings.Add($"PEFT drops the factors of {single} single experts of a {config.ModelType} model: it stacks experts. Target mlp.experts.gate_up_proj and mlp.experts.down_proj, or merge the adapter.");
        if (draft > 0)
            warnings.Add($"PEFT drops the factors of {draft} modules of the MTP layer, which transformers does not have.");
        return warnings;
    }
}
