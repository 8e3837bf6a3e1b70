using System.Globalization;
using System.Text.Json;
using Glimmer.Data.Synthesis.Nano;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Tensors;
using Glimmer.Training.Runs;
using Glimmer.Training.Upcycling;

namespace Glimmer.Cli.Nano;

/// <summary>The recipe of Glimmer Nano from the trunk to the report, stage by stage.</summary>
/// <remarks>Every stage leaves its result in the folder of the run, and long ones what they have so far: the same command goes on after an interruption.</remarks>
internal sealed class NanoRecipe
{
    private const int AnswerTokens = 200;
    private const int HeldOutPrompts = 100;

    // An arm's minutes are training; loading and its questions come on top.
    private const double ArmFactor = 1.25;

    private readonly NanoOptions _options;
    private readonly Terminal _terminal;
    private readonly NanoBudget _budget;
    private readonly NanoStages _stages;
    private readonly NanoCorpus _corpus;

    public NanoRecipe(NanoOptions options, Terminal terminal)
    {
        (_options, _terminal, _budget) = (options, terminal, new NanoBudget(options.Minutes));
        _stages = new NanoStages(options.In("stages"), TimeProvider.System);
        _corpus = new NanoCorpus(options.Seed, NanoSources.Read(options.Data));
        Evaluation = new NanoEvaluation(options, _budget, _corpus, terminal);
    }

    /// <summary>The arms of the comparison.</summary>
    public static IReadOnlyList<(string Name, AdditionParts Parts)> Arms { get; } = [("experts-and-lora", AdditionParts.All), ("lora", AdditionParts.WithoutExperts), ("full", AdditionParts.Whole)];

    private NanoEvaluation Evaluation { get; }

    private string Start => _options.In("start");

    /// <summary>Runs what is not done yet, up to the report.</summary>
    /// <param name="withArms">Whether the arms of the comparison run too, behind everything else.</param>
    /// <exception cref="UsageException">The folder belongs to a run with other settings.</exception>
    public string Run(bool withArms)
    {
        Keep(_options.Settings, _options.Folder);
        _terminal.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{_options.Minutes:f0} minutes on {_options.Threads} threads, in '{_options.Folder}':"));
        foreach (string line in _budget.Lines())
            _terminal.Output.WriteLine(line);
        if (withArms)
            _terminal.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {"comparison, beyond these",-28}{Arms.Count * _options.ArmMinutes * ArmFactor,7:f1} min"));
        _terminal.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{_corpus.Prompts.All.Count} different prompts, {NanoCorpus.FunctionCount} functions, {_corpus.Gsm8kCount} problems of GSM8K"));
        Stage("before", "report card of the trunk", () => Evaluation.Run(_options.Trunk, "before"));
        Stage("answers", "the trunk's own answers", Answer);
        Stage("start", "start state", MakeStart);
        Stage("training", "training", Train);
        Stage("publish", "addition in BF16", Publish);
        Stage("after", "report card of the result", () => Evaluation.Run(_options.In("addition"), "after"));
        if (withArms)
            RunArms();
        return Report();
    }

    /// <summary>Runs the arms of the comparison alone, with what they need: no report card, nothing to publish.</summary>
    /// <returns>Path of the table.</returns>
    /// <exception cref="UsageException">The folder belongs to a run with other settings.</exception>
    public string Compare()
    {
        Keep(_options.Settings, _options.Folder);
        _terminal.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{_budget.Answers + (Arms.Count * _options.ArmMinutes * ArmFactor):f0} minutes on {_options.Threads} threads, in '{_options.Folder}': the trunk's own answers, then {Arms.Count} arms of {_options.ArmMinutes} minutes"));
        Stage("answers", "the trunk's own answers", Answer);
        Stage("start", "start state", MakeStart);
        RunArms();
        string path = new NanoReport(_options, _budget).WriteArms(_stages);
        _terminal.Output.WriteLine($"comparison: {path}");
        return path;
    }

    private static void Keep(RunSettings settings, string folder)
    {
        Directory.CreateDirectory(folder);
        if (settings.ChangesSince(folder) is { Count: > 0 } changes)
            throw new UsageException($"'{folder}' holds a run with other settings: {string.Join(", ", changes)}. Give those it has, or choose another folder.");
        settings.Write(folder);
    }

    private void RunArms()
    {
        Keep(_options.ArmSettings, _options.In("arms"));
        foreach ((string name, AdditionParts parts) in Arms)
            Stage("arm-" + name, $"arm '{name}'", () => Arm(name, parts));
    }

