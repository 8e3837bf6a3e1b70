using System.Globalization;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Runs;

namespace Glimmer.Training.Reports;

/// <summary>A run as a report shows it.</summary>
/// <param name="Name">Its name, unlike that of the other runs.</param>
/// <param name="History">Its log.</param>
/// <param name="Checkpoints">Its checkpoints, the oldest first, with the bytes of all their files.</param>
/// <param name="CheckpointProblem">Why the checkpoints cannot be listed; null when they can.</param>
internal sealed record ReportRun(string Name, RunHistory History, IReadOnlyList<(TrainingCheckpoint Checkpoint, long Bytes)> Checkpoints, string? CheckpointProblem)
{
    /// <summary>Reads the folders of runs.</summary>
    /// <exception cref="ArgumentException">There is none, or one is given twice.</exception>
    public static IReadOnlyList<ReportRun> Read(IReadOnlyList<string> folders)
    {
        if (folders.Count == 0)
            throw new ArgumentException("A report needs the folder of at least one run.", nameof(folders));
        string[] full = [.. folders.Select(folder => Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)))];
        if (full.GroupBy(path => path, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new ArgumentException($"'{twice.Key}' is given twice; a report shows a run once.", nameof(folders));
        string[] names = Names(full);
        return [.. folders.Select((folder, i) => Read(folder, names[i]))];
    }

    /// <summary>Values of a figure of the steps or else of the evaluations, with the steps taken by then; what is not finite is left out.</summary>
    public IReadOnlyList<(long Steps, double Value)> Figure(string name, bool evaluated)
    {
        IEnumerable<(long Steps, double Value)> all = evaluated
            ? History.Evaluations.Where(evaluation => evaluation.Figures.ContainsKey(name)).Select(evaluation => (evaluation.Steps, evaluation.Figures[name]))
            : History.Steps.Select(step => (step.Step + 1, step[name]));
        return [.. all.Where(point => double.IsFinite(point.Value))];
    }

    /// <summary>The shortest ends of the paths that tell them apart.</summary>
    internal static string[] Names(IReadOnlyList<string> paths)
    {
        string[][] parts = [.. paths.Select(path => path.Split(['/', '\\'], StringSplitOptions.RemoveEmptyEntries))];
        for (int length = 1; ; length++)
        {
            string[] names = [.. parts.Select(path => string.Join('/', path.TakeLast(length)))];
            if (names.Distinct(StringComparer.Ordinal).Count() == names.Length || length >= parts.Max(path => path.Length))
                return names;
        }
    }

    private static ReportRun Read(string folder, string name)
    {
        RunHistory history = RunHistory.Read(folder);
        try
        {
            return new ReportRun(name, history, [.. CheckpointFolder.List(folder).Select(checkpoint => (checkpoint, Bytes(checkpoint.Folder)))], null);
        }
        catch (Exception e) when (e is ModelFormatException or IOException or UnauthorizedAccessException)
        {
            // One may be damaged, or be removed at this moment by the run; that takes nothing from the rest.
            return new ReportRun(name, history, [], string.Create(CultureInfo.InvariantCulture, $"The checkpoints cannot be listed: {e.Message}"));
        }
    }

    private static long Bytes(string folder) => new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);
}
