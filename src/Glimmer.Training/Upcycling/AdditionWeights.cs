using System.Text;
using System.Text.Json.Nodes;
using Glimmer.Formats;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Quantization;
using Glimmer.Tensors;
using Glimmer.Training.Checkpoints;

namespace Glimmer.Training.Upcycling;

/// <summary>The addition to a trunk that is trained: the folder that <see cref="Upcycler"/> began, without the trunk, so that a checkpoint is small.</summary>
/// <remarks>The folder is a model that every command loads. With all weights trained (full fine-tuning) it holds them all, and they take the place of the trunk's.</remarks>
public sealed class AdditionWeights : ITrainedWeights
{
    private static readonly string[] s_companions = [TokenizerAdditions.FileName, "chat_template.jinja", "generation_config.json"];
    private readonly CausalLm _model;
    private readonly Checkpoint _source;
    private readonly Parameter[] _parameters;
    private readonly Dictionary<string, byte[]> _lists = new(StringComparer.Ordinal);
    private readonly TensorInfo[] _listInfos;

    /// <summary>Takes the addition of a loaded model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="source">The checkpoint that it was loaded from; it must stay open.</param>
    /// <param name="whole">Whether the trunk's weights are trained too.</param>
    /// <exception cref="UnsupportedModelException">The checkpoint is no addition to a trunk.</exception>
    public AdditionWeights(CausalLm model, Checkpoint source, bool whole = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(source);
        if (source.Trunk is null)
            throw new UnsupportedModelException($"'{source.Path}' is no addition to a trunk. Make one with 'glimmer upcycle'.");
        (_model, _source) = (model, source);
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(source.Folder!, "model.safetensors"));
        _listInfos = [.. file.Tensors.Where(tensor => tensor.Type == DType.I32)];
        foreach (TensorInfo list in _listInfos)
            _lists[list.Name] = file.View(list.Name).Bytes.ToArray();
        _parameters = [.. model.Parameters.Where(parameter => whole || file.Find(parameter.Name) is not null)];
    }

    /// <summary>The weights of the addition, without the factors of its adapter.</summary>
    public IReadOnlyList<Parameter> Parameters => _parameters;

    /// <summary>
    /// Weakens what the addition does to the trunk's hidden states: factors and routed experts count for <paramref name="strength"/> of what was trained, the MTP layer stays. 0 is the trunk, 1 the trained
    /// model; between them much of what was learned stays while less of the trunk is lost.
    /// </summary>
    /// <param name="strength">0 to 1.</param>
    /// <remarks>Linear interpolation towards the model before training, as in Wortsman et al. 2022 (arXiv 2109.01903), but of products: the second factor and the down-projections are scaled.</remarks>
    public void Weaken(float strength)
    {
        if (!(strength is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(strength), strength, "The strength of an addition lies between 0 and 1.");
        string mtp = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"layers.{_model.Config.NumHiddenLayers}.");
        IEnumerable<Parameter> outputs = _parameters.Where(p => p.Name.Contains(".mlp.experts.", StringComparison.Ordinal) && p.Name.EndsWith("down_proj.weight", StringComparison.Ordinal))
            .Concat((_model.Adapter?.Parameters ?? []).Where(p => p.Name.Contains("lora_B", StringComparison.Ordinal)));
        foreach (Parameter parameter in outputs.Where(p => !p.Name.Contains(mtp, StringComparison.Ordinal)))
        {
            foreach (ref float value in parameter.EnsureValue().F32)
                value *= strength;
            parameter.Touch();
        }
    }

    /// <inheritdoc/>
    public void Write(string folder) => Write(folder, DType.F32);

    /// <summary>Writes the addition in another type: what is published.</summary>
    /// <param name="folder">Folder to write to; it is created.</param>
    /// <param name="type">F32 or BF16; routers stay in fp32.</param>
    public void Write(string folder, DType type)
    {
        Directory.CreateDirectory(folder);
        TensorInfo[] infos = [.. _parameters.Select(p => new TensorInfo(p.Name, p.Shape.Length == 2 && !p.Name.EndsWith("gate.weight", StringComparison.Ordinal) ? type : DType.F32, p.Shape)), .. _listInfos];
        using (SafetensorsWriter writer = SafetensorsWriter.Create(folder, infos, metadata: new Dictionary<string, string> { ["format"] = "pt" }))
        {
            for (int i = 0; i < infos.Length; i++)
            {
                writer.BeginTensor(infos[i].Name);
                writer.Write(i < _parameters.Length ? Stored(_parameters[i].EnsureValue(), infos[i].Type) : _lists[infos[i].Name]);
            }

            writer.Complete();
        }

        _model.Adapter?.Save(folder, _source.Trunk is { } trunk ? Path.GetFileName(trunk.Path) : null, type);
        foreach (string name in s_companions)
            AtomicFile.WriteAllBytes(Path.Combine(folder, name), File.ReadAllBytes(Path.Combine(_source.Folder!, name)));
        JsonObject config = JsonNode.Parse(_source.ConfigJson)!.AsObject();
        config["dtype"] = type == DType.BF16 ? "bfloat16" : "float32";
        AtomicFile.WriteAllBytes(Path.Combine(folder, "config.json"), Encoding.UTF8.GetBytes(config.ToJsonString(new System.Text.Json.JsonSerializerOptions { WriteIndented = true }) + "\n"));
    }

    /// <inheritdoc/>
    public void Read(string folder)
    {
        TensorFiles.Read(folder, _parameters.Select(p => KeyValuePair.Create(p.Name, p.EnsureValue())));
        IReadOnlyList<Parameter> factors = _model.Adapter?.Parameters ?? [];
        if (factors.Count > 0)
            TensorFiles.Read(folder, factors.Select(p => KeyValuePair.Create(p.Name, p.EnsureValue())), "adapter_model");
        foreach (Parameter parameter in _parameters.Concat(factors))
            parameter.Touch();
    }

    private static byte[] Stored(Tensor value, DType type)
    {
        var bytes = new byte[type.ByteSize(value.Count)];
        Quantizer.FromFloat32(type, value.F32, bytes);
        return bytes;
    }
}