    private void Stage(string name, string title, Func<Dictionary<string, double>> run)
    {
        _terminal.Interrupted.ThrowIfCancellationRequested();
        bool isDone = _stages.Find(name) is not null;
        _terminal.Output.WriteLine(isDone ? $"{title}: done before" : title);
        _terminal.Output.Flush();
        _stages.Run(name, run);
    }

    private Dictionary<string, double> Answer()
    {
        using LoadedModel trunk = LoadedModel.Open(_options.Trunk, _options.Threads);
        // The last prompts are kept for measuring.
        string[] prompts = [.. _corpus.Prompts.All.Take(Math.Max(1, _corpus.Prompts.All.Count - HeldOutPrompts))];
        IReadOnlyList<NanoAnswers.Answer> answers = NanoAnswers.RunAsync(trunk, prompts, AnswersPath, AnswerTokens, _budget.Answers * 60, thinking: null, _terminal.Interrupted).GetAwaiter().GetResult();
        _terminal.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {answers.Count} of {prompts.Length} different prompts answered, {answers.Count(answer => answer.IsComplete)} to their end"));
        return new Dictionary<string, double> { ["answers"] = answers.Count, ["complete"] = answers.Count(answer => answer.IsComplete) };
    }

    private string AnswersPath => _options.In("data", "own-answers.jsonl");

    private Dictionary<string, double> MakeStart()
    {
        if (Directory.Exists(Start))
            Directory.Delete(Start, recursive: true);
        Upcycler.Write(_options.Trunk, Start, _options.Upcycle with { Seed = _options.Seed });
        return [];
    }

    private Dictionary<string, double> Train()
    {
        (string checkpoint, Dictionary<string, double> figures) = NanoTraining.Run(_options, Start, Documents, _options.In("training"), _budget.Training, AdditionParts.All, _terminal);
        File.WriteAllText(_options.In("training", "last"), checkpoint);
        return figures;
    }

    private NanoDocuments Documents(LoadedModel model, LoadedModel trunk)
    {
        return new NanoDocuments(_corpus, model, trunk, NanoAnswers.Read(AnswersPath));
    }

    private Dictionary<string, double> Publish()
    {
        using var team = new Kernels.ThreadTeam(1);
        using Checkpoint checkpoint = Checkpoint.Open(File.ReadAllText(_options.In("training", "last")));
        using CausalLm model = checkpoint.LoadModel(team);
        var weights = new AdditionWeights(model, checkpoint);
        weights.Weaken((float)_options.Strength);
        weights.Write(_options.In("addition"), DType.BF16);
        return new Dictionary<string, double> { ["bytes"] = new DirectoryInfo(_options.In("addition")).EnumerateFiles().Sum(file => file.Length) };
    }

    private Dictionary<string, double> Arm(string name, AdditionParts parts)
    {
        string folder = _options.In("arms", name);
        (string checkpoint, Dictionary<string, double> figures) = NanoTraining.Run(_options, Start, Documents, folder, _options.ArmMinutes, parts, _terminal);
        foreach ((string key, double value) in Evaluation.Run(checkpoint, "arm-" + name, small: true))
            figures[key] = value;
        return figures;
    }

    private string Report()
    {
        IReadOnlyList<NanoAnswers.Answer> before = NanoAnswers.Read(_options.In("answers", "before", "questions.jsonl")), after = NanoAnswers.Read(_options.In("answers", "after", "questions.jsonl"));
        long bytes = (long)_stages.Find("publish")!["bytes"];
        string path = new NanoReport(_options, _budget).Write(_stages, Evaluation.Questions, before, after, [.. Curve()], bytes);
        _terminal.Output.WriteLine($"report: {path}");
        _terminal.Output.WriteLine($"addition: {_options.In("addition")} ({Quantities.Bytes(bytes)}); try it with 'glimmer chat --model {_options.In("addition")}'");
        return path;
    }

    private IEnumerable<(long Step, double Loss, double Acceptance)> Curve()
    {
        foreach (string line in File.ReadLines(_options.In("training", "log.jsonl")))
        {
            using JsonDocument json = JsonDocument.Parse(line);
            if (json.RootElement.TryGetProperty("eval", out JsonElement figures) && figures.TryGetProperty("valid_loss", out JsonElement loss))
                yield return (json.RootElement.GetProperty("steps").GetInt64(), Number(loss), figures.TryGetProperty("mtp_acceptance", out JsonElement acceptance) ? Number(acceptance) : double.NaN);
        }
    }

    private static double Number(JsonElement value) => value.ValueKind == JsonValueKind.Number ? value.GetDouble() : double.NaN;
}
