using System.Globalization;
using System.Text;
using Glimmer.Formats;
using Glimmer.Training.Runs;

namespace Glimmer.Training.Plots;

/// <summary>A plot of one or several runs.</summary>
/// <param name="Name">Its name as a file, without ending.</param>
/// <param name="Title">Its title.</param>
/// <param name="Draw">Draws it as SVG; the argument says whether the style sheet is inside.</param>
public sealed record RunPlot(string Name, string Title, Func<bool, string> Draw);

/// <summary>The plots of a run: loss, gradient norm, learning rate, balance, loads of experts, MTP, speed, evaluations. Several runs lie over each other.</summary>
public static class RunPlots
{
    private const int MostPanels = 6;
    private const int MostColumns = 150;

    /// <summary>Draws the plots of a run into its folder <c>plots</c>.</summary>
    /// <param name="run">Folder of the run.</param>
    /// <returns>The files; none for a run without a step.</returns>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public static IReadOnlyList<string> Write(string run)
    {
        string folder = RunFolder.Plots(run);
        Directory.CreateDirectory(folder);
        var files = new List<string>();
        foreach (RunPlot plot in Of([("", RunHistory.Read(run))]))
        {
            files.Add(Path.Combine(folder, plot.Name + ".svg"));
            AtomicFile.WriteAllBytes(files[^1], Encoding.UTF8.GetBytes(plot.Draw(true)));
        }

        return files;
    }

