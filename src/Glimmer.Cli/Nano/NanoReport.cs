using System.Globalization;
using System.Text;
using System.Text.Json;
using Glimmer.Environments.Evaluation;

namespace Glimmer.Cli.Nano;

/// <summary>Writes <c>report.md</c>: before and after, goals met and missed, answers whole.</summary>
internal sealed class NanoReport(NanoOptions options, NanoBudget budget)
{
    private const string Perplexity = "perplexity.";
    private const double Z = 1.959963984540054;

    private static readonly (string Set, string Title, string Goal, double Least)[] s_rows =
    [
        ("well_formed", "well-formed GLM output", ">= 97 %", 0.97),
        ("bfcl_simple_python", "BFCL simple_python, AST", ">= 30 %", 0.30),
        ("generated_tools", "generated held-out tools, AST", ">= 85 %", 0.85),
        ("one-digit", "1-digit + - x", ">= 97 %", 0.97),
        ("two-digit", "2-digit + and -, held out", ">= 85 %", 0.85),
        ("word-problems", "word problems, held out", "", 0),
        ("ifeval", "IFEval prompt-strict, 512 tokens", "trunk + 5 points", double.NaN),
        ("acceptance", "MTP: first drafts accepted", ">= 0.3", 0.30),
    ];

    /// <summary>Writes the report.</summary>
    /// <param name="stages">The figures.</param>
    /// <param name="questions">The plain questions.</param>
    /// <param name="before">The trunk's answers to them.</param>
    /// <param name="after">The result's.</param>
    /// <param name="curve">Acceptance over training: steps and share of held-out targets that the first draft meets.</param>
    /// <param name="bytes">Size of the published addition.</param>
    public string Write(NanoStages stages, IReadOnlyList<string> questions, IReadOnlyList<NanoAnswers.Answer> before, IReadOnlyList<NanoAnswers.Answer> after, IReadOnlyList<(long Step, double Loss, double Acceptance)> curve, long bytes)
    {
        IReadOnlyDictionary<string, double> trunk = stages.Find("before")!, nano = stages.Find("after")!, training = stages.Find("training")!;
        var text = new StringBuilder();
        Line(text, "# Glimmer Nano: report card");
        Line(text, "");
        Line(text, $"Budget {budget.Minutes:f0} minutes{(budget.Minutes < NanoBudget.WholeMinutes ? Inv($", {budget.Minutes / NanoBudget.WholeMinutes:p0} of the samples of a whole run: these figures prove the recipe, not the model") : "")}. Seed {options.Seed}, {options.Threads} threads, addition {bytes / 1e6:f1} MB in BF16, strength {options.Strength}. Greedy; 95 % Wilson intervals.");
        Line(text, $"Training: {training["tokens"]:f0} tokens in {training["steps"]:f0} steps, {training["tokens"] / training["seconds"]:f0} tokens/s of the stage's whole time. Well-formed counts the answers of BFCL, generated tools and arithmetic.");
        Line(text, "");
        Line(text, "| | trunk | Nano | n | goal | |");
        Line(text, "|---|---|---|---|---|---|");
        foreach ((string set, string title, string goal, double least) in s_rows)
        {
            if (!nano.ContainsKey(set + ".n"))
                continue;
            double least2 = double.IsNaN(least) ? Share(trunk, set) + 0.05 : least;
            string verdict = goal.Length == 0 ? "" : Share(nano, set) >= least2 ? "met" : "missed";
            Line(text, $"| {title} | {Cell(trunk, set)} | {Cell(nano, set)} | {nano[set + ".n"]:f0} | {goal} | {verdict} |");
        }

        foreach (string key in nano.Keys.Where(key => key.StartsWith(Perplexity, StringComparison.Ordinal)))
            Line(text, $"| perplexity, {key[Perplexity.Length..]} | {trunk[key]:f3} | {nano[key]:f3} | | at most 3 % worse | {(nano[key] <= 1.03 * trunk[key] ? "met" : "missed")} ({(nano[key] / trunk[key]) - 1:p1}) |");
        Paired(text);
        Line(text, "");
        Line(text, "## Over training");
        Line(text, "");
        Line(text, "Held-out records of the generated families; acceptance here is the share of targets that the first draft meets.");
        Line(text, "");
        Line(text, "| step | loss | acceptance |");
        Line(text, "|---|---|---|");
        foreach ((long step, double loss, double acceptance) in curve)
            Line(text, $"| {step} | {loss:f4} | {acceptance:f3} |");
        Arms(text, stages);
        Line(text, "");
        Line(text, "## Minutes");
        Line(text, "");
        foreach (string stage in (ReadOnlySpan<string>)["before", "answers", "training", "after"])
            Line(text, $"- {stage}: {stages.Find(stage)?["seconds"] / 60:f1}");
        Line(text, "");
        Line(text, "## Plain questions");
        for (int i = 0; i < questions.Count; i++)
        {
            Line(text, "");
            Line(text, $"**{i + 1}. {questions[i]}**");
            Line(text, "");
            Line(text, $"Trunk: {Of(before, i)}");
            Line(text, "");
            Line(text, $"Nano: {Of(after, i)}");
        }

        string path = options.In("report.md");
        NanoStages.Replace(path, Encoding.UTF8.GetBytes(text.ToString()));
        return path;
    }

