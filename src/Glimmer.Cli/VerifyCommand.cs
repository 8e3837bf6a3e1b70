using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Glimmer.Inference.Verification;
using Glimmer.Kernels;
using Spectre.Console;

namespace Glimmer.Cli;

/// <summary><c>glimmer verify</c>: compares checkpoints with what a reference implementation recorded for them.</summary>
internal sealed class VerifyCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string[]> _folders = new("dir") { Arity = ArgumentArity.OneOrMore, Description = "Folder with a checkpoint, reference.json and reference.safetensors, or one that holds such folders." };
    private readonly Option<bool> _all = new("--all") { Description = "List every recorded value, not only the worst of each quantity." };
    private readonly Option<bool> _json = new("--json") { Description = "Print one JSON object." };
    private readonly Option<int?> _threads = NumberOption.Create("--threads", $"Computing threads. Default: one a processor, {Environment.ProcessorCount} here.", 1, 1024);

    public VerifyCommand(Terminal terminal)
        : base("verify", "Compare checkpoints with recorded reference values; exit code 1 above a tolerance.")
    {
        _terminal = terminal;
        Add(_folders);
        Add(_all);
        Add(_json);
        Add(_threads);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        using var team = new ThreadTeam(parsed.GetValue(_threads) ?? Environment.ProcessorCount);
        List<Verified> results = [.. parsed.GetValue(_folders)!.SelectMany(RecordedCase.Find).Select(folder => Verify(folder, team, parsed))];
        bool passed = results.TrueForAll(result => result.Passed);
        if (parsed.GetValue(_json))
            WriteJson(results, passed, parsed.GetValue(_all));
        else if (results.Count > 1)
            _terminal.Output.WriteLine($"{results.Count(result => result.Passed && result.Skipped is null)} of {results.Count} checkpoints agree, {results.Count(result => result.Skipped is not null)} skipped");
        return passed ? ExitCodes.Success : ExitCodes.Failure;
    }

    private Verified Verify(string folder, ThreadTeam team, ParseResult parsed)
    {
        _terminal.Interrupted.ThrowIfCancellationRequested();
        string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        long start = Stopwatch.GetTimestamp();
        Verified result;
        try
        {
            IReadOnlyList<ReferenceDifference> differences;
            using (var progress = new ProgressLine(_terminal))
            {
                differences = ReferenceVerifier.Run(folder, team, step =>
                {
                    _terminal.Interrupted.ThrowIfCancellationRequested();
                    progress.Show($"{name}: {step}");
                });
            }

            result = new Verified(folder, differences, Stopwatch.GetElapsedTime(start), null);
        }
        catch (UnsupportedModelException refusal) when (RecordedCase.IsOptional(folder))
        {
            result = new Verified(folder, [], Stopwatch.GetElapsedTime(start), refusal.Message);
        }

        if (!parsed.GetValue(_json))
            Print(result, name, parsed.GetValue(_all));
        return result;
    }

    private void Print(Verified result, string name, bool all)
    {
        string verdict = result.Skipped is not null ? $"skipped: {result.Skipped}" : result.Passed ? $"all {result.Differences.Count} recorded values agree" : $"{result.Differences.Count(d => !d.Passed)} of {result.Differences.Count} recorded values differ";
        _terminal.Output.WriteLine($"{_terminal.Styled("1", name)}: {_terminal.Styled(result.Passed ? "32" : "31", verdict)} ({result.Time.TotalSeconds:f1} s)");
        if (result.Differences.Count == 0)
            return;
        Table table = all ? _terminal.NewTable("key", "quantity", "#numbers", "#difference", "#tolerance", "result") : _terminal.NewTable("quantity", "#values", "#numbers", "#difference", "#tolerance", "worst", "result");
        if (all)
        {
            foreach (ReferenceDifference d in result.Differences)
                Terminal.AddRow(table, d.Key, d.Quantity, Count(d.Values), Number(d.Largest), Number(d.Tolerance), d.Passed ? "ok" : "ABOVE");
        }
        else
        {
            foreach (QuantityDifference q in result.Quantities)
                Terminal.AddRow(table, q.Name, Count(q.Keys), Count(q.Values), Number(q.Worst.Largest), Number(q.Worst.Tolerance), q.Worst.Key, q.Worst.Passed ? "ok" : "ABOVE");
        }

        _terminal.Write(table);
    }

    private void WriteJson(List<Verified> results, bool passed, bool all) => _terminal.Output.WriteJson(
        writer =>
        {
            writer.WriteStartObject();
            writer.WriteBoolean("passed", passed);
            writer.WriteStartArray("checkpoints");
            foreach (Verified result in results)
            {
                writer.WriteStartObject();
                writer.WriteString("path", result.Folder);
                writer.WriteBoolean("passed", result.Passed);
                if (result.Skipped is not null)
                    writer.WriteString("skipped", result.Skipped);
                writer.WriteNumber("seconds", Math.Round(result.Time.TotalSeconds, 3));
                writer.WriteStartArray("quantities");
                foreach (QuantityDifference q in result.Quantities)
                {
                    writer.WriteStartObject();
                    writer.WriteString("quantity", q.Name);
                    writer.WriteNumber("keys", q.Keys);
                    writer.WriteNumber("values", q.Values);
                    writer.WriteFinite("largest_difference", q.Worst.Largest);
                    writer.WriteFinite("tolerance", q.Worst.Tolerance);
                    writer.WriteString("worst_key", q.Worst.Key);
                    writer.WriteBoolean("passed", q.Worst.Passed);
                    writer.WriteEndObject();
                }

                writer.WriteEndArray();
                if (all)
                    WriteKeys(writer, result.Differences);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        },
        indented: true);

    private static void WriteKeys(System.Text.Json.Utf8JsonWriter writer, IReadOnlyList<ReferenceDifference> differences)
    {
        writer.WriteStartArray("keys");
        foreach (ReferenceDifference d in differences)
        {
            writer.WriteStartObject();
            writer.WriteString("key", d.Key);
            writer.WriteString("quantity", d.Quantity);
            writer.WriteNumber("values", d.Values);
            writer.WriteFinite("largest_difference", d.Largest);
            writer.WriteFinite("tolerance", d.Tolerance);
            writer.WriteBoolean("passed", d.Passed);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static string Count(long value) => value.ToString("n0", CultureInfo.InvariantCulture);

    private static string Number(double value) => value.ToString(value is 0 or >= 1 ? "0.###" : "0.00e-0", CultureInfo.InvariantCulture);

    private sealed record Verified(string Folder, IReadOnlyList<ReferenceDifference> Differences, TimeSpan Time, string? Skipped)
    {
        public bool Passed => Differences.All(d => d.Passed);

        // Worst first within a quantity: what failed, then what used most of its tolerance. Exact values have the tolerance 0.
        public IEnumerable<QuantityDifference> Quantities => Differences.GroupBy(d => d.Quantity).Select(group => new QuantityDifference(
            group.Key, group.Count(), group.Sum(d => d.Values), group.MaxBy(d => (!d.Passed, d.Tolerance == 0 ? d.Largest : d.Largest / d.Tolerance))));
    }

    private sealed record QuantityDifference(string Name, int Keys, long Values, ReferenceDifference Worst);
}
