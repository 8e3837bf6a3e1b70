using System.CommandLine;
using Glimmer.Inference;
using Glimmer.Inference.Inspection;

namespace Glimmer.Cli;

/// <summary><c>glimmer inspect</c>: says what a checkpoint is and what is wrong with it.</summary>
internal sealed class InspectCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string?> _path = new("path") { Arity = ArgumentArity.ZeroOrOne, Description = "Checkpoint folder, .safetensors, .gguf or index file, config.json, tokenizer.json or chat template. Default: the small model that comes with Glimmer; base is the same without its addition." };
    private readonly Option<string?> _model = new("--model", "-m") { Description = "The same as the path.", HelpName = "path" };
    private readonly Option<bool> _tensors = new("--tensors") { Description = "List all tensors." };
    private readonly Option<bool> _hardware = new("--hardware") { Description = "Say what the kernels use of this machine; without a path only that." };
    private readonly Option<bool> _json = new("--json") { Description = "Print one JSON object." };

    public InspectCommand(Terminal terminal)
        : base("inspect", "Show and validate a checkpoint or one of its files; exit code 1 when there are problems.")
    {
        _terminal = terminal;
        Add(_path);
        foreach (Option option in (ReadOnlySpan<Option>)[_model, _tensors, _hardware, _json])
            Add(option);
        Validators.Add(result =>
        {
            if (result.GetValue(_path) is not null && result.GetValue(_model) is not null)
                result.AddError("A path and --model exclude each other.");
        });
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        HardwareReport? hardware = parsed.GetValue(_hardware) ? HardwareReport.Read() : null;
        string? path = parsed.GetValue(_path) ?? parsed.GetValue(_model);
        CheckpointReport? report = path is null && hardware is not null ? null : CheckpointInspector.Inspect(EmbeddedModel.Resolve(path));
        if (parsed.GetValue(_json))
            _terminal.Output.WriteJson(writer => InspectionJson.Write(writer, report, hardware, parsed.GetValue(_tensors)), indented: true);
        else
            new InspectionView(_terminal).Write(report, hardware, parsed.GetValue(_tensors));
        return report is null or { Problems.Count: 0 } ? ExitCodes.Success : ExitCodes.Failure;
    }
}
