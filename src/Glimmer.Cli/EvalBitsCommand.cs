using System.CommandLine;
using System.Globalization;
using Glimmer.Environments.Evaluation;
using Glimmer.Inference;
using Spectre.Console;

namespace Glimmer.Cli;

/// <summary><c>glimmer eval bits</c>: how short a model codes generated texts, beside the bits of their generator.</summary>
internal sealed class EvalBitsCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Option<string> _data = new("--data") { Description = "Texts of a generated corpus that the model was not trained on, one JSON object a line: text, task, entropy_bits.", Required = true, HelpName = "file" };
    private readonly Option<int?> _limit = NumberOption.Create("--limit", "Only the first n texts.", 1, int.MaxValue);
    private readonly Option<bool> _json = new("--json") { Description = "Print one JSON object instead of a table." };
    private readonly ModelOptions _model;

    public EvalBitsCommand(Terminal terminal)
        : base("bits", "Bits per byte of generated texts, and the bits that their generator put in.")
    {
        _terminal = terminal;
        foreach (Option option in (ReadOnlySpan<Option>)[_data, _limit, _json])
            Add(option);
        _model = new ModelOptions().AddTo(this);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        string path = parsed.GetValue(_data)!;
        if (!File.Exists(path))
            throw new UsageException($"--data: there is no file '{path}'.");
        using LoadedModel model = _model.Open(parsed, _terminal);
        IReadOnlyList<CodeLength> lengths;
        using (var progress = new ProgressLine(_terminal))
            lengths = CodeLength.Of(model, path, parsed.GetValue(_limit) ?? 0, progress.Of<int>(done => $"scoring: {done} texts"), _terminal.Interrupted);
        if (parsed.GetValue(_json))
        {
            _terminal.Output.WriteJson(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("task", "bits");
                writer.WriteStartObject("metrics");
                foreach (CodeLength length in lengths)
                {
                    writer.WriteStartObject("bits per byte: " + length.Family);
                    writer.WriteNumber("n", length.Texts);
                    writer.WriteFinite("value", length.BitsPerByte);
                    writer.WriteFinite("bound", length.Bound);
                    writer.WriteFinite("excess", length.BitsPerByte - length.Bound);
                    writer.WriteEndObject();
                }

                writer.WriteEndObject();
                writer.WriteEndObject();
            });
            return ExitCodes.Success;
        }

        Table table = _terminal.NewTable("family", "#texts", "#bits per byte", "#generator", "#excess");
        foreach (CodeLength length in lengths)
            Terminal.AddRow(table, length.Family, length.Texts.ToString(CultureInfo.InvariantCulture), Number(length.BitsPerByte), Number(length.Bound), Number(length.BitsPerByte - length.Bound));
        _terminal.Write(table);
        return ExitCodes.Success;
    }

    private static string Number(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);
}
