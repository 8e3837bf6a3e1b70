using System.Text;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Training.Checkpoints;

/// <summary>A model that is trained as a whole: a Hugging Face checkpoint in fp32, or in bf16 with the fp32 weights in <c>optimizer/master.safetensors</c>.</summary>
/// <param name="model">The model.</param>
/// <param name="configJson">Its configuration with Hugging Face keys.</param>
/// <param name="companions">Folder whose tokenizer, template and generation settings are copied beside the weights; null for none.</param>
/// <param name="storage">How the checkpoint stores weights. In bf16 all but the balance biases are rounded to nearest even, as published checkpoints are; training goes on from the fp32 ones.</param>
public sealed class ModelWeights(CausalLm model, string configJson, string? companions, WeightStorage storage = WeightStorage.Float32) : ITrainedWeights
{
    private const string Masters = "master";

    private IReadOnlyDictionary<string, Tensor> _elsewhere = new Dictionary<string, Tensor>();

    /// <summary>A model that was loaded from a checkpoint.</summary>
    public ModelWeights(CausalLm model, Checkpoint source, WeightStorage storage = WeightStorage.Float32) : this(model, source.ConfigJson, source.Folder, storage)
    {
    }

    /// <inheritdoc/>
    public void Write(string folder) => Write(folder, Tensors());

    /// <inheritdoc/>
    void ITrainedWeights.Collect(Trainer trainer, StagedTensors staging) => _elsewhere = trainer.ExpertsElsewhere(staging);

    /// <inheritdoc/>
    public Action<string> Stage(StagedTensors staging)
    {
        IReadOnlyList<KeyValuePair<string, Tensor>> copy = staging.Copy(Tensors());
        return folder => Write(folder, copy);
    }

    /// <inheritdoc/>
    public void Read(string folder)
    {
        Parameter[] here = [.. model.Parameters.Where(parameter => !parameter.IsElsewhere)];
        (string from, string name) = HasMasters(folder) ? (Path.Combine(folder, "optimizer"), Masters) : (folder, "model");
        TensorFiles.Read(from, here.Select(p => KeyValuePair.Create(p.Name, p.EnsureValue())), name);
        foreach (Parameter parameter in here)
            parameter.Touch();
    }

    /// <summary>Whether a checkpoint in bf16 has the fp32 weights that training goes on from.</summary>
    internal static bool HasMasters(string checkpoint) => File.Exists(Path.Combine(checkpoint, "optimizer", Masters + ".safetensors"));

    private IEnumerable<KeyValuePair<string, Tensor>> Tensors() => model.Parameters.Select(p => KeyValuePair.Create(p.Name, p.IsElsewhere ? _elsewhere[p.Name] : p.EnsureValue()));

    private void Write(string folder, IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        if (storage == WeightStorage.Bfloat16)
        {
            KeyValuePair<string, Tensor>[] all = [.. tensors];
            TensorFiles.Write(Directory.CreateDirectory(Path.Combine(folder, "optimizer")).FullName, all, Masters, maxShardBytes: long.MaxValue); // one file, which the optimizer's state beside it is not mistaken for
            TensorFiles.Write(folder, all, typeOf: name => name.EndsWith(".e_score_correction_bias", StringComparison.Ordinal) ? DType.F32 : DType.BF16);
        }
        else
        {
            TensorFiles.Write(folder, tensors);
        }

        AtomicFile.WriteAllBytes(Path.Combine(folder, "config.json"), Encoding.UTF8.GetBytes(ModelInitializer.WithType(configJson, storage == WeightStorage.Bfloat16 ? "bfloat16" : "float32")));
        if (companions is not null)
            CheckpointConverter.CopyCompanions(companions, folder);
    }
}

/// <summary>How a checkpoint stores weights that are trained in fp32.</summary>
public enum WeightStorage
{
    /// <summary>As they are.</summary>
    Float32,

    /// <summary>Rounded to bf16, with the fp32 weights beside the optimizer's state.</summary>
    Bfloat16,
}
