using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>Low-rank additions to linear layers of a model (LoRA), in the layout of PEFT: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</summary>
/// <remarks>
/// Attention projections, the dense feed-forward and the shared expert of <c>glm4_moe</c> and <c>llama</c> models. Adapters of routed experts, routers, embeddings and the projections of
/// multi-head latent attention, DoRA, and modules saved whole are refused by name. The base model may be of any type, also quantised.
/// </remarks>
public sealed class LoraAdapter : IDisposable
{
    private const string KeyPrefix = "base_model.model.";
    private static readonly string[] s_refused = ["use_dora", "lora_bias", "use_qalora", "fan_in_fan_out"];
    private readonly List<(string Module, LowRankFactor Factor)> _factors;
    private CausalLm? _model;
    private int _number;

    private LoraAdapter(LoraOptions options, List<(string Module, LowRankFactor Factor)> factors) => (Options, _factors) = (options, factors);

    /// <summary>Rank, scale and targets.</summary>
    public LoraOptions Options { get; }

    /// <summary>The factors in the order of the model: A and B of each layer. Their names are the keys of PEFT.</summary>
    public IReadOnlyList<Parameter> Parameters => [.. _factors.SelectMany(item => new[] { item.Factor.A, item.Factor.B })];

    /// <summary>Makes a new adapter: A uniform within <c>1 / sqrt(inputs)</c>, B zero, so that the model stays as it is at first.</summary>
    /// <param name="model">The model it is for; it is not attached.</param>
    /// <param name="options">What it looks like.</param>
    /// <exception cref="UnsupportedModelException">A target names no linear layer of the model that can be adapted.</exception>
    public static LoraAdapter Create(CausalLm model, LoraOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        var factors = new List<(string, LowRankFactor)>();
        foreach (Parameter weight in model.Parameters)
        {
            string module = Module(weight.Name);
            if (!options.TargetModules.Contains(module[(module.LastIndexOf('.') + 1)..], StringComparer.Ordinal) || !CanAdapt(model, weight))
                continue;
            Tensor a = Tensor.Allocate(DType.F32, [options.Rank, weight.Shape[1]]), b = Tensor.Allocate(DType.F32, [weight.Shape[0], options.Rank]);
            float bound = 1 / MathF.Sqrt(weight.Shape[1]);
            ulong state = options.Seed + ((ulong)factors.Count * 0x9E3779B97F4A7C15);
            foreach (ref float value in a.F32)
                value = ((Uniform(ref state) * 2) - 1) * bound;
            b.F32.Clear();
            factors.Add((module, new LowRankFactor(new Parameter(Key(module, 'A'), a), new Parameter(Key(module, 'B'), b), options.Scale)));
        }

        foreach (string target in options.TargetModules)
        {
            if (factors.All(item => item.Item1[(item.Item1.LastIndexOf('.') + 1)..] != target))
                throw new UnsupportedModelException($"The target module '{target}' names no linear layer of this {model.Config.ModelType} model that can be adapted.");
        }

        return new LoraAdapter(options, factors);
    }

