using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Models.Lora;
using Glimmer.Operations;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>Low-rank additions to linear layers of a model (LoRA), in the layout of PEFT: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</summary>
/// <remarks>
/// Attention projections (those of latent attention too), dense and shared feed-forward layers, routed experts (stacked as in PEFT, or one by one), routers, DoRA magnitudes, and modules stored
/// whole. The base model may be of any type, also quantised. What is not supported is refused by name.
/// </remarks>
public sealed class LoraAdapter : IDisposable
{
    private readonly LoraParts _parts;
    private CausalLm? _model;
    private int _number;

    private LoraAdapter(ModelConfig config, LoraOptions options, LoraParts parts)
    {
        (Options, _parts) = (options, parts);
        PeftWarnings = PeftRules.Warnings(
            config, parts.Tensors.Select(tensor => LoraTensorNames.Parse(tensor.Name)).Where(name => name.Side != LoraSide.None).Select(name => name.Module), options.UseDora);
    }

    /// <summary>Rank, scale and targets.</summary>
    public LoraOptions Options { get; }

    /// <summary>What is trained, in the order of the model: A, B and magnitude of each layer, of each routed expert, and whole modules. Most names are the keys of PEFT.</summary>
    public IReadOnlyList<Parameter> Parameters => [.. _parts.Tensors.SelectMany(tensor => tensor.Parameters).Distinct()];

    /// <summary>What PEFT drops or refuses when it loads the files of this adapter; empty when it loads them as they are.</summary>
    public IReadOnlyList<string> PeftWarnings { get; }

    /// <summary>The tensors of the file.</summary>
    internal IReadOnlyList<LoraTensor> Tensors => _parts.Tensors;

    /// <summary>The factors by the module of the weight that they add to.</summary>
    internal IReadOnlyList<(string Module, LowRankFactor Factor)> Factors => _parts.Factors;

    /// <summary>Makes a new adapter: A uniform within <c>1 / sqrt(inputs)</c>, B zero, magnitudes the norms of the rows, so that the model stays as it is at first.</summary>
    /// <param name="model">The model it is for; it is not attached.</param>
    /// <param name="options">What it looks like.</param>
    /// <exception cref="UnsupportedModelException">A target names no linear layer of the model that can be adapted.</exception>
    public static LoraAdapter Create(CausalLm model, LoraOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        LoraTargets.Check(model, options);
        var parts = new LoraParts(model, options);
        foreach (Parameter weight in LoraTargets.Linears(model, options))
        {
            string module = LoraTargets.Module(weight.Name);
            parts.AddLinear(module, LoraTargets.Rank(options, module));
        }

        (IReadOnlyList<int> gateUp, IReadOnlyList<int> down) = (LoraTargets.Stacked(model, options, LoraTargets.GateUp), LoraTargets.Stacked(model, options, LoraTargets.Down));
        foreach (int layer in gateUp)
            parts.AddStacked(layer, isGateUp: true, isAlone: !down.Contains(layer), LoraTargets.Rank(options, $"model.layers.{layer}.{LoraTargets.GateUp}"));
        foreach (int layer in down)
            parts.AddStacked(layer, isGateUp: false, isAlone: !gateUp.Contains(layer), LoraTargets.Rank(options, $"model.layers.{layer}.{LoraTargets.Down}"));
        foreach (string module in options.ModulesToSave)
        {
            Parameter[] weights = [.. model.Parameters.Where(weight => LoraTargets.Ends(LoraTargets.Module(weight.Name), module) && LoraTargets.Layer(weight.Name) < model.Config.NumHiddenLayers)];
            if (weights.Length == 0)
                throw new UnsupportedModelException($"ModulesToSave names '{module}', which this {model.Config.ModelType} model does not have.");
            foreach (Parameter weight in weights)
                parts.AddSaved(LoraTargets.Module(weight.Name));
        }

        Initialize(model, options, parts);
        return new LoraAdapter(model.Config, LoraTargets.AsWritten(model, options, gateUp.Count > 0, down.Count > 0), parts);
    }

