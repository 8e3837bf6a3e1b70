using Glimmer.Models;

namespace Glimmer.Training.Checkpoints;

/// <summary>An adapter that is trained: PEFT's two files.</summary>
/// <param name="adapter">The adapter.</param>
/// <param name="baseModel">Name or path of the model that it belongs to.</param>
public sealed class AdapterWeights(LoraAdapter adapter, string? baseModel) : ITrainedWeights
{
    /// <inheritdoc/>
    public void Write(string folder) => adapter.Save(folder, baseModel);

    /// <inheritdoc/>
    public void Read(string folder) => adapter.Read(folder);
}
