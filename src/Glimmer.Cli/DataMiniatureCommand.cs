using System.CommandLine;
using Glimmer.Data.Synthesis.Miniature;
using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Cli;

/// <summary><c>glimmer data miniature</c>: the corpus of the recipe that trains a small model from nothing.</summary>
internal sealed class DataMiniatureCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Option<string> _output = new("--out", "-o") { Description = "Folder for the files.", HelpName = "dir", Required = true };
    private readonly Option<long?> _seed = NumberOption.Create("--seed", "Seed. Default: 1.", 0, long.MaxValue);
    private readonly Option<int?> _count = NumberOption.Create("--count", "Records of fine-tuning. Default: 1000.", 0, int.MaxValue);
    private readonly Option<long?> _size = SizeOption.Create("--size", "Text of each stage. Default: 1M.");
    private readonly Option<int?> _vocabulary = NumberOption.Create("--vocab-size", "Also train a tokenizer with so many tokens on it, such as 4096.", 300, 1 << 20);

    public DataMiniatureCommand(Terminal terminal)
        : base("miniature", "Write the corpus of the miniature: texts of three stages, conversations, questions of the test.")
    {
        _terminal = terminal;
        foreach (Option option in (ReadOnlySpan<Option>)[_output, _seed, _count, _size, _vocabulary])
            Add(option);
        SetAction(Run);
    }

    private int Run(ParseResult parsed)
    {
        string folder = parsed.GetValue(_output)!;
        var corpus = new MiniatureCorpus((ulong)(parsed.GetValue(_seed) ?? 1));
        IReadOnlyList<(string Name, long Lines)> files;
        using (var progress = new ProgressLine(_terminal))
            files = MiniatureFiles.Write(corpus, folder, parsed.GetValue(_size) ?? 1 << 20, parsed.GetValue(_count) ?? 1000, progress.Of<string>(name => $"writing {name}"), _terminal.Interrupted);
        foreach ((string name, long lines) in files)
            _terminal.Output.WriteLine($"{name}: {lines} lines");
        if (parsed.GetValue(_vocabulary) is int size)
        {
            BpeTrainingResult result = MiniatureTokenizer.Train(corpus, size, cancellation: _terminal.Interrupted);
            _terminal.Output.WriteLine($"{TokenizerFiles.Save(result, MiniatureTokenizer.Layout, folder)}: {size} tokens");
        }

        _terminal.Output.WriteLine($"generator version {MiniatureCorpus.Version}, {MiniatureCorpus.FactCount} facts");
        return ExitCodes.Success;
    }
}
