using System.Xml.Linq;
using Glimmer.Cli;
using Glimmer.Tests.Cli;
using Glimmer.Tests.Training.Runs;
using Glimmer.Training.Reports;
using Glimmer.Training.Runs;

namespace Glimmer.Tests.Training.Reports;

public class RunReportTests
{
    [Fact]
    public void The_page_of_a_run_holds_its_figures_plots_recipe_and_samples()
    {
        using var folder = new TemporaryFolder();
        Record(folder["one"], 100);
        File.WriteAllText(Path.Combine(folder["one"], "recipe.yaml"), "model: a & b\n");
        XElement page = Page(RunReport.Html([folder["one"]]));
        Assert.Equal("Training run one", page.Descendants("h1").Single().Value);
        // Steps, tokens (those before the last step and its own), time, tokens/s, losses.
        Assert.Equal(["one", "100", "100 000", "3:20", "500", "2.5", "2.25", "2.125 (step 50)", "1"], Rows(page, "Runs")[0]);
        Assert.Contains(Rows(page, "Figures"), row => row.SequenceEqual(["evaluation: valid_loss", "one", "2.25", "2.125 (step 50)", "2.25 (step 100)"]));
        Assert.Contains(Rows(page, "Figures"), row => row.SequenceEqual(["loss", "one", "2.5", "2.5 (step 1)", "101.5 (step 11)"]));
        Assert.Equal(["50", "2.125"], Rows(page, "Evaluations")[0]);
        Assert.Equal(["11", "Skipped: 'w' is not finite."], Rows(page, "Notes")[0].Where((_, i) => i != 1));
        Assert.Equal(7, Plots(page).Length);
        Assert.Equal("model: a & b\n", Section(page, "Recipes").Single().Element("pre")!.Value);
        Assert.Equal("2 + 2 = 4", Section(page, "Samples").Single().Element("pre")!.Value);
        Assert.Contains(Rows(page, "Environment"), row => row[0] == "threads" && row[1] == "3");
    }

    [Fact]
    public void What_runs_say_is_shown_and_never_obeyed()
    {
        const string Bad = "</pre><script>alert(1)</script>&amp;\"'\u0001\u001b";
        using var folder = new TemporaryFolder();
        string run = folder["<b>run & 'x'"];
        using (RunRecorder recorder = RunRecorder.Open(run, options: new RunRecorderOptions { TensorBoard = false }))
        {
            recorder.Step(RunRecorderTests.Report(0) with { SkippedBecauseOf = Bad }, 1);
            recorder.Evaluation(1, new Dictionary<string, double> { [Bad] = 1, ["valid_loss"] = double.NaN });
            recorder.Sample(1, Bad, Bad);
            recorder.Note(1, Bad);
        }

        File.WriteAllText(Path.Combine(run, "args.json"), Bad);
        string html = RunReport.Html([run]);
        XElement page = Page(html);
        Assert.DoesNotContain("<script", html, StringComparison.OrdinalIgnoreCase);
        string[] sources = ["script", "link", "img", "iframe", "object", "use", "image"];
        Assert.DoesNotContain(page.Descendants(), element => sources.Contains(element.Name.LocalName) || element.Attributes().Any(a => a.Name.LocalName is "src" or "href" || a.Name.LocalName.StartsWith("on", StringComparison.Ordinal)));
        string shown = Bad.Replace('\u0001', '\u2401').Replace('\u001b', '\u241b');
        Assert.Equal(shown, Section(page, "Recipes").Single().Element("pre")!.Value);
        Assert.Equal(shown + shown, Section(page, "Samples").Single().Element("pre")!.Value);
        Assert.Contains(Rows(page, "Notes"), row => row[2] == shown);
        Assert.Equal("<b>run & 'x'", Rows(page, "Runs")[0][0]);
    }

