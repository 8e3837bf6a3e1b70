using System.CommandLine;
using Glimmer.Training.Reports;
using Glimmer.Training.Runs;

namespace Glimmer.Cli;

/// <summary><c>glimmer report</c>: one HTML page of one or several training runs.</summary>
internal sealed class ReportCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string[]> _runs = new("run") { Arity = ArgumentArity.OneOrMore, Description = "Folder of a training run, with log.jsonl in it. Several are drawn over each other." };
    private readonly Option<string?> _out = new("--out") { Description = "The page. Default: report.html in the folder of the run; of several runs, here.", HelpName = "file" };

    public ReportCommand(Terminal terminal)
        : base("report", "Write one HTML page of one or several training runs: figures, plots, checkpoints, evaluations, samples, recipe. It loads nothing from elsewhere.")
    {
        _terminal = terminal;
        Add(_runs);
        Add(_out);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        string[] runs = parsed.GetValue(_runs)!;
        foreach (string run in runs)
            Check(run);
        string path = parsed.GetValue(_out) ?? (runs.Length == 1 ? Path.Combine(runs[0], "report.html") : "report.html");
        if (Directory.Exists(path))
            throw new UsageException($"--out '{path}' is a folder; name a file in it.");
        if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } parent && !Directory.Exists(parent))
            throw new UsageException($"--out '{path}': there is no folder '{parent}'.");
        RunReport.Write(runs, path);
        _terminal.Output.WriteLine(path);
        return ExitCodes.Success;
    }

    // What is meant is often one folder up (a checkpoint) or down (a folder of runs).
    private static void Check(string run)
    {
        if (!Directory.Exists(run))
            throw new UsageException($"There is no folder '{run}'.");
        if (File.Exists(RunFolder.Log(run)))
            return;
        string above = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(run))) ?? "";
        string[] below = [.. Directory.EnumerateDirectories(run).Where(folder => File.Exists(RunFolder.Log(folder))).Order(StringComparer.Ordinal)];
        string hint = File.Exists(RunFolder.Log(above)) ? $" '{above}' is one." : below.Length > 0 ? $" These are: {string.Join(", ", below.Take(8).Select(folder => $"'{folder}'"))}{(below.Length > 8 ? " ..." : "")}." : "";
        throw new UsageException($"'{run}' is not the folder of a training run: it has no log.jsonl.{hint}");
    }
}
