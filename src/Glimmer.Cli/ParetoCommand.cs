using System.CommandLine;
using System.Globalization;
using Glimmer.Server.Accounting;
using Spectre.Console;

namespace Glimmer.Cli;

/// <summary><c>glimmer usage pareto</c>: cost against quality of models.</summary>
internal sealed class ParetoCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<FileInfo> _results = new("results") { Description = "JSON array of {model, benchmark, score, n, tokens, price}; price is that of a million generated tokens." };
    private readonly Option<string?> _benchmark = new("--benchmark") { Description = "The benchmark to show. Default: the first.", HelpName = "name" };
    private readonly Option<string?> _svg = new("--svg") { Description = "Write a plot to this file.", HelpName = "path" };

    public ParetoCommand(Terminal terminal)
        : base("pareto", "Show cost against quality, and which models none beats in both.")
    {
        _terminal = terminal;
        Add(_results);
        Add(_benchmark);
        Add(_svg);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        FileInfo file = parsed.GetValue(_results)!;
        IReadOnlyList<ModelResult> all = ParetoPlot.Parse(File.ReadAllText(file.FullName));
        if (all.Count == 0)
            throw new UsageException($"'{file}' holds no results.");
        string benchmark = parsed.GetValue(_benchmark) ?? all[0].Benchmark;
        ModelResult[] results = [.. all.Where(result => result.Benchmark == benchmark).OrderBy(result => result.CostPerProblem)];
        if (results.Length == 0)
            throw new UsageException($"'{file}' holds no results of '{benchmark}'; it has {string.Join(", ", all.Select(result => result.Benchmark).Distinct())}.");
        HashSet<ModelResult> frontier = [.. ParetoPlot.Frontier(results)];
        Table table = _terminal.NewTable("model", "#score", "#n", "#cost of a problem", "best");
        foreach (ModelResult result in results)
        {
            Terminal.AddRow(
                table, result.Model, result.Score.ToString("0.0", CultureInfo.InvariantCulture), result.Count.ToString(CultureInfo.InvariantCulture),
                result.CostPerProblem.ToString("0.000000", CultureInfo.InvariantCulture), frontier.Contains(result) ? "*" : "");
        }

        _terminal.Write(table);
        if (parsed.GetValue(_svg) is { } path)
            File.WriteAllText(path, ParetoPlot.Svg(benchmark, results));
        return ExitCodes.Success;
    }
}
