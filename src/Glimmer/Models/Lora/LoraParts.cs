using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models.Lora;

/// <summary>An adapter while it is put together: factors, whole modules, and how the file's tensors map to them.</summary>
internal sealed class LoraParts(CausalLm model, LoraOptions options)
{
    public const string KeyPrefix = "base_model.model.";

    private readonly Dictionary<string, Parameter> _weights = model.Parameters.ToDictionary(parameter => parameter.Name, StringComparer.Ordinal);

    /// <summary>Factors by the module of the weight that they add to.</summary>
    public List<(string Module, LowRankFactor Factor)> Factors { get; } = [];

    /// <summary>Weights that replace those of a module.</summary>
    public List<(string Module, Parameter Weight)> Saved { get; } = [];

    /// <summary>The tensors of the file, in the order of the model.</summary>
    public List<LoraTensor> Tensors { get; } = [];

    /// <summary>Adds the factors of one linear layer, zeros.</summary>
    /// <param name="module">Its module.</param>
    /// <param name="rank">Their rank.</param>
    /// <exception cref="UnsupportedModelException">The layer does not exist or cannot be adapted in this way.</exception>
    public LowRankFactor AddLinear(string module, int rank)
    {
        if (!_weights.TryGetValue(module + ".weight", out Parameter? weight) || !LoraTargets.CanAdapt(model, weight))
            throw new UnsupportedModelException($"The adapter is for '{module}', which is no linear layer of this {model.Config.ModelType} model that can be adapted.");
        bool isLatent = module.EndsWith(".kv_b_proj", StringComparison.Ordinal), isExpert = LoraTargets.IsExpert(module);
        if (options.UseDora && (isLatent || isExpert))
            throw new UnsupportedModelException($"The adapter has DoRA magnitudes for '{module}'; DoRA of {(isExpert ? "routed experts" : "kv_b_proj")} is not supported. Merge it with the tool that made it.");
        Parameter a = New($"{KeyPrefix}{module}.lora_A.weight", rank, weight.Shape[1]), b = New($"{KeyPrefix}{module}.lora_B.weight", weight.Shape[0], rank);
        Parameter? magnitude = options.UseDora ? New($"{KeyPrefix}{module}.lora_magnitude_vector", weight.Shape[0]) : null;
        var factor = new LowRankFactor(a, b, options.ScaleOf(LoraTargets.Alpha(options, module), rank), magnitude) { Dropout = isLatent || isExpert ? 0 : options.Dropout, Number = Factors.Count };
        Factors.Add((module, factor));
        Tensors.Add(LoraTensor.Of(a));
        Tensors.Add(LoraTensor.Of(b));
        if (magnitude is not null)
            Tensors.Add(LoraTensor.Of(magnitude));
        return factor;
    }

    /// <summary>Adds the factors of a layer's routed experts for gate and up, which share A, or for down: zeros.</summary>
    /// <param name="layer">Number of the layer.</param>
    /// <param name="isGateUp">Gate and up, or down.</param>
    /// <param name="isAlone">Whether the file has no factors for the layer's other stacked weight; its keys are shorter then.</param>
    /// <param name="rank">Rank of each expert's factors.</param>
    public IReadOnlyList<LowRankFactor> AddStacked(int layer, bool isGateUp, bool isAlone, int rank)
    {
        string module = $"model.layers.{layer}.mlp.experts";
        if (layer >= model.Config.NumHiddenLayers || !_weights.ContainsKey($"{module}.0.gate_proj.weight"))
            throw new UnsupportedModelException($"The adapter is for '{module}', but layer {layer} of this {model.Config.ModelType} model has no routed experts.");
        if (options.UseDora)
            throw new UnsupportedModelException($"The adapter has DoRA magnitudes for '{module}'; DoRA of routed experts is not supported. Merge it with the tool that made it.");
        string name = KeyPrefix + module + (isGateUp && !isAlone ? ".base_layer" : "");
        float scale = options.ScaleOf(LoraTargets.Alpha(options, $"{module}.{(isGateUp ? "gate_up_proj" : "down_proj")}"), rank);
        (int experts, int dim, int inner) = (model.Config.NRoutedExperts, model.Config.HiddenSize, model.Config.MoeIntermediateSize);
        (int inputs, int outputs) = isGateUp ? (dim, inner) : (inner, dim);
        var tensorA = new LoraTensor($"{name}.lora_A.weight", [experts * rank, inputs]);
        var tensorB = new LoraTensor($"{name}.lora_B.weight", [isGateUp ? 2 * outputs : outputs, rank * experts]);
        var added = new List<LowRankFactor>();
        for (int e = 0; e < experts; e++)
        {
            Parameter a = New($"{tensorA.Name}.{e}", rank, inputs);
            tensorA.With(a, firstRow: e * rank);
            string[] parts = isGateUp ? ["gate_proj", "up_proj"] : ["down_proj"];
            for (int part = 0; part < parts.Length; part++)
            {
                Parameter b = New($"{tensorB.Name}.{e}" + (isGateUp ? part == 0 ? ".gate" : ".up" : ""), outputs, rank);
                tensorB.With(b, firstRow: part * outputs, firstColumn: e, columnStride: experts);
                var factor = new LowRankFactor(a, b, scale) { Number = Factors.Count };
                Factors.Add(($"{module}.{e}.{parts[part]}", factor));
                added.Add(factor);
            }
        }

        Tensors.Add(tensorA);
        Tensors.Add(tensorB);
        return added;
    }

    /// <summary>Adds a module that is stored whole, with the model's numbers.</summary>
    /// <exception cref="UnsupportedModelException">The module does not exist, has a bias, or is shared.</exception>
    public Parameter AddSaved(string module)
    {
        string name = module + ".weight";
        if (!_weights.TryGetValue(name, out Parameter? weight) || weight.Shape.Length != 2 || weight.AddedRows is not null || _weights.ContainsKey(module + ".bias") || module.EndsWith(".kv_b_proj", StringComparison.Ordinal) || LoraTargets.IsExpert(module))
            throw new UnsupportedModelException($"The adapter stores '{module}' whole; that is supported for lm_head, embed_tokens and linear layers without bias of this {model.Config.ModelType} model only.");
        if (ReferenceEquals(model.EmbeddingMatrix, model.Head) && ReferenceEquals(weight, model.Head))
            throw new UnsupportedModelException($"The adapter stores '{module}' whole, but this model uses one matrix as embedding and output matrix.");
        Parameter copy = New(KeyPrefix + name, weight.Shape.ToArray());
        if (weight.Value is { } value)
            value.CopyTo(copy.Value!);
        else
            Unpack(weight, copy.Value!);
        Saved.Add((module, copy));
        Tensors.Add(LoraTensor.Of(copy));
        return copy;
    }

    private static unsafe void Unpack(Parameter weight, Tensor value) => weight.PackedOrNull!.Unpack(value.F32Pointer);

    private static Parameter New(string name, params int[] shape) => new(name, Tensor.Allocate(DType.F32, shape));
}
