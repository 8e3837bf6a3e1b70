using System.Globalization;
using System.Text.RegularExpressions;
using Glimmer.Operations;

namespace Glimmer.Models.Lora;

/// <summary>Which weights of a model an adapter's options mean, with which rank and alpha.</summary>
internal static class LoraTargets
{
    /// <summary>Ends of the names of stacked expert weights.</summary>
    public const string GateUp = "mlp.experts.gate_up_proj", Down = "mlp.experts.down_proj";

    private const string Router = "mlp.gate";
    private const string RouterWeight = "mlp.gate.weight";

    private static readonly Dictionary<string, (string[] Modules, string[] Parameters)> s_megatron = new(StringComparer.Ordinal)
    {
        ["linear_qkv"] = (["q_proj", "k_proj", "v_proj"], []),
        ["linear_proj"] = (["o_proj"], []),
        ["linear_fc1"] = (["gate_proj", "up_proj"], [GateUp]),
        ["linear_fc2"] = (["down_proj"], [Down]),
        ["linear_q_proj"] = (["q_proj"], []),
        ["linear_q_down_proj"] = (["q_a_proj"], []),
        ["linear_q_up_proj"] = (["q_b_proj"], []),
        ["linear_kv_down_proj"] = (["kv_a_proj_with_mqa"], []),
        ["linear_kv_up_proj"] = (["kv_b_proj"], []),
        ["all-linear"] = (["q_proj", "k_proj", "v_proj", "o_proj", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "gate_proj", "up_proj", "down_proj"], [GateUp, Down]),
        ["all-router"] = ([Router], []),
        ["router"] = ([Router], []),
    };

    /// <summary>The options' targets with the names of PEFT.</summary>
    public static (string[] Modules, string[] Parameters) Expand(LoraOptions options)
    {
        var modules = new List<string>();
        var parameters = new List<string>(options.TargetParameters);
        foreach (string target in options.TargetModules)
        {
            (string[] names, string[] stacked) = s_megatron.GetValueOrDefault(target, ([target], []));
            modules.AddRange(names);
            parameters.AddRange(stacked);
        }

        return ([.. modules.Distinct()], [.. parameters.Distinct()]);
    }

    /// <summary>The linear layers that get factors, in the order of the model.</summary>
    public static IReadOnlyList<Parameter> Linears(CausalLm model, LoraOptions options)
    {
        (string[] modules, string[] parameters) = Expand(options);
        return [.. model.Parameters.Where(weight => CanAdapt(model, weight) && IsTarget(Module(weight.Name), weight.Name))];

        bool IsTarget(string module, string name) => IsInLayers(model, options, module) && (
            options.TargetPattern is { } pattern ? Regex.IsMatch(module, $"^(?:{pattern})$") : Array.Exists(modules, target => Ends(module, target) && (!IsExpert(module) || IsExpert("." + target + ".")))
            || Array.Exists(parameters, target => Ends(name, target)));
    }

    /// <summary>Layers whose routed experts get factors: for gate and up, or for down.</summary>
    public static IReadOnlyList<int> Stacked(CausalLm model, LoraOptions options, string end)
    {
        (_, string[] parameters) = Expand(options);
        return [.. Enumerable.Range(0, model.Config.NumHiddenLayers).Where(layer =>
            model.Config.IsSparse(layer) && model.Config.NRoutedExperts > 0 && (options.Layers?.Contains(layer) ?? true)
            && Array.Exists(parameters, target => Ends($"model.layers.{layer}.{end}", target)))];
    }

    /// <summary>The options that <c>adapter_config.json</c> gets, so that PEFT makes factors of the shapes in the file.</summary>
    /// <remarks>
    /// PEFT 0.21 refuses dropout beside stacked experts (which are trained without it), and takes the names gate_proj, up_proj and down_proj of a model with experts for them, with twice the
    /// rank: beside stacked factors those names are left out, and the factors that the file has for dense and shared-expert layers are found by their tensors.
    /// </remarks>
    public static LoraOptions AsWritten(CausalLm model, LoraOptions options, bool hasGateUp, bool hasDown)
    {
        (string[] modules, string[] parameters) = Expand(options);
        bool isStacked = hasGateUp || hasDown;
        return options with
        {
            Dropout = isStacked ? 0 : options.Dropout,
            TargetModules = [.. modules.Where(name => !isStacked || model.Config.NRoutedExperts == 0 || name is not ("gate_proj" or "up_proj" or "down_proj"))],
            TargetParameters = [.. parameters.Where(name => name switch { GateUp => hasGateUp, Down => hasDown, _ => true })],
        };
    }

