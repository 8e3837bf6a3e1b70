using System.Globalization;
using System.Text;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Plots;
using Glimmer.Training.Runs;

namespace Glimmer.Training.Reports;

/// <summary>One HTML page of one or several training runs: figures, plots over each other, checkpoints, evaluations, samples, notes, recipes, environments.</summary>
/// <remarks>The page holds all it shows: no script, no source elsewhere. It is a function of the folders alone. A run may still go on.</remarks>
public static class RunReport
{
    private const int LongestPlotName = 14;

    /// <summary>Writes the page to a file, which appears when it is complete.</summary>
    /// <param name="runs">Folders of the runs.</param>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">A folder holds no log.</exception>
    /// <exception cref="FormatException">A line of a log is none; the message has its number.</exception>
    /// <exception cref="ArgumentException">There is no run, or one is given twice.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(IReadOnlyList<string> runs, string path) => AtomicFile.WriteAllBytes(path, Encoding.UTF8.GetBytes(Html(runs)));

    /// <summary>The page.</summary>
    /// <param name="runs">Folders of the runs.</param>
    /// <exception cref="FileNotFoundException">A folder holds no log.</exception>
    /// <exception cref="FormatException">A line of a log is none; the message has its number.</exception>
    /// <exception cref="ArgumentException">There is no run, or one is given twice.</exception>
    public static string Html(IReadOnlyList<string> runs)
    {
        IReadOnlyList<ReportRun> all = ReportRun.Read(runs);
        string title = all.Count == 1 ? $"Training run {all[0].Name}" : $"{all.Count} training runs";
        var body = new StringBuilder();
        body.Append(CultureInfo.InvariantCulture, $"<h1>{ReportHtml.Escape(title)}</h1>\n");
        if (LastTime(all) is { } time)
            body.Append(CultureInfo.InvariantCulture, $"<p class=\"faint\">Last step at {time.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC</p>\n");
        Section("Runs", Overview(all));
        Section("Figures", Figures(all));
        Section("Plots", PlotsOf(all));
        Section("Checkpoints", Checkpoints(all));
        Section("Evaluations", Each(all, Evaluations));
        Section("Samples", Each(all, Samples));
        Section("Notes", Each(all, Notes));
        Section("Recipes", string.Concat(all.Select(run => Recipe(run, all.Count > 1))));
        Section("Environment", Environments(all));
        return ReportHtml.Page(title, ReportHtml.Css + "\n" + PlotStyle.Css + "\n" + Dots(), body.ToString());

        void Section(string name, string html)
        {
            if (html.Length > 0)
                body.Append(CultureInfo.InvariantCulture, $"<h2>{name}</h2>\n{html}");
        }
    }

    private static DateTimeOffset? LastTime(IReadOnlyList<ReportRun> runs) => runs.SelectMany(run => run.History.Steps.TakeLast(1)).Max(step => step.Time);

    private static string Overview(IReadOnlyList<ReportRun> runs) => ReportHtml.Table(
        ["<run", "#steps", "#tokens", "#time", "#tokens/s", "#loss at the end", "#valid loss at the end", "#lowest valid loss", "#skipped steps"],
        runs.Select((run, i) =>
        {
            IReadOnlyList<LoggedStep> steps = run.History.Steps;
            double tokens = steps.Sum(step => Known(step["tokens"])), seconds = steps.Sum(step => Known(step["seconds"]));
            IReadOnlyList<(long Steps, double Value)> loss = run.Figure("loss", evaluated: false), valid = run.Figure("valid_loss", evaluated: true);
            return (IReadOnlyList<string>)
            [
                Named(runs, i),
                ReportHtml.Count(steps.Count == 0 ? 0 : steps[^1].Step + 1),
                ReportHtml.Count(steps.Count == 0 ? 0 : Known(steps[^1]["tokens_seen"]) + Known(steps[^1]["tokens"])),
                steps.Count == 0 ? "-" : StepLine.Clock(TimeSpan.FromSeconds(seconds)),
                ReportHtml.Count(seconds > 0 ? tokens / seconds : double.NaN),
                loss.Count == 0 ? "-" : ReportHtml.Number(loss[^1].Value),
                valid.Count == 0 ? "-" : ReportHtml.Number(valid[^1].Value),
                valid.Count == 0 ? "-" : At(valid.MinBy(point => point.Value)),
                ReportHtml.Count(steps.Count(step => step.SkippedBecauseOf is not null)),
            ];
        }));