    /// <summary>The plots for which the runs have figures.</summary>
    /// <param name="runs">Runs with the names to show; with one run the name is left out.</param>
    public static IReadOnlyList<RunPlot> Of(IReadOnlyList<(string Name, RunHistory History)> runs)
    {
        var plots = new List<RunPlot>();
        Chart("loss", "Loss (nats a token)", [.. Figure("loss", "train", SeriesForm.Smoothed), .. Evaluated("valid_loss", "valid")]);
        Chart("mtp_loss", "MTP loss (nats a token)", Numbered("mtp_loss", "depth", SeriesForm.Smoothed));
        Chart("channel_loss", "Loss by source (nats a token)", [.. Channels().SelectMany(channel => Figure("channel_loss/" + channel, channel, SeriesForm.Smoothed).Select(line => runs.Count == 1 ? line with { Colour = -1 } : line))]);
        Chart("indexer_loss", "KL of the indexers from the attention (nats a token)", Numbered("indexer_loss", "indexer", SeriesForm.Smoothed), floor: 0);
        Chart("grad_norm", "Norm of the gradient before clipping", Figure("grad_norm", "", SeriesForm.Smoothed), spikes: true);
        Chart("lr", "Learning rate", Figure("lr", ""), floor: 0);
        Chart("max_vio", "Balance of the experts: MaxVio = largest load / mean - 1", Numbered("max_vio", "router", SeriesForm.Smoothed), floor: 0);
        foreach ((string name, RunHistory history) in runs)
        {
            if (Loads(history) is { } map)
                plots.Add(new RunPlot(runs.Count == 1 ? "expert_load" : $"expert_load_{plots.Count}", map.Title, style => (runs.Count == 1 ? map : map with { Title = $"{map.Title}: {name}" }).Svg(style)));
        }

        Chart("mtp_acceptance", "MTP: share of drafts that are accepted", [.. EvaluationNames().Where(IsAcceptance).SelectMany(figure => Evaluated(figure, figure["mtp_acceptance".Length..].Trim('_', '/')))], floor: 0);
        Chart("tokens_per_second", "Tokens a second", Figure("tokens_per_second", "", SeriesForm.Smoothed), floor: 0);
        foreach (string figure in EvaluationNames().Where(figure => figure != "valid_loss" && !IsAcceptance(figure)))
            Chart("eval_" + string.Concat(figure.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_')), $"Evaluation: {figure}", Evaluated(figure, ""));
        return plots;

        void Chart(string name, string title, IReadOnlyList<ChartSeries> series, double? floor = null, bool spikes = false)
        {
            double[] finite = [.. series.SelectMany(line => line.Y).Where(double.IsFinite)];
            if (finite.Length == 0)
                return;
            // A spike of a gradient would flatten all the rest.
            bool log = spikes && finite.Min() > 0 && finite.Max() > 20 * finite.Order().ElementAt(finite.Length / 2);
            plots.Add(new RunPlot(name, title, new LineChart { Title = log ? title + " (logarithmic)" : title, Series = series, Floor = floor, LogY = log }.Svg));
        }

        List<ChartSeries> Figure(string figure, string label, SeriesForm form = SeriesForm.Line) =>
            [.. runs.Select((run, i) => new ChartSeries(Join(run.Name, label), [.. run.History.Steps.Select(step => (double)step.Step)], [.. run.History.Steps.Select(step => step[figure])], form, i)).Where(HasPoints)];

        List<ChartSeries> Numbered(string figure, string label, SeriesForm form)
        {
            int count = runs.Max(run => run.History.Steps.Count == 0 ? 0 : run.History.Steps.Max(step => step.Figures.Keys.Count(key => key.StartsWith(figure + "/", StringComparison.Ordinal))));
            if (count == 1)
                return Figure(figure + "/1", "", form);
            if (runs.Count == 1 && count <= PlotStyle.Colours)
                return [.. Enumerable.Range(1, count).SelectMany(n => Figure($"{figure}/{n}", $"{label} {n}", form).Select(line => line with { Colour = n - 1 }))];
            // Too many lines to tell apart: the mean over them, and the largest where there is one run.
            return [.. runs.SelectMany((run, i) => Spread(run, figure, i, form)).Where(HasPoints)];
        }

        IEnumerable<ChartSeries> Spread((string Name, RunHistory History) run, string figure, int colour, SeriesForm form)
        {
            double[] steps = [.. run.History.Steps.Select(step => (double)step.Step)];
            double[][] values = [.. run.History.Steps.Select(step => step.Figures.Where(item => item.Key.StartsWith(figure + "/", StringComparison.Ordinal)).Select(item => item.Value).ToArray())];
            yield return new ChartSeries(Join(run.Name, "mean"), steps, [.. values.Select(list => list.Length == 0 ? double.NaN : list.Average())], form, colour);
            if (runs.Count == 1)
                yield return new ChartSeries("largest", steps, [.. values.Select(list => list.Length == 0 ? double.NaN : list.Max())], form, colour + 1);
        }

        List<ChartSeries> Evaluated(string figure, string label) =>
        [
            .. runs.Select((run, i) =>
            {
                LoggedEvaluation[] found = [.. run.History.Evaluations.Where(evaluation => evaluation.Figures.ContainsKey(figure))];
                return new ChartSeries(
                    Join(run.Name, label), [.. found.Select(evaluation => (double)evaluation.Steps)], [.. found.Select(evaluation => evaluation.Figures[figure])], SeriesForm.Marks,
                    runs.Count == 1 && figure == "valid_loss" ? 1 : runs.Count == 1 ? -1 : i);
            }).Where(HasPoints),
        ];

        IEnumerable<string> Channels() => runs.SelectMany(run => run.History.Steps).SelectMany(step => step.Figures.Keys).Where(key => key.StartsWith("channel_loss/", StringComparison.Ordinal)).Select(key => key["channel_loss/".Length..]).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal);

        IEnumerable<string> EvaluationNames() => runs.SelectMany(run => run.History.Evaluations).SelectMany(evaluation => evaluation.Figures.Keys).Distinct(StringComparer.Ordinal);
    }

    private static bool IsAcceptance(string figure) => figure.StartsWith("mtp_acceptance", StringComparison.Ordinal);

    private static bool HasPoints(ChartSeries series) => series.Y.Any(double.IsFinite);

    private static string Join(string run, string label) => run.Length == 0 ? label : label.Length == 0 ? run : $"{run} {label}";

    // Loads of the experts in the course of the run, steps put together to columns; routers evenly picked when there are many.
    private static HeatMap? Loads(RunHistory history)
    {
        LoggedStep[] steps = [.. history.Steps.Where(step => step.ExpertTokens.Count > 0)];
        if (steps.Length == 0)
            return null;
        string[] routers = [.. steps[^1].ExpertTokens.Keys];
        string[] shown = routers.Length <= MostPanels ? routers : [.. Enumerable.Range(0, MostPanels).Select(i => routers[i * (routers.Length - 1) / (MostPanels - 1)])];
        LoggedStep[][] columns = [.. steps.Chunk((steps.Length + MostColumns - 1) / MostColumns)];
        return new HeatMap
        {
            Title = routers.Length == shown.Length ? "Load of the experts" : string.Create(CultureInfo.InvariantCulture, $"Load of the experts, {shown.Length} of {routers.Length} routers"),
            Panels = [.. shown.Select(router => Panel(router, columns))],
            XFirst = steps[0].Step,
            XLast = steps[^1].Step + 1,
        };
    }

    private static HeatPanel Panel(string router, LoggedStep[][] columns)
    {
        int experts = columns.SelectMany(column => column).Max(step => step.ExpertTokens.TryGetValue(router, out long[]? counts) ? counts.Length : 0);
        var values = new double[experts][];
        for (int e = 0; e < experts; e++)
            values[e] = new double[columns.Length];
        for (int column = 0; column < columns.Length; column++)
        {
            var sums = new long[experts];
            foreach (LoggedStep step in columns[column])
            {
                if (!step.ExpertTokens.TryGetValue(router, out long[]? counts))
                    continue;
                for (int e = 0; e < counts.Length; e++)
                    sums[e] += counts[e];
            }

            double total = sums.Sum();
            for (int e = 0; e < experts; e++)
                values[e][column] = total > 0 ? sums[e] * experts / total : 0;
        }

        string name = router.Replace(".mlp.gate.e_score_correction_bias", "", StringComparison.Ordinal);
        return new HeatPanel(name, values);
    }
}