    /// <summary>Reads an adapter.</summary>
    /// <param name="model">The model it is for; it is not attached.</param>
    /// <param name="folder">Folder with <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</param>
    /// <exception cref="ModelFormatException">A file is missing or malformed, or a shape does not fit the model.</exception>
    /// <exception cref="UnsupportedModelException">It adapts what is not supported; the message names it.</exception>
    public static LoraAdapter Load(CausalLm model, string folder)
    {
        ArgumentNullException.ThrowIfNull(model);
        LoraOptions options = LoraConfigFile.Read(folder);
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, "adapter_model.safetensors"));
        var parts = new LoraParts(model, options);
        try
        {
            LoraTensorNames.Plan(file.Tensors, model, options, parts);
        }
        catch (UnsupportedModelException error)
        {
            throw new UnsupportedModelException($"The adapter in '{folder}' does not fit. {error.Message}");
        }

        var adapter = new LoraAdapter(model.Config, options, parts);
        adapter.Read(file, folder);
        return adapter;
    }

    /// <summary>Reads the numbers of an adapter of the same shape into this one.</summary>
    /// <param name="folder">Where <see cref="Save(string, string?)"/> wrote.</param>
    /// <exception cref="ModelFormatException">A tensor is missing or has another shape.</exception>
    public void Read(string folder)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, "adapter_model.safetensors"));
        Read(file, folder);
    }

    /// <summary>Lets the model compute with the adapter from now on, in every row that names no other. One adapter at a time; no forward pass may run meanwhile.</summary>
    /// <exception cref="InvalidOperationException">It is attached already, or another one is.</exception>
    public void Attach(CausalLm model) => Attach(model, 0);

    /// <summary>Lets rows of a batch that name this number compute with the adapter. No forward pass may run meanwhile.</summary>
    /// <exception cref="InvalidOperationException">It is attached already, or another one is under this number.</exception>
    internal void Attach(CausalLm model, int number)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (_model is not null)
            throw new InvalidOperationException("The adapter is attached already.");
        Dictionary<string, Parameter> weights = model.Parameters.ToDictionary(parameter => parameter.Name, StringComparer.Ordinal);
        if (weights.Values.Any(weight => weight.AdaptationOf(number) is not null))
            throw new InvalidOperationException("Another adapter is attached to the model; detach it first.");
        foreach ((string module, LowRankFactor factor) in _parts.Factors)
            weights[module + ".weight"].Adapt(number, new Adaptation(factor, null));
        foreach ((string module, Parameter weight) in _parts.Saved)
            weights[module + ".weight"].Adapt(number, new Adaptation(null, weight));
        (_model, _number) = (model, number);
    }

    /// <summary>Lets the model compute without the adapter again.</summary>
    public void Detach()
    {
        foreach (Parameter weight in _model?.Parameters ?? [])
        {
            if (weight.AdaptationOf(_number) is not null)
                weight.Adapt(_number, null);
        }

        _model = null;
    }

    /// <summary>
    /// Adds the products of the factors to the weights in fp32, <c>W += s B A</c>, scales rows to their magnitudes and puts whole modules in place. Quantised weights become fp32. The adapter
    /// is not attached afterwards.
    /// </summary>
    public void MergeInto(CausalLm model)
    {
        ArgumentNullException.ThrowIfNull(model);
        Detach();
        using var c = new Compute(1);
        Dictionary<string, Parameter> weights = model.Parameters.ToDictionary(parameter => parameter.Name, StringComparer.Ordinal);
        foreach ((string module, LowRankFactor factor) in _parts.Factors)
            factor.MergeInto(c, weights[module + ".weight"]);
        foreach ((string module, Parameter weight) in _parts.Saved)
        {
            Parameter target = weights[module + ".weight"];
            weight.Value!.CopyTo(target.EnsureValue());
            target.Touch();
        }
    }

    /// <summary>Writes the adapter, both files complete or not at all.</summary>
    /// <param name="folder">An existing folder.</param>
    /// <param name="baseModel">Name or path of the model it belongs to.</param>
    public void Save(string folder, string? baseModel = null) => Save(folder, baseModel, DType.F32);

    /// <summary>Writes the adapter in a type of floats: F32, BF16 or F16.</summary>
    internal void Save(string folder, string? baseModel, DType type)
    {
        LoraTensor[] tensors = [.. _parts.Tensors.OrderBy(tensor => tensor.Name, StringComparer.Ordinal)];
        using (SafetensorsWriter writer = SafetensorsWriter.Create(
            folder, [.. tensors.Select(tensor => new TensorInfo(tensor.Name, type, tensor.Shape))], metadata: new Dictionary<string, string> { ["format"] = "pt" }, name: "adapter_model"))
        {
            foreach (LoraTensor tensor in tensors)
            {
                writer.BeginTensor(tensor.Name);
                float[] values = tensor.Gather(parameter => parameter.Value);
                var bytes = new byte[type.ByteSize(values.Length)];
                Quantizer.FromFloat32(type, values, bytes);
                writer.Write(bytes);
            }

            writer.Complete();
        }

        using var file = new AtomicFile(Path.Combine(folder, "adapter_config.json"));
        using (var json = new Utf8JsonWriter(file.Stream, new JsonWriterOptions { Indented = true }))
            LoraConfigFile.Write(json, Options, baseModel);
        file.Commit();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Detach();
        foreach ((_, LowRankFactor factor) in _parts.Factors)
            factor.Dispose();
        foreach ((_, Parameter weight) in _parts.Saved)
            weight.Dispose();
    }

    private void Read(SafetensorsFile file, string folder)
    {
        foreach (LoraTensor tensor in _parts.Tensors)
        {
            TensorInfo info = file.Find(tensor.Name) ?? throw new ModelFormatException($"The adapter in '{folder}' has no '{tensor.Name}'; it may be incomplete.");
            if (!info.Shape.SequenceEqual(tensor.Shape))
                throw new ModelFormatException($"'{tensor.Name}' in '{folder}' has the shape [{string.Join(", ", info.Shape.ToArray())}]; the model wants [{string.Join(", ", tensor.Shape)}].");
            if (info.Type is not (DType.F32 or DType.BF16 or DType.F16))
                throw new UnsupportedModelException($"'{tensor.Name}' in '{folder}' is {info.Type}; factors must be F32, BF16 or F16.");
            var values = new float[info.Count];
            Dequantizer.ToFloat32(info.Type, file.View(tensor.Name).Bytes, values);
            tensor.Scatter(values);
        }
    }

    private static void Initialize(CausalLm model, LoraOptions options, LoraParts parts)
    {
        Dictionary<string, Parameter> weights = model.Parameters.ToDictionary(parameter => parameter.Name, StringComparer.Ordinal);
        using var c = new Compute(1);
        ulong number = 0;
        foreach (Parameter a in parts.Factors.Select(item => item.Factor.A).Distinct())
        {
            float bound = 1 / MathF.Sqrt(a.Shape[1]);
            ulong state = options.Seed + (number++ * 0x9E3779B97F4A7C15);
            foreach (ref float value in a.Value!.F32)
                value = ((Uniform(ref state) * 2) - 1) * bound;
            a.Touch();
        }

        foreach ((string module, LowRankFactor factor) in parts.Factors)
        {
            if (factor.Magnitude is not null)
                factor.InitializeMagnitude(c, weights[module + ".weight"]);
        }
    }

    // SplitMix64, Steele et al. 2014.
    private static float Uniform(ref ulong state)
    {
        ulong z = state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return ((z ^ (z >> 31)) >> 40) / (float)(1 << 24);
    }
}
