using System.Globalization;
using System.Text;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Batching;

namespace Glimmer.Training.Checkpoints;

/// <summary>The checkpoints of a run: folders <c>checkpoint-N</c>, N the steps taken.</summary>
/// <remarks>
/// A checkpoint is written under another name, every file flushed to disk, its manifest (sizes and SHA-256) last, and then renamed: a process that dies, or a disk that is full, leaves the older ones as they are.
/// <see cref="Latest"/> takes the newest whose manifest holds.
/// </remarks>
public sealed class CheckpointFolder
{
    private const string Prefix = "checkpoint-";
    private const string Partial = ".partial";

    private readonly string _folder;
    private readonly string _configJson;
    private readonly string? _companions;
    private readonly int _keep;

    /// <summary>Opens (or creates) the folder of a run.</summary>
    /// <param name="folder">Folder of the run.</param>
    /// <param name="source">Checkpoint that training started from: its configuration, tokenizer and template are stored with the weights.</param>
    /// <param name="keep">Checkpoints that stay when a new one is complete.</param>
    public CheckpointFolder(string folder, Checkpoint source, int keep = 2)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(keep, 1);
        (_folder, _configJson, _companions, _keep) = (folder, ModelInitializer.WithFloat32(source.ConfigJson), source.Folder, keep);
        Directory.CreateDirectory(folder);
    }

    /// <summary>The newest complete checkpoint, or null when there is none.</summary>
    public TrainingCheckpoint? Latest => Newest().Where(CheckpointManifest.Holds).Select(TrainingCheckpoint.Read).FirstOrDefault();

    /// <summary>Stores the state between two steps, then removes all but the newest checkpoints.</summary>
    /// <param name="trainer">The trainer.</param>
    /// <param name="cursor">Where the next batch starts in the data.</param>
    /// <returns>The checkpoint's folder.</returns>
    /// <exception cref="IOException">The disk is full or cannot be written. Nothing is left behind, older checkpoints are intact.</exception>
    public string Save(Trainer trainer, DocumentCursor cursor)
    {
        foreach (string dead in Directory.EnumerateDirectories(_folder, $"{Prefix}*{Partial}"))
            Directory.Delete(dead, recursive: true);
        string target = Path.Combine(_folder, string.Create(CultureInfo.InvariantCulture, $"{Prefix}{trainer.Steps}")), partial = $"{target}.{Guid.NewGuid():N}{Partial}";
        try
        {
            Directory.CreateDirectory(Path.Combine(partial, "optimizer"));
            WriteTensors(partial, trainer.Model.Parameters.Select(p => KeyValuePair.Create(p.Name, p.EnsureValue())));
            WriteTensors(Path.Combine(partial, "optimizer"), trainer.Optimizer.State);
            AtomicFile.WriteAllBytes(Path.Combine(partial, "config.json"), Encoding.UTF8.GetBytes(_configJson));
            if (_companions is not null)
                CheckpointConverter.CopyCompanions(_companions, partial);
            TrainingCheckpoint.Write(partial, trainer, cursor);
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

    private static void WriteTensors(string folder, IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        KeyValuePair<string, Tensor>[] list = [.. tensors];
        using var writer = SafetensorsWriter.Create(
            folder, [.. list.Select(t => new TensorInfo(t.Key, DType.F32, t.Value.Shape))], metadata: new Dictionary<string, string> { ["format"] = "pt" });
        foreach ((string name, Tensor value) in list)
        {
            writer.BeginTensor(name);
            writer.Write(value.Bytes);
        }

        writer.Complete();
    }

    private IEnumerable<string> Newest() =>
        from path in Directory.EnumerateDirectories(_folder, Prefix + "*")
        let number = Path.GetFileName(path)[Prefix.Length..]
        where long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out _)
        orderby long.Parse(number, CultureInfo.InvariantCulture) descending
        select path;
}
