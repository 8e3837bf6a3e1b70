using System.Globalization;
using Glimmer.Formats;

namespace Glimmer.Training.Checkpoints;

/// <summary>The checkpoints of a run: folders <c>checkpoint-N</c>, N the steps taken.</summary>
/// <remarks>
/// A checkpoint is written under another name, every file flushed to disk, its manifest (sizes and SHA-256) last, and then renamed: a process that dies, or
/// a disk that is full, leaves the older ones as they are.
/// <see cref="Latest"/> takes the newest whose manifest holds.
/// </remarks>
public sealed class CheckpointFolder
{
    private const string Prefix = "checkpoint-";
    private const string Partial = ".partial";

    private readonly string _folder;
    private readonly ITrainedWeights _weights;
    private readonly int _keep;

    /// <summary>Opens (or creates) the folder of a run.</summary>
    /// <param name="folder">Folder of the run.</param>
    /// <param name="weights">What is trained.</param>
    /// <param name="keep">Checkpoints that stay when a new one is complete.</param>
    public CheckpointFolder(string folder, ITrainedWeights weights, int keep = 2)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(keep, 1);
        (_folder, _weights, _keep) = (folder, weights, keep);
        Directory.CreateDirectory(folder);
    }

    /// <summary>The newest complete checkpoint, or null when there is none.</summary>
    public TrainingCheckpoint? Latest => Newest().Where(CheckpointManifest.Holds).Select(TrainingCheckpoint.Read).FirstOrDefault();

    /// <summary>Puts a stored state into a trainer of the same model: weights, optimizer, counters.</summary>
    /// <exception cref="ModelFormatException">A tensor is missing or has another size: the checkpoint belongs to another model or optimizer.</exception>
    public void Restore(TrainingCheckpoint checkpoint, Trainer trainer) => checkpoint.Restore(trainer, _weights);

    /// <summary>Stores the state between two steps, then removes all but the newest checkpoints.</summary>
    /// <param name="trainer">The trainer.</param>
    /// <param name="dataState">Where the next batch starts in the data, as JSON: what the source of the batches needs to go on.</param>
    /// <returns>The checkpoint's folder.</returns>
    /// <exception cref="IOException">The disk is full or cannot be written. Nothing is left behind, older checkpoints are intact.</exception>
    public string Save(Trainer trainer, string dataState)
    {
        foreach (string dead in Directory.EnumerateDirectories(_folder, $"{Prefix}*{Partial}"))
            Directory.Delete(dead, recursive: true);
        string target = Path.Combine(_folder, string.Create(CultureInfo.InvariantCulture, $"{Prefix}{trainer.Steps}")), partial = $"{target}.{Guid.NewGuid():N}{Partial}";
        try
        {
            Directory.CreateDirectory(Path.Combine(partial, "optimizer"));
            _weights.Write(partial);
            TensorFiles.Write(Path.Combine(partial, "optimizer"), trainer.Optimizer.State);
            TrainingCheckpoint.Write(partial, trainer, dataState);
            CheckpointManifest.Write(partial);
            if (Directory.Exists(target))
                Directory.Delete(target, recursive: true);
            Directory.Move(partial, target);
        }
        catch
        {
            if (Directory.Exists(partial))
                Directory.Delete(partial, recursive: true);
            throw;
        }

        foreach (string old in Newest().Skip(_keep))
            Directory.Delete(old, recursive: true);
        return target;
    }

    private IEnumerable<string> Newest() =>
        from path in Directory.EnumerateDirectories(_folder, Prefix + "*")
        let number = Path.GetFileName(path)[Prefix.Length..]
        where long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out _)
        orderby long.Parse(number, CultureInfo.InvariantCulture) descending
        select path;
}