    /// <summary>Writes the comparison of the arms alone to <c>arms.md</c>.</summary>
    /// <param name="stages">The figures.</param>
    public string WriteArms(NanoStages stages)
    {
        var text = new StringBuilder();
        Line(text, $"# Glimmer Nano: arms of {options.ArmMinutes} minutes");
        Line(text, "");
        Line(text, $"Seed {options.Seed}, {options.Threads} threads. Weights as trained, not weakened. Greedy; 95 % Wilson intervals.");
        Arms(text, stages);
        string path = options.In("arms.md");
        NanoStages.Replace(path, Encoding.UTF8.GetBytes(text.ToString()));
        return path;
    }

    // Prompts whose verdict changed: an interval of the difference needs no more.
    private void Paired(StringBuilder text)
    {
        Dictionary<string, bool> trunk = Verdicts("before"), nano = Verdicts("after");
        string[] both = [.. trunk.Keys.Where(nano.ContainsKey)];
        if (both.Length == 0)
            return;
        int gained = both.Count(id => nano[id] && !trunk[id]), lost = both.Count(id => trunk[id] && !nano[id]), n = both.Length;
        double difference = (gained - lost) / (double)n, half = Z * Math.Sqrt(Math.Max(0, gained + lost - ((double)(gained - lost) * (gained - lost) / n))) / n;
        Line(text, "");
        Line(text, $"IFEval, paired over {n} prompts: {gained} gained, {lost} lost, difference {100 * difference:f1} points (95 %: {100 * (difference - half):f1} to {100 * (difference + half):f1}).");
    }

    private Dictionary<string, bool> Verdicts(string name)
    {
        var verdicts = new Dictionary<string, bool>(StringComparer.Ordinal);
        string path = options.In("answers", name, "ifeval.jsonl");
        foreach (string line in File.Exists(path) ? File.ReadLines(path).Skip(1) : [])
        {
            using JsonDocument json = JsonDocument.Parse(line);
            verdicts[json.RootElement.GetProperty("id").GetString()!] = json.RootElement.GetProperty("tallies")[0].GetProperty("hits").GetInt32() == 1;
        }

        return verdicts;
    }

    private static void Arms(StringBuilder text, NanoStages stages)
    {
        (string Name, IReadOnlyDictionary<string, double> Figures)[] arms = [.. NanoRecipe.Arms.Select(arm => (arm.Name, stages.Find("arm-" + arm.Name))).Where(arm => arm.Item2 is not null).Select(arm => (arm.Name, arm.Item2!))];
        if (arms.Length == 0)
            return;
        Line(text, "");
        Line(text, "## Arms");
        Line(text, "");
        Line(text, "The same data, the same minutes. Full fine-tuning is an upper reference and is not published.");
        Line(text, "");
        string[] passages = [.. arms[0].Figures.Keys.Where(key => key.StartsWith(Perplexity, StringComparison.Ordinal))];
        Line(text, $"| arm | tokens | held-out loss | 1-digit | 2-digit | generated tools | well-formed | first drafts | perplexity: {string.Join(", ", passages.Select(key => key[Perplexity.Length..]))} |");
        Line(text, "|---|---|---|---|---|---|---|---|---|");
        foreach ((string name, IReadOnlyDictionary<string, double> figures) in arms)
            Line(text, $"| {name} | {figures["tokens"]:f0} | {figures.GetValueOrDefault("held_out_loss", double.NaN):f4} | {Cell(figures, "one-digit")} | {Cell(figures, "two-digit")} | {Cell(figures, "generated_tools")} | {Cell(figures, "well_formed")} | {Cell(figures, "acceptance")} | {string.Join(", ", passages.Select(key => Inv($"{figures.GetValueOrDefault(key, double.NaN):f2}")))} |");
    }

    private static string Of(IReadOnlyList<NanoAnswers.Answer> answers, int i) =>
        answers.FirstOrDefault(answer => answer.Prompt == i) is { } answer ? answer.Text.Trim().ReplaceLineEndings("<br>") + (answer.IsComplete ? "" : " (cut off)") : "(not asked)";

    private static double Share(IReadOnlyDictionary<string, double> figures, string set) => figures.GetValueOrDefault(set + ".n") is > 0 and var n ? figures[set + ".right"] / n : 0;

    private static string Cell(IReadOnlyDictionary<string, double> figures, string set)
    {
        double n = figures.GetValueOrDefault(set + ".n");
        if (!(n > 0))
            return "-";
        WilsonInterval interval = WilsonInterval.Of((int)figures[set + ".right"], (int)n);
        return Inv($"{100 * Share(figures, set):f1} % ({100 * interval.Low:f0} to {100 * interval.High:f0})");
    }

    private static void Line(StringBuilder text, FormattableString line) => text.Append(Inv(line)).Append('\n');

    private static void Line(StringBuilder text, string line) => text.Append(line).Append('\n');

    private static string Inv(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
