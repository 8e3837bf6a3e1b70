using System.CommandLine;
using Glimmer.Data.Synthesis.Nano;

namespace Glimmer.Cli;

/// <summary><c>glimmer data nano</c>: the data of the recipe that makes the embedded model a GLM.</summary>
internal sealed class DataNanoCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Option<string> _output = new("--out", "-o") { Description = "Folder for the files.", HelpName = "dir", Required = true };
    private readonly Option<string> _sources = new("--sources") { Description = "Folder with gsm8k_train.jsonl and passages.jsonl.", HelpName = "dir", DefaultValueFactory = _ => Path.Combine("recipes", "nano", "data") };
    private readonly Option<long?> _seed = NumberOption.Create("--seed", "Seed. Default: 1.", 0, long.MaxValue);
    private readonly Option<int?> _count = NumberOption.Create("--count", "Records to write. Default: 1000.", 0, int.MaxValue);

    public DataNanoCommand(Terminal terminal)
        : base("nano", "Write the data of Nano: records, prompts for the trunk's own answers, held-out questions and tool calls.")
    {
        _terminal = terminal;
        foreach (Option option in (ReadOnlySpan<Option>)[_output, _sources, _seed, _count])
            Add(option);
        SetAction(Run);
    }

    private int Run(ParseResult parsed)
    {
        string sources = parsed.GetValue(_sources)!;
        if (!Directory.Exists(sources))
            throw new UsageException($"'{sources}' does not exist; name the folder of recipes/nano/data with --sources.");
        var corpus = new NanoCorpus((ulong)(parsed.GetValue(_seed) ?? 1), NanoSources.Read(sources));
        foreach ((string name, long lines) in NanoFiles.Write(corpus, parsed.GetValue(_output)!, parsed.GetValue(_count) ?? 1000, _terminal.Interrupted))
            _terminal.Output.WriteLine($"{name}: {lines} lines");
        _terminal.Output.WriteLine($"generator version {NanoCorpus.Version}, {NanoCorpus.FunctionCount} functions, {corpus.Prompts.All.Count} different prompts, {corpus.Gsm8kCount} problems of GSM8K");
        return ExitCodes.Success;
    }
}
