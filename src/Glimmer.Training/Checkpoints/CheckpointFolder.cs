using System.Globalization;
using Glimmer.Formats;

namespace Glimmer.Training.Checkpoints;

/// <summary>The checkpoints of a run: folders <c>checkpoint-N</c>, N the steps taken.</summary>
/// <remarks>
/// A checkpoint is written under another name, every file flushed to disk, its manifest (sizes and SHA-256) last, and then renamed: a process that dies, or
/// a disk that is full, leaves the older ones as they are.
/// <see cref="Latest"/> takes the newest whose manifest holds. Training can go on while one is written: see <see cref="CheckpointKeeper"/>.
/// </remarks>
public sealed class CheckpointFolder
{
    private const string Prefix = "checkpoint-";
    private const string Partial = ".partial";

    private readonly string _folder;
    private readonly ITrainedWeights _weights;
    private readonly int _keep;
    private readonly BestMetric _best;
    private readonly HashSet<string> _damaged = [];

    /// <summary>Opens (or creates) the folder of a run.</summary>
    /// <param name="folder">Folder of the run.</param>
    /// <param name="weights">What is trained.</param>
    /// <param name="keep">Checkpoints that stay when a new one is complete: the newest, among them the best one, which stays even when it is older than they are.</param>
    /// <param name="best">Which metric is the best; the best checkpoint stays when metrics are given to <see cref="Save"/>.</param>
    public CheckpointFolder(string folder, ITrainedWeights weights, int keep = 2, BestMetric best = BestMetric.Lowest)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(keep, 1);
        (_folder, _weights, _keep, _best) = (folder, weights, keep, best);
        Directory.CreateDirectory(folder);
    }

    /// <summary>The newest complete checkpoint, or null when there is none.</summary>
    public TrainingCheckpoint? Latest => Find(out _);

    /// <summary>The complete checkpoint with the best metric (the older of equals), or null when none has one.</summary>
    public TrainingCheckpoint? Best => BestFolder(Newest(_folder).Where(IsComplete), _best) is { } best && CheckpointManifest.Problem(best) is null ? TrainingCheckpoint.Read(best) : null;

    /// <summary>Finds the newest checkpoint from which training can go on.</summary>
    /// <param name="passedOver">Newer ones that are unfinished or damaged, one sentence each: which, and what is wrong.</param>
    /// <returns>The checkpoint, or null when none is complete.</returns>
    public TrainingCheckpoint? Find(out IReadOnlyList<string> passedOver) => Find(_folder, out passedOver, _damaged);

    /// <summary>Finds the newest checkpoint of a run that nobody trains at the moment.</summary>
    /// <param name="folder">Folder of the run.</param>
    /// <param name="passedOver">Newer ones that are unfinished or damaged, one sentence each.</param>
    public static TrainingCheckpoint? Find(string folder, out IReadOnlyList<string> passedOver) => Find(folder, out passedOver, []);

    private static TrainingCheckpoint? Find(string folder, out IReadOnlyList<string> passedOver, HashSet<string> damaged)
    {
        List<string> problems = [.. Unfinished(folder).Select(path => $"'{Path.GetFileName(path)}' was not finished: the process ended while it was written.")];
        passedOver = problems;
        foreach (string path in Newest(folder))
        {
            if (CheckpointManifest.Problem(path) is not { } problem)
                return TrainingCheckpoint.Read(path);
            problems.Add($"'{Path.GetFileName(path)}' is damaged: {problem}");
            damaged.Add(path);
        }

        return null;
    }

    /// <summary>The checkpoints of a run, the oldest first, by what their states say; the content of their files is not checked.</summary>
    /// <param name="folder">Folder of the run.</param>
    public static IReadOnlyList<TrainingCheckpoint> List(string folder) =>
        [.. Newest(folder).Reverse().Where(path => File.Exists(Path.Combine(path, CheckpointManifest.FileName))).Select(TrainingCheckpoint.Read)];

    /// <summary>Puts a stored state into a trainer of the same model: weights, optimizer, counters.</summary>
    /// <exception cref="ModelFormatException">A tensor is missing or has another size: the checkpoint belongs to another model or optimizer.</exception>
    public void Restore(TrainingCheckpoint checkpoint, Trainer trainer) => checkpoint.Restore(trainer, _weights);

    /// <summary>Stores the state between two steps, then removes all but the newest checkpoints and the best. With several ranks all of them call; the root writes.</summary>
    /// <param name="trainer">The trainer.</param>
    /// <param name="dataState">Where the next batch starts in the data, as JSON: what the source of the batches needs to go on.</param>
    /// <param name="metric">How good the model is at this step, when that was measured.</param>
    /// <returns>The checkpoint's folder.</returns>
    /// <exception cref="IOException">The disk is full or cannot be written. Nothing is left behind, older checkpoints are intact; the message names the last one.</exception>
    public string Save(Trainer trainer, string dataState, double? metric = null)
    {
        using var staging = new StagedTensors();
        IReadOnlyList<KeyValuePair<string, Tensors.Tensor>> state = trainer.OptimizerState(staging, copy: false);
        _weights.Collect(trainer, staging);
        trainer.Ranks.OnRoot(() => Write(TrainerCounters.Of(trainer), dataState, metric, _weights.Write, state));
        return PathOf(trainer.Steps);
    }

    /// <summary>Copies the state between two steps. With several ranks all of them call.</summary>
    /// <returns>What writes the copy, from any thread, and returns the checkpoint's folder. Weights that cannot be copied are in a file by then. Null on all ranks but the root.</returns>
    /// <exception cref="IOException">As for <see cref="Save"/>.</exception>
    internal Func<string>? Stage(Trainer trainer, string dataState, double? metric, StagedTensors staging)
    {
        IReadOnlyList<KeyValuePair<string, Tensors.Tensor>> state = trainer.OptimizerState(staging, copy: true);
        _weights.Collect(trainer, staging);
        return trainer.Ranks.Together(() => trainer.Ranks.IsRoot ? StageWeights(TrainerCounters.Of(trainer), dataState, metric, state, staging) : null);
    }

    private Func<string> StageWeights(TrainerCounters counters, string dataState, double? metric, IReadOnlyList<KeyValuePair<string, Tensors.Tensor>> state, StagedTensors staging)
    {
        if (_weights.Stage(staging) is { } write)
            return () => Write(counters, dataState, metric, write, state);
        string early = Guarded(counters.Steps, () =>
        {
            string folder = NewPartial(counters.Steps);
            _weights.Write(folder);
            return folder;
        });
        return () => Write(counters, dataState, metric, _ => { }, state, early);
    }

    private string Write(
        TrainerCounters counters, string dataState, double? metric, Action<string> weights, IEnumerable<KeyValuePair<string, Tensors.Tensor>> optimizer, string? started = null) => Guarded(counters.Steps, () =>
    {
        string partial = started ?? NewPartial(counters.Steps), target = PathOf(counters.Steps);
        weights(partial);
        Directory.CreateDirectory(Path.Combine(partial, "optimizer"));
        TensorFiles.Write(Path.Combine(partial, "optimizer"), optimizer);
        TrainingCheckpoint.Write(partial, counters, dataState, metric);
        CheckpointManifest.Write(partial);
        DirectoryEntries.Flush(Path.Combine(partial, "optimizer"));
        DirectoryEntries.Flush(partial);
        string replaced = $"{target}.{Guid.NewGuid():N}{Partial}";
        if (Directory.Exists(target))
            Directory.Move(target, replaced);
        Directory.Move(partial, target);
        DirectoryEntries.Flush(_folder);
        if (Directory.Exists(replaced))
            Directory.Delete(replaced, recursive: true);
        _damaged.Remove(target);
        RemoveOld(target);
        return target;
    });

    // Removes what an interrupted save left, and starts a new folder.
    private string NewPartial(long steps)
    {
        RemovePartial();
        string partial = Path.Combine(_folder, $"{NameOf(steps)}.{Guid.NewGuid():N}{Partial}");
        Directory.CreateDirectory(partial);
        return partial;
    }

    // What goes wrong with the disk leaves nothing behind and says where the run stands.
    private string Guarded(long steps, Func<string> save)
    {
        try
        {
            return save();
        }
        catch (Exception e)
        {
            RemovePartial();
            if (e is not (IOException or UnauthorizedAccessException))
                throw;
            string last = Find(_folder, out _) is { } checkpoint ? $"The last complete one is '{Path.GetFileName(checkpoint.Folder)}', untouched: the run can go on from there." : "There is no earlier one.";
            throw new IOException($"{NameOf(steps)} cannot be written to '{_folder}' ({FreeSpace()} free there): {e.Message} {last} Make room or write elsewhere.", e);
        }
    }

    private string FreeSpace()
    {
        try
        {
            return string.Create(CultureInfo.InvariantCulture, $"{new DriveInfo(Path.GetFullPath(_folder)).AvailableFreeSpace / 1048576.0:0.0} MiB");
        }
        catch (Exception e) when (e is IOException or ArgumentException or UnauthorizedAccessException)
        {
            return "unknown space";
        }
    }

    private void RemovePartial()
    {
        foreach (string dead in Unfinished(_folder).ToArray())
            Directory.Delete(dead, recursive: true);
    }

    // A damaged checkpoint takes no place, and goes when it is older than those that stay.
    private void RemoveOld(string saved)
    {
        string[] complete = [.. Newest(_folder).Where(IsComplete)];
        string? best = BestFolder(complete, _best);
        // The best takes one of the places, but never that of the newest.
        int others = best is null || complete.Take(_keep).Contains(best) ? _keep : Math.Max(1, _keep - 1);
        if (complete.Length <= others)
            return;
        foreach (string old in Newest(_folder).SkipWhile(path => path != complete[others]).Where(path => path != best && path != saved))
            Directory.Delete(old, recursive: true);
    }

    // By sizes: what a whole read would find was found when the run started.
    private bool IsComplete(string checkpoint) => !_damaged.Contains(checkpoint) && CheckpointManifest.Problem(checkpoint, reads: false) is null;

    private static string? BestFolder(IEnumerable<string> checkpoints, BestMetric order)
    {
        (string Folder, double Metric)? best = null;
        foreach (TrainingCheckpoint checkpoint in checkpoints.Reverse().Select(TrainingCheckpoint.Read))
        {
            if (checkpoint.Metric is { } metric && (best is null || (order == BestMetric.Lowest ? metric < best.Value.Metric : metric > best.Value.Metric)))
                best = (checkpoint.Folder, metric);
        }

        return best?.Folder;
    }

    /// <summary>Folder of the checkpoint after so many steps.</summary>
    internal string PathOf(long steps) => Path.Combine(_folder, NameOf(steps));

    private static string NameOf(long steps) => string.Create(CultureInfo.InvariantCulture, $"{Prefix}{steps}");

    private static IEnumerable<string> Unfinished(string folder) => Directory.Exists(folder) ? Directory.EnumerateDirectories(folder, $"{Prefix}*{Partial}") : [];

    private static IEnumerable<string> Newest(string folder) => !Directory.Exists(folder) ? [] :
        from path in Directory.EnumerateDirectories(folder, Prefix + "*")
        let number = Path.GetFileName(path)[Prefix.Length..]
        where long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out _)
        orderby long.Parse(number, CultureInfo.InvariantCulture) descending
        select path;
}

/// <summary>Which value of a metric is the best one.</summary>
public enum BestMetric
{
    /// <summary>The lowest: a loss, bits per byte.</summary>
    Lowest,

    /// <summary>The highest: an accuracy, a reward.</summary>
    Highest,
}