    // Whether a figure is better low or high its name does not say: both ends are shown.
    private static string Figures(IReadOnlyList<ReportRun> runs)
    {
        (string Name, bool Evaluated)[] figures =
        [
            .. runs.SelectMany(run => run.History.Steps.TakeLast(1)).SelectMany(step => step.Figures.Keys).Where(IsShown).Distinct(StringComparer.Ordinal).Select(name => (name, false)),
            .. EvaluationNames(runs).Select(name => (name, true)),
        ];
        IReadOnlyList<string>[] rows =
        [
            .. from figure in figures
               from i in Enumerable.Range(0, runs.Count)
               let points = runs[i].Figure(figure.Name, figure.Evaluated)
               where points.Count > 0
               select (IReadOnlyList<string>)
               [
                   ReportHtml.Escape((figure.Evaluated ? "evaluation: " : "") + figure.Name), Named(runs, i), ReportHtml.Number(points[^1].Value),
                   At(points.MinBy(point => point.Value)), At(points.MaxBy(point => point.Value)),
               ],
        ];
        return rows.Length == 0 ? "<p>No step was taken yet.</p>\n" : ReportHtml.Table(["<figure", "<run", "#at the end", "#lowest", "#highest"], rows);

        static bool IsShown(string name) =>
            name is "loss" or "objective" or "grad_norm" or "lr" or "tokens_per_second" or "share_of_peak" or "memory_bytes" || name.StartsWith("mtp_loss/", StringComparison.Ordinal) || name.StartsWith("balance_loss/", StringComparison.Ordinal);
    }

    private static string PlotsOf(IReadOnlyList<ReportRun> runs)
    {
        // Long names would run into the title of a plot; the table of runs says which colour is whose.
        bool names = runs.Count <= 3 && runs.All(run => run.Name.Length <= LongestPlotName);
        (string, RunHistory)[] shown = [.. runs.Select((run, i) => (runs.Count == 1 ? "" : names ? run.Name : ShortName(i), run.History))];
        IReadOnlyList<RunPlot> plots = RunPlots.Of(shown);
        return plots.Count == 0 ? "" : $"<div class=\"plots\">\n{string.Concat(plots.Select(plot => plot.Draw(false)))}</div>\n";
    }

    private static string Checkpoints(IReadOnlyList<ReportRun> runs)
    {
        var html = new StringBuilder();
        if (runs.Any(run => run.Checkpoints.Count > 0))
        {
            html.Append(ReportHtml.Table(
                ["<run", "checkpoint", "#steps", "#tokens", "#metric", "#size"],
                runs.SelectMany((run, i) => run.Checkpoints.Select(item => (IReadOnlyList<string>)
                [
                    Named(runs, i), Path.GetFileName(item.Checkpoint.Folder), ReportHtml.Count(item.Checkpoint.Steps), ReportHtml.Count(item.Checkpoint.TokensSeen),
                    ReportHtml.Number(item.Checkpoint.Metric ?? double.NaN), ReportHtml.Bytes(item.Bytes),
                ]))));
        }

        foreach (ReportRun run in runs.Where(run => run.CheckpointProblem is not null))
            html.Append(CultureInfo.InvariantCulture, $"<p class=\"warn\">{ReportHtml.Escape(run.Name)}: {ReportHtml.Escape(run.CheckpointProblem!)}</p>\n");
        return html.ToString();
    }

    private static string Evaluations(ReportRun run)
    {
        string[] names = EvaluationNames([run]);
        return names.Length == 0 ? "" : ReportHtml.FoldOut(
            string.Create(CultureInfo.InvariantCulture, $"All {run.History.Evaluations.Count} by steps"),
            ReportHtml.Table(
                ["#steps", .. names.Select(name => "#" + name)],
                run.History.Evaluations.Select(evaluation => (IReadOnlyList<string>)
                [
                    ReportHtml.Count(evaluation.Steps), .. names.Select(name => ReportHtml.Number(evaluation.Figures.TryGetValue(name, out double value) ? value : double.NaN)),
                ])),
            open: run.History.Evaluations.Count <= 20);
    }