    /// <summary>Reads an adapter.</summary>
    /// <param name="model">The model it is for; it is not attached.</param>
    /// <param name="folder">Folder with <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</param>
    /// <exception cref="ModelFormatException">A file is missing or malformed, or a shape does not fit the model.</exception>
    /// <exception cref="UnsupportedModelException">It adapts what is not supported; the message names it.</exception>
    public static LoraAdapter Load(CausalLm model, string folder)
    {
        ArgumentNullException.ThrowIfNull(model);
        string configPath = Path.Combine(folder, "adapter_config.json");
        if (!File.Exists(configPath))
            throw new ModelFormatException($"'{folder}' has no adapter_config.json; it is no adapter in the layout of PEFT.");
        using JsonDocument config = JsonDocument.Parse(File.ReadAllText(configPath));
        LoraOptions options = Read(config.RootElement, folder);
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, "adapter_model.safetensors"));
        var pairs = new SortedDictionary<string, (string? A, string? B)>(StringComparer.Ordinal);
        foreach (TensorInfo tensor in file.Tensors)
        {
            (string module, char side) = Split(tensor.Name, folder);
            (string? a, string? b) = pairs.GetValueOrDefault(module);
            pairs[module] = side == 'A' ? (tensor.Name, b) : (a, tensor.Name);
        }

        Dictionary<string, Parameter> weights = model.Parameters.ToDictionary(parameter => parameter.Name, StringComparer.Ordinal);
        var factors = new List<(string, LowRankFactor)>();
        foreach ((string module, (string? a, string? b)) in pairs)
        {
            if (a is null || b is null)
                throw new ModelFormatException($"The adapter in '{folder}' has only one of the two factors of '{module}'.");
            if (!weights.TryGetValue(module + ".weight", out Parameter? weight) || !CanAdapt(model, weight))
                throw new UnsupportedModelException($"The adapter in '{folder}' is for '{module}', which is no linear layer of this {model.Config.ModelType} model that can be adapted.");
            Parameter left = Copy(file, a), right = Copy(file, b);
            if (left.Shape.Length != 2 || right.Shape.Length != 2 || left.Shape[1] != weight.Shape[1] || right.Shape[0] != weight.Shape[0] || left.Shape[0] != right.Shape[1])
                throw new ModelFormatException($"The factors of '{module}' in '{folder}' are {left} and {right}; they do not fit {weight}.");
            factors.Add((module, new LowRankFactor(left, right, Scale(config.RootElement, options, module, left.Shape[0]))));
        }

        return new LoraAdapter(options, factors);
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
        if (_factors.Exists(item => weights[item.Module + ".weight"].AdaptationOf(number) is not null))
            throw new InvalidOperationException("Another adapter is attached to the model; detach it first.");
        foreach ((string module, LowRankFactor factor) in _factors)
            weights[module + ".weight"].Adapt(number, new Adaptation(factor, null));
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

    /// <summary>Adds the products of the factors to the weights in fp32: <c>W += s B A</c>. Quantised weights become fp32. The adapter is not attached afterwards.</summary>
    public void MergeInto(CausalLm model)
    {
        ArgumentNullException.ThrowIfNull(model);
        Detach();
        Dictionary<string, Parameter> weights = model.Parameters.ToDictionary(parameter => parameter.Name, StringComparer.Ordinal);
        foreach ((string module, LowRankFactor factor) in _factors)
        {
            Parameter weight = weights[module + ".weight"];
            Span<float> w = weight.EnsureValue().F32;
            ReadOnlySpan<float> a = factor.A.Value!.F32, b = factor.B.Value!.F32;
            (int rank, int inputs) = (factor.A.Shape[0], weight.Shape[1]);
            for (int o = 0; o < weight.Shape[0]; o++)
            {
                for (int k = 0; k < inputs; k++)
                {
                    float sum = 0;
                    for (int r = 0; r < rank; r++)
                        sum = MathF.FusedMultiplyAdd(b[(o * rank) + r], a[(r * inputs) + k], sum);
                    w[(o * inputs) + k] = MathF.FusedMultiplyAdd(sum, factor.Scale, w[(o * inputs) + k]);
                }
            }

            weight.Touch();
        }
    }

    /// <summary>Writes the adapter, both files complete or not at all.</summary>
    /// <param name="folder">An existing folder.</param>
    /// <param name="baseModel">Name or path of the model it belongs to.</param>
    public void Save(string folder, string? baseModel = null) => Save(folder, baseModel, DType.F32);

    /// <summary>Writes the adapter in a type of floats: F32, BF16 or F16.</summary>
    internal void Save(string folder, string? baseModel, DType type)
    {
        Parameter[] parameters = [.. Parameters.OrderBy(parameter => parameter.Name, StringComparer.Ordinal)];
        using (SafetensorsWriter writer = SafetensorsWriter.Create(
            folder, [.. parameters.Select(parameter => new TensorInfo(parameter.Name, type, parameter.Shape))], metadata: new Dictionary<string, string> { ["format"] = "pt" }, name: "adapter_model"))
        {
            foreach (Parameter parameter in parameters)
            {
                writer.BeginTensor(parameter.Name);
                ReadOnlySpan<float> values = parameter.Value!.F32;
                var bytes = new byte[type.ByteSize(values.Length)];
                Quantization.Quantizer.FromFloat32(type, values, bytes);
                writer.Write(bytes);
            }

            writer.Complete();
        }

        using var file = new AtomicFile(Path.Combine(folder, "adapter_config.json"));
        using (var json = new Utf8JsonWriter(file.Stream, new JsonWriterOptions { Indented = true }))
            Write(json, baseModel);
        file.Commit();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Detach();
        foreach ((_, LowRankFactor factor) in _factors)
            factor.Dispose();
    }

    private void Write(Utf8JsonWriter json, string? baseModel)
    {
        json.WriteStartObject();
        json.WriteString("peft_type", "LORA");
        json.WriteString("task_type", "CAUSAL_LM");
        json.WriteString("base_model_name_or_path", baseModel);
        json.WriteNumber("r", Options.Rank);
        json.WriteNumber("lora_alpha", Options.Alpha);
        json.WriteNumber("lora_dropout", 0.0);
        json.WriteStartArray("target_modules");
        foreach (string target in Options.TargetModules.Order(StringComparer.Ordinal))
            json.WriteStringValue(target);
        json.WriteEndArray();
        json.WriteString("bias", "none");
        json.WriteBoolean("use_rslora", Options.UseRsLora);
        json.WriteBoolean("use_dora", false);
        json.WriteBoolean("fan_in_fan_out", false);
        json.WriteBoolean("init_lora_weights", true);
        json.WriteBoolean("inference_mode", true);
        json.WriteNull("modules_to_save");
        json.WriteStartObject("rank_pattern");
        json.WriteEndObject();
        json.WriteStartObject("alpha_pattern");
        json.WriteEndObject();
        json.WriteNull("layers_to_transform");
        json.WriteEndObject();
    }

    private static LoraOptions Read(JsonElement config, string folder)
    {
        if (Text(config, "peft_type") is { } type && type != "LORA")
            throw new UnsupportedModelException($"The adapter in '{folder}' is of the type '{type}'; only LORA is supported.");
        foreach (string flag in s_refused)
        {
            if (config.TryGetProperty(flag, out JsonElement value) && value.ValueKind == JsonValueKind.True)
                throw new UnsupportedModelException($"The adapter in '{folder}' sets '{flag}', which is not supported.");
        }

        foreach (string list in (ReadOnlySpan<string>)["modules_to_save", "target_parameters"])
        {
            if (config.TryGetProperty(list, out JsonElement value) && value.ValueKind == JsonValueKind.Array && value.GetArrayLength() > 0)
                throw new UnsupportedModelException($"The adapter in '{folder}' has '{list}' ({value[0]}, ...), which is not supported.");
        }

        if (!config.TryGetProperty("r", out JsonElement r) || !r.TryGetInt32(out int rank))
            throw new ModelFormatException($"'{folder}/adapter_config.json' has no rank 'r'.");
        float alpha = config.TryGetProperty("lora_alpha", out JsonElement given) ? given.GetSingle() : 8;
        bool isRooted = config.TryGetProperty("use_rslora", out JsonElement rooted) && rooted.ValueKind == JsonValueKind.True;
        string[] targets = config.TryGetProperty("target_modules", out JsonElement modules) switch
        {
            true when modules.ValueKind == JsonValueKind.Array => [.. modules.EnumerateArray().Select(item => item.GetString()!)],
            true when modules.ValueKind == JsonValueKind.String => [modules.GetString()!],
            _ => [],
        };
        return new LoraOptions { Rank = rank, Alpha = alpha, UseRsLora = isRooted, TargetModules = targets };
    }

    // Patterns give layers a rank and an alpha of their own, by the end of their name or a regular expression for it.
    private static float Scale(JsonElement config, LoraOptions options, string module, int rank)
    {
        float alpha = options.Alpha;
        if (config.TryGetProperty("alpha_pattern", out JsonElement patterns) && patterns.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty pattern in patterns.EnumerateObject())
            {
                if (System.Text.RegularExpressions.Regex.IsMatch(module, $@"(.*\.)?({pattern.Name})$", System.Text.RegularExpressions.RegexOptions.NonBacktracking))
                {
                    alpha = pattern.Value.GetSingle();
                    break;
                }
            }
        }

        return options.UseRsLora ? alpha / MathF.Sqrt(rank) : alpha / rank;
    }

    private static (string Module, char Side) Split(string key, string folder)
    {
        foreach (char side in "AB")
        {
            string end = $".lora_{side}.weight";
            if (key.StartsWith(KeyPrefix, StringComparison.Ordinal) && key.EndsWith(end, StringComparison.Ordinal))
                return (key[KeyPrefix.Length..^end.Length], side);
        }

        throw new UnsupportedModelException($"The adapter in '{folder}' contains '{key}', which is no factor of a linear layer.");
    }

    private static string? Text(JsonElement config, string name) => config.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static string Module(string weight) => weight.EndsWith(".weight", StringComparison.Ordinal) ? weight[..^".weight".Length] : weight;

    private static string Key(string module, char side) => string.Create(CultureInfo.InvariantCulture, $"{KeyPrefix}{module}.lora_{side}.weight");

    // Layers that run through the plain linear operation.
    private static bool CanAdapt(CausalLm model, Parameter weight) =>
        weight.Shape.Length == 2 && model is not (GlmMoeDsa or Glm4MoeLite) && weight.Name.EndsWith("_proj.weight", StringComparison.Ordinal)
        && !weight.Name.Contains(".experts.", StringComparison.Ordinal) && !weight.Name.Contains("eh_proj", StringComparison.Ordinal);

    private static Parameter Copy(SafetensorsFile file, string name)
    {
        TensorInfo info = file.Find(name)!;
        if (info.Type is not (DType.F32 or DType.BF16 or DType.F16))
            throw new UnsupportedModelException($"The adapter's '{name}' is {info.Type}; F32, BF16 and F16 adapters are supported.");
        Tensor value = Tensor.Allocate(DType.F32, info.Shape);
        Quantization.Dequantizer.ToFloat32(info.Type, file.View(name).Bytes, value.F32);
        return new Parameter(name, value);
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
