using System.CommandLine;
using System.Diagnostics;
using Glimmer.Inference;
using Glimmer.Inference.Quality;
using Glimmer.Models;

namespace Glimmer.Cli;

/// <summary><c>glimmer quantize</c>: a smaller GGUF file, and what that costs in quality.</summary>
internal sealed class QuantizeCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string> _input = new("src") { Description = "Folder or file of a checkpoint with a tokenizer." };
    private readonly Argument<string> _output = new("dst") { Description = "File to write; ends in .gguf." };
    private readonly Option<string> _type = new("--type", "-t") { Description = "Element type of the matrices: q8_0, q4_0, q4_k ..., or a mixture: q4_k_m, q5_k_m.", HelpName = "type", Required = true };
    private readonly Option<string?> _file = new("--text") { Description = "UTF-8 file whose tokens both models predict. Default: a short text that comes with Glimmer.", HelpName = "path" };
    private readonly Option<int?> _threads = NumberOption.Create("--threads", "Computing threads. Default: one a processor.", 1, 1024);
    private readonly Option<bool> _json = new("--json") { Description = "Print one JSON object." };

    public QuantizeCommand(Terminal terminal)
        : base("quantize", "Convert a checkpoint to a smaller type and measure perplexity and divergence against the source. The better default of --activations is written into the file.")
    {
        _terminal = terminal;
        _type.CompletionSources.Add(_ => StorageRecipe.Names);
        _type.Validators.Add(result =>
        {
            string name = result.GetValueOrDefault<string>() ?? "";
            if (!StorageRecipe.Names.Contains(name, StringComparer.OrdinalIgnoreCase))
                result.AddError($"--type is '{name}'; expected one of {string.Join(", ", StorageRecipe.Names)}.");
        });
        Add(_input);
        Add(_output);
        foreach (Option option in (ReadOnlySpan<Option>)[_type, _file, _threads, _json])
            Add(option);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        string input = parsed.GetValue(_input)!, output = parsed.GetValue(_output)!;
        if (!output.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            throw new UsageException($"the output is '{output}'; a quantised checkpoint is a GGUF file, whose name ends in .gguf.");
        string text = parsed.GetValue(_file) is { } file ? TextInput.ReadFile(file) : QualityComparison.DefaultText;
        StorageRecipe recipe = StorageRecipe.Parse(parsed.GetValue(_type)!);
        long start = Stopwatch.GetTimestamp();
        QualityReport report;
        using (var progress = new ProgressLine(_terminal))
        {
            IProgress<ConversionProgress> converting = progress.Of<ConversionProgress>(state => $"quantising: {(double)state.ElementsDone / Math.Max(1, state.ElementsTotal):p0} {state.Tensor}");
            IProgress<string> measuring = progress.Of<string>(what => $"measuring, {what}");
            report = QuantizedCheckpoint.Write(input, output, recipe, text, parsed.GetValue(_threads) ?? Environment.ProcessorCount, converting, measuring, _terminal.Interrupted);
        }

        long before = SizeOf(input), after = SizeOf(output);
        if (parsed.GetValue(_json))
            WriteJson(input, output, recipe, report, before, after);
        else
            WriteTable(output, report, before, after, Stopwatch.GetElapsedTime(start));
        return ExitCodes.Success;
    }

    private void WriteJson(string input, string output, StorageRecipe recipe, QualityReport report, long before, long after) => _terminal.Output.WriteJson(writer =>
    {
        writer.WriteStartObject();
        writer.WriteString("source", input);
        writer.WriteString("output", output);
        writer.WriteString("type", recipe.Name);
        writer.WriteNumber("source_bytes", before);
        writer.WriteNumber("bytes", after);
        writer.WriteNumber("tokens", report.Tokens);
        writer.WriteFinite("source_perplexity", report.SourcePerplexity);
        foreach ((string name, QualityFigures figures) in ((string, QualityFigures)[])[("f32", report.F32), ("q8", report.Q8)])
        {
            writer.WriteStartObject(name);
            writer.WriteFinite("perplexity", figures.Perplexity);
            writer.WriteFinite("kl_mean", figures.MeanDivergence);
            writer.WriteFinite("kl_p99", figures.P99Divergence);
            writer.WriteFinite("same_top", figures.SameTop);
            writer.WriteEndObject();
        }

        writer.WriteString("default_activations", report.PrefersQ8 ? "q8" : "f32");
        writer.WriteEndObject();
    });

    private void WriteTable(string output, QualityReport report, long before, long after, TimeSpan time)
    {
        _terminal.Output.WriteLine($"{output}: {Quantities.Bytes(after)} from {Quantities.Bytes(before)} in {time.TotalSeconds:f1} s; {report.Tokens} tokens predicted");
        Spectre.Console.Table table = _terminal.NewTable("", "#perplexity", "#mean KL", "#p99 KL", "#same best token");
        Terminal.AddRow(table, "source", $"{report.SourcePerplexity:f4}", "", "", "");
        foreach ((string name, QualityFigures figures) in ((string, QualityFigures)[])[("f32 activations", report.F32), ("q8 activations", report.Q8)])
            Terminal.AddRow(table, name, $"{figures.Perplexity:f4}", $"{figures.MeanDivergence:f5}", $"{figures.P99Divergence:f5}", $"{figures.SameTop:p1}");
        _terminal.Write(table);
        _terminal.Output.WriteLine($"default activations of this file: {(report.PrefersQ8 ? "q8" : "f32")}");
    }

    private static long SizeOf(string path) => File.Exists(path) ? new FileInfo(path).Length : new DirectoryInfo(path).EnumerateFiles().Sum(file => file.Length);
}