    /// <summary>Throws when a target means nothing in the model.</summary>
    /// <exception cref="UnsupportedModelException">It names the target.</exception>
    public static void Check(CausalLm model, LoraOptions options)
    {
        IEnumerable<LoraOptions> single = options.TargetPattern is not null
            ? [options with { TargetParameters = [] }]
            : options.TargetModules.Select(target => options with { TargetModules = [target], TargetParameters = [] });
        single = single.Concat(options.TargetParameters.Select(target => options with { TargetModules = [], TargetPattern = null, TargetParameters = [target] }));
        foreach (LoraOptions one in single)
        {
            if (Linears(model, one).Count == 0 && Stacked(model, one, GateUp).Count == 0 && Stacked(model, one, Down).Count == 0)
            {
                string target = one.TargetPattern ?? one.TargetModules.Concat(one.TargetParameters).First();
                throw new UnsupportedModelException($"The target module '{target}' names no linear layer of this {model.Config.ModelType} model that can be adapted.");
            }
        }
    }

    /// <summary>Whether a weight runs through an operation that knows adapters.</summary>
    public static bool CanAdapt(CausalLm model, Parameter weight) =>
        weight.Shape.Length == 2 && !weight.IsBuffer && !weight.Name.Contains(".indexer.", StringComparison.Ordinal)
        && (weight.Name.EndsWith("_proj.weight", StringComparison.Ordinal) || weight.Name.EndsWith("." + RouterWeight, StringComparison.Ordinal)
            || weight.Name.EndsWith(".kv_a_proj_with_mqa.weight", StringComparison.Ordinal))
        && !weight.Name.Contains("eh_proj", StringComparison.Ordinal);

    /// <summary>Rank of a module.</summary>
    public static int Rank(LoraOptions options, string module) => First(options.RankPattern, module, options.Rank);

    /// <summary>Alpha of a module.</summary>
    public static float Alpha(LoraOptions options, string module) => First(options.AlphaPattern, module, options.Alpha);

    /// <summary>Whether a module belongs to a routed expert.</summary>
    public static bool IsExpert(string module) => module.Contains(".experts.", StringComparison.Ordinal);

    /// <summary>Name of a weight's module.</summary>
    public static string Module(string weight) => weight.EndsWith(".weight", StringComparison.Ordinal) ? weight[..^".weight".Length] : weight;

    /// <summary>Number of the layer that a module belongs to; -1 for none.</summary>
    public static int Layer(string module)
    {
        const string Prefix = "model.layers.";
        if (!module.StartsWith(Prefix, StringComparison.Ordinal))
            return -1;
        int end = module.IndexOf('.', Prefix.Length);
        return end > 0 && int.TryParse(module.AsSpan(Prefix.Length, end - Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int layer) ? layer : -1;
    }

    /// <summary>Whether a name ends with another at a boundary.</summary>
    public static bool Ends(string name, string end) => name == end || (name.EndsWith(end, StringComparison.Ordinal) && name[^(end.Length + 1)] == '.');

    // The MTP layer, which PEFT does not know, gets factors when its number is named only.
    private static bool IsInLayers(CausalLm model, LoraOptions options, string module) => options.Layers?.Contains(Layer(module)) ?? Layer(module) < model.Config.NumHiddenLayers;

    // As PEFT: the end of the name, or a regular expression for it.
    private static T First<T>(IReadOnlyList<KeyValuePair<string, T>> patterns, string module, T otherwise)
    {
        foreach ((string pattern, T value) in patterns)
        {
            if (Regex.IsMatch(module, $@"^(.*\.)?({pattern})$", RegexOptions.NonBacktracking))
                return value;
        }

        return otherwise;
    }
}