    private static string Samples(ReportRun run)
    {
        IGrouping<long, LoggedSample>[] places = [.. run.History.Samples.GroupBy(sample => sample.Steps)];
        return string.Concat(places.Reverse().Select((place, i) => ReportHtml.FoldOut(
            $"After {ReportHtml.Count(place.Key)} steps",
            string.Concat(place.Select(sample => $"<pre><span class=\"faint\">{ReportHtml.Escape(sample.Prompt)}</span>{ReportHtml.Escape(sample.Text)}</pre>\n")),
            open: i == 0)));
    }

    private static string Notes(ReportRun run)
    {
        IReadOnlyList<string>[] rows =
        [
            .. run.History.Notes.Select(note => (note.Steps, note.Time, note.Text))
                .Concat(run.History.Steps.Where(step => step.SkippedBecauseOf is not null).Select(step => (Steps: step.Step + 1, step.Time, Text: $"Skipped: '{step.SkippedBecauseOf}' is not finite.")))
                .OrderBy(note => note.Steps)
                .Select(note => (IReadOnlyList<string>)[ReportHtml.Count(note.Steps), note.Time?.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture) ?? "-", note.Text]),
        ];
        return rows.Length == 0 ? "" : ReportHtml.Table(["#steps", "time (UTC)", "~note"], rows);
    }

    private static string Recipe(ReportRun run, bool named)
    {
        if (RunFolder.Recipe(run.History.Folder) is not { } path)
            return "";
        string file = Path.GetFileName(path);
        return ReportHtml.FoldOut(named ? $"{run.Name}: {file}" : file, $"<pre>{ReportHtml.Escape(File.ReadAllText(path))}</pre>\n");
    }

    // Rows are what a run says, columns are runs.
    private static string Environments(IReadOnlyList<ReportRun> runs)
    {
        (string Name, Dictionary<string, string> Values)[] all = [.. runs.Select(run => (run.Name, Values: Environment(run.History.Folder))).Where(run => run.Values.Count > 0)];
        return all.Length == 0 ? "" : ReportHtml.Table(
            ["on the last start", .. all.Select(run => "~" + run.Name)],
            all.SelectMany(run => run.Values.Keys).Distinct(StringComparer.Ordinal).Select(key => (IReadOnlyList<string>)[key, .. all.Select(run => run.Values.GetValueOrDefault(key, "-"))]));
    }

    private static Dictionary<string, string> Environment(string folder)
    {
        string path = RunFolder.Environment(folder);
        if (!File.Exists(path))
            return [];
        try
        {
            using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(path));
            return json.RootElement.EnumerateObject().ToDictionary(item => item.Name, item => item.Value.ToString(), StringComparer.Ordinal);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            throw new FormatException($"'{path}' is not the environment of a run: {e.Message}", e);
        }
    }

    private static string Each(IReadOnlyList<ReportRun> runs, Func<ReportRun, string> part) =>
        string.Concat(runs.Select(run => (run.Name, Html: part(run))).Where(run => run.Html.Length > 0).Select(run => runs.Count == 1 ? run.Html : $"<h3>{ReportHtml.Escape(run.Name)}</h3>\n{run.Html}"));

    private static string[] EvaluationNames(IReadOnlyList<ReportRun> runs) =>
        [.. runs.SelectMany(run => run.History.Evaluations).SelectMany(evaluation => evaluation.Figures.Keys).Distinct(StringComparer.Ordinal)];

    // The name of a run as HTML; with several runs behind the colour and the short name that plots give it.
    private static string Named(IReadOnlyList<ReportRun> runs, int i)
    {
        string name = ReportHtml.Escape(runs[i].Name);
        bool numbered = runs.Count > 3 || runs.Any(run => run.Name.Length > LongestPlotName);
        return runs.Count == 1 ? name : $"<span class=\"glim-plot dot d{i % PlotStyle.Colours}\"></span>{(numbered ? ShortName(i) + ": " : "")}{name}";
    }

    private static string ShortName(int i) => string.Create(CultureInfo.InvariantCulture, $"run {i + 1}");

    // The colours of plots are variables of their style sheet; the dots before names take the same values by its class.
    private static string Dots() => string.Concat(Enumerable.Range(0, PlotStyle.Colours).Select(i => string.Create(CultureInfo.InvariantCulture, $".d{i}{{background:var(--c{i})}}")));

    private static string At((long Steps, double Value) point) => $"{ReportHtml.Number(point.Value)} (step {ReportHtml.Count(point.Steps)})";

    private static double Known(double value) => double.IsFinite(value) ? value : 0;
}
