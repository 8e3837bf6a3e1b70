using System.CommandLine;
using System.Globalization;
using Glimmer.Environments.Evaluation;
using Glimmer.Inference;
using Spectre.Console;

namespace Glimmer.Cli;

/// <summary><c>glimmer eval TASK</c>: one benchmark.</summary>
internal sealed class EvalTaskCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Func<string, ITask> _open;
    private readonly Option<string> _data = new("--data") { Description = "The benchmark's rows, one JSON object a line. For bfcl the answers lie in possible_answer beside the file.", Required = true, HelpName = "file" };
    private readonly Option<int?> _limit = NumberOption.Create("--limit", "Only the first n samples.", 1, int.MaxValue);
    private readonly Option<int?> _maxTokens = NumberOption.Create("--max-tokens", "Most tokens of an answer. Default: 512, for ifeval 1280.", 1, int.MaxValue);
    private readonly Option<int?> _concurrency = NumberOption.Create("--concurrency", "Samples that generate at the same time; changes no answer. Default: 16.", 1, 1024);
    private readonly Option<string?> _thinking = new("--thinking") { Description = "on or off, where the chat template has the switch." };
    private readonly Option<string?> _out = new("--out", "-o") { Description = "Keep every answer and its grade here, one JSON object a line. Run the same command again to go on after an interruption.", HelpName = "file" };
    private readonly Option<bool> _json = new("--json") { Description = "Print one JSON object instead of a table." };
    private readonly ModelOptions _model;

    public EvalTaskCommand(Terminal terminal, string name, string description, Func<string, ITask> open)
        : base(name, description)
    {
        (_terminal, _open) = (terminal, open);
        _thinking.AcceptOnlyFromAmong("on", "off");
        foreach (Option option in (ReadOnlySpan<Option>)[_data, _limit, _maxTokens, _concurrency, _thinking, _out, _json])
            Add(option);
        _model = new ModelOptions().AddTo(this);
        Validators.Add(result =>
        {
            if (result.GetValue(_data) is { } path && !File.Exists(path))
                result.AddError($"--data: there is no file '{path}'.");
        });
        SetAction((parsed, _) => ExecuteAsync(parsed));
    }

    private async Task<int> ExecuteAsync(ParseResult parsed)
    {
        string path = parsed.GetValue(_data)!;
        ITask task = _open(path);
        using LoadedModel model = _model.Open(parsed, _terminal);
        int concurrency = parsed.GetValue(_concurrency) ?? 16;
        using var engine = new Engine(model, new EngineOptions { MaxRunning = concurrency, MixedPrefillTokens = 256 });
        var settings = new Dictionary<string, string> { ["data"] = Path.GetFileName(path), ["data_sha256"] = Environments.Tasks.DataRows.Hash(path) };
        string answers = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, "possible_answer", Path.GetFileName(path));
        if (File.Exists(answers))
            settings["answers_sha256"] = Environments.Tasks.DataRows.Hash(answers);
        var options = new EvaluationOptions
        {
            Limit = parsed.GetValue(_limit) ?? 0,
            MaxTokens = parsed.GetValue(_maxTokens) ?? 0,
            Thinking = parsed.GetValue(_thinking) switch { "on" => true, "off" => false, _ => null },
            Concurrency = concurrency,
            ResultsPath = parsed.GetValue(_out),
            Settings = settings,
        };
        EvaluationReport report;
        using (var progress = new ProgressLine(_terminal))
        {
            report = await EvaluationRun.RunAsync(
                task, model, engine, options,
                progress.Of<EvaluationProgress>(now => $"{task.Name}: {now.Done} of {now.Count}, {now.Hits} right, {now.OutputTokens} tokens"), cancellationToken: _terminal.Interrupted);
        }

        if (parsed.GetValue(_json))
            WriteJson(report);
        else
            WriteTable(report);
        return ExitCodes.Success;
    }

    private void WriteTable(EvaluationReport report)
    {
        Table table = _terminal.NewTable(report.Task, "#right", "#of", "#share", "#95 % interval");
        foreach (MetricResult metric in report.Metrics)
        {
            Terminal.AddRow(
                table, metric.Name, metric.Hits.ToString(CultureInfo.InvariantCulture), metric.Count.ToString(CultureInfo.InvariantCulture), Percent(metric.Value),
                $"{Percent(metric.Interval.Low)} - {Percent(metric.Interval.High)}");
        }

        _terminal.Write(table);
        int tokens = report.Results.Sum(result => result.OutputTokens);
        string resumed = report.Resumed > 0 ? $", {report.Resumed} of the samples from before" : "";
        _terminal.Output.WriteLine($"{report.Results.Count} samples, {tokens} tokens, {report.CutOff} cut off, {report.Errors} without an answer, {report.Elapsed.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s{resumed}");
    }

    private void WriteJson(EvaluationReport report) => _terminal.Output.WriteJson(writer =>
    {
        writer.WriteStartObject();
        foreach ((string name, string value) in report.Settings)
            writer.WriteString(name, value);
        writer.WriteNumber("samples", report.Results.Count);
        writer.WriteNumber("resumed", report.Resumed);
        writer.WriteNumber("errors", report.Errors);
        writer.WriteNumber("cut_off", report.CutOff);
        writer.WriteNumber("prompt_tokens", report.Results.Sum(result => (long)result.PromptTokens));
        writer.WriteNumber("output_tokens", report.Results.Sum(result => (long)result.OutputTokens));
        writer.WriteFinite("seconds", report.Elapsed.TotalSeconds);
        writer.WriteStartObject("metrics");
        foreach (MetricResult metric in report.Metrics)
        {
            writer.WriteStartObject(metric.Name);
            writer.WriteNumber("right", metric.Hits);
            writer.WriteNumber("n", metric.Count);
            writer.WriteFinite("value", metric.Value);
            writer.WriteFinite("low", metric.Interval.Low);
            writer.WriteFinite("high", metric.Interval.High);
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
    });

    private static string Percent(double share) => (share * 100).ToString("0.0", CultureInfo.InvariantCulture) + " %";
}