    [Fact]
    public void Several_runs_lie_over_each_other_under_names_that_tell_them_apart()
    {
        using var folder = new TemporaryFolder();
        string[] runs = [folder["a/run"], folder["b/run"]];
        Record(runs[0], 3);
        Record(runs[1], 5);
        XElement page = Page(RunReport.Html(runs));
        Assert.Equal("2 training runs", page.Descendants("h1").Single().Value);
        Assert.Equal(["a/run", "b/run"], Rows(page, "Runs").Select(row => row[0]));
        Assert.Equal(["3", "5"], Rows(page, "Runs").Select(row => row[1]));
        Assert.Equal(["a/run train", "b/run train"], Plots(page)[0].Descendants().Where(e => e.Name.LocalName == "text" && e.Value.EndsWith(" train", StringComparison.Ordinal)).Select(e => e.Value).Order());
        Assert.Contains("'" + Path.GetFullPath(runs[0]) + "' is given twice", Assert.Throws<ArgumentException>(() => RunReport.Html([runs[0], runs[0] + "/"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Checkpoints_are_listed_with_their_sizes_and_a_damaged_one_is_named()
    {
        using var folder = new TemporaryFolder();
        Record(folder["run"], 2);
        Directory.CreateDirectory(folder["run/checkpoint-2"]);
        File.WriteAllText(folder["run/checkpoint-2/manifest.json"], "{}");
        File.WriteAllText(folder["run/checkpoint-2/trainer_state.json"], """{"steps": 2, "tokens_seen": 2000, "optimizer_steps": 2, "data": {}, "metric": 2.5}""");
        File.WriteAllBytes(folder["run/checkpoint-2/model.safetensors"], new byte[3 << 20]);
        Assert.Equal(["run", "checkpoint-2", "2", "2 000", "2.5", "3.0 MiB"], Rows(Page(RunReport.Html([folder["run"]])), "Checkpoints")[0]);
        File.WriteAllText(folder["run/checkpoint-2/trainer_state.json"], "{");
        Assert.Contains("trainer_state.json' is not the state of a training run", Section(Page(RunReport.Html([folder["run"]])), "Checkpoints").Single().Value, StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_without_a_step_has_a_page()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["run"]);
        File.WriteAllText(RunFolder.Log(folder["run"]), "");
        XElement page = Page(RunReport.Html([folder["run"]]));
        Assert.Equal("No step was taken yet.", Section(page, "Figures").Single().Value);
        Assert.Equal("0", Rows(page, "Runs")[0][1]);
    }

    [Fact]
    public void The_command_writes_the_page_and_says_where()
    {
        using var folder = new TemporaryFolder();
        Record(folder["run"], 3);
        Assert.Equal(Path.Combine(folder["run"], "report.html"), CommandRun.Of("report", folder["run"]).Succeeded().Output.Trim());
        CommandRun.Of("report", folder["run"], "--out", folder["page.html"]).Succeeded();
        Assert.Equal(File.ReadAllText(folder["page.html"]), File.ReadAllText(Path.Combine(folder["run"], "report.html")));
        Page(File.ReadAllText(folder["page.html"]));
    }

    [Fact]
    public void A_folder_that_is_no_run_is_refused_with_the_runs_that_may_be_meant()
    {
        using var folder = new TemporaryFolder();
        Record(folder["runs/one"], 1);
        Directory.CreateDirectory(folder["runs/one/checkpoint-1"]);
        Refused($"There is no folder '{folder["none"]}'", folder["none"]);
        Refused($"it has no log.jsonl. These are: '{folder["runs/one"]}'.", folder["runs"]);
        Refused($"it has no log.jsonl. '{folder["runs/one"]}' is one.", folder["runs/one/checkpoint-1"]);
        Refused("is a folder", folder["runs/one"], "--out", folder["runs"]);
        Refused("there is no folder", folder["runs/one"], "--out", folder["no/page.html"]);
        Assert.Contains("it has no log.jsonl", Assert.Throws<FileNotFoundException>(() => RunReport.Html([folder["runs"]])).Message, StringComparison.Ordinal);
    }

    private static void Refused(string message, params string[] args)
    {
        CommandRun run = CommandRun.Of(["report", .. args]);
        Assert.Equal(ExitCodes.Usage, run.ExitCode);
        Assert.Contains(message, Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    private static void Record(string run, int steps)
    {
        using RunRecorder recorder = RunRecorder.Open(run, options: new RunRecorderOptions { TensorBoard = false, Threads = 3 });
        for (int step = 0; step < steps; step++)
        {
            recorder.Step(RunRecorderTests.Report(step) with { Loss = step == 10 ? 101.5 : 2.5, SkippedBecauseOf = step == 10 ? "w" : null }, 2);
            if (step + 1 is 50 or 100)
                recorder.Evaluation(step + 1, new Dictionary<string, double> { ["valid_loss"] = step < 60 ? 2.125 : 2.25 });
        }

        recorder.Sample(steps, "2 + 2 =", " 4");
    }

    // A page that is well-formed XML is well-formed HTML: every element is closed, every text escaped.
    private static XElement Page(string html) => XDocument.Parse(html, LoadOptions.PreserveWhitespace).Root!;

    private static XElement[] Section(XElement page, string name) =>
        [.. page.Descendants("h2").Single(h => h.Value == name).ElementsAfterSelf().TakeWhile(e => e.Name.LocalName != "h2")];

    private static string[][] Rows(XElement page, string section) =>
        [.. Section(page, section).SelectMany(e => e.DescendantsAndSelf("tr")).Skip(1).Select(row => row.Elements("td").Select(cell => cell.Value).ToArray())];

    private static XElement[] Plots(XElement page) => [.. Section(page, "Plots").Descendants().Where(e => e.Name.LocalName == "svg")];
}
