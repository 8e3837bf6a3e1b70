using System.Text;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Training.Checkpoints;

/// <summary>A model that is trained as a whole: a Hugging Face checkpoint in fp32.</summary>
/// <param name="model">The model.</param>
/// <param name="configJson">Its configuration with Hugging Face keys.</param>
/// <param name="companions">Folder whose tokenizer, template and generation settings are copied beside the weights; null for none.</param>
public sealed class ModelWeights(CausalLm model, string configJson, string? companions) : ITrainedWeights
{
    private IReadOnlyDictionary<string, Tensor> _elsewhere = new Dictionary<string, Tensor>();

    /// <summary>A model that was loaded from a checkpoint.</summary>
    public ModelWeights(CausalLm model, Checkpoint source) : this(model, source.ConfigJson, source.Folder)
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
        TensorFiles.Read(folder, here.Select(p => KeyValuePair.Create(p.Name, p.EnsureValue())));
        foreach (Parameter parameter in here)
            parameter.Touch();
    }

    private IEnumerable<KeyValuePair<string, Tensor>> Tensors() => model.Parameters.Select(p => KeyValuePair.Create(p.Name, p.IsElsewhere ? _elsewhere[p.Name] : p.EnsureValue()));

    private void Write(string folder, IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        TensorFiles.Write(folder, tensors);
        AtomicFile.WriteAllBytes(Path.Combine(folder, "config.json"), Encoding.UTF8.GetBytes(ModelInitializer.WithFloat32(configJson)));
        if (companions is not null)
            CheckpointConverter.CopyCompanions(companions, folder);
    }
}
