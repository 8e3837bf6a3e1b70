using System.CommandLine;
using System.Diagnostics;
using Glimmer.Models;
using Glimmer.Tensors;

namespace Glimmer.Cli;

/// <summary><c>glimmer convert</c>: from one layout and element type to another.</summary>
internal sealed class ConvertCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string> _input = new("in") { Description = "Folder or file of a checkpoint." };
    private readonly Argument<string> _output = new("out") { Description = "A path that ends in .gguf, or a folder for the Hugging Face layout." };
    private readonly Option<string> _type = new("--type", "-t") { Description = "Element type of the matrices: f32, bf16, f16, and in GGUF q8_0, q4_0, q4_k ...", HelpName = "type", Required = true };

    public ConvertCommand(Terminal terminal)
        : base("convert", "Convert a checkpoint between the Hugging Face layout and GGUF, or to another type.")
    {
        _terminal = terminal;
        _type.CompletionSources.Add(_ => StorageTypes.Names);
        _type.Validators.Add(result =>
        {
            string name = result.GetValueOrDefault<string>() ?? "";
            if (!StorageTypes.Names.Contains(name, StringComparer.OrdinalIgnoreCase))
                result.AddError($"--type is '{name}'; expected one of {string.Join(", ", StorageTypes.Names)}.");
        });
        Add(_input);
        Add(_output);
        Add(_type);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        string input = parsed.GetValue(_input)!;
        string output = parsed.GetValue(_output)!;
        DType type = StorageTypes.Parse(parsed.GetValue(_type)!);
        long start = Stopwatch.GetTimestamp();
        using (var progress = new ProgressLine(_terminal))
        {
            IProgress<ConversionProgress> reporter = progress.Of<ConversionProgress>(state => $"converting: {(double)state.ElementsDone / Math.Max(1, state.ElementsTotal):p0} {state.Tensor}");
            CheckpointConverter.Convert(input, output, type, reporter, _terminal.Interrupted);
        }

        long bytes = File.Exists(output) ? new FileInfo(output).Length : new DirectoryInfo(output).EnumerateFiles().Sum(file => file.Length);
        _terminal.Output.WriteLine($"{output}: {Quantities.Bytes(bytes)} in {Stopwatch.GetElapsedTime(start).TotalSeconds:f1} s");
        return ExitCodes.Success;
    }
}
