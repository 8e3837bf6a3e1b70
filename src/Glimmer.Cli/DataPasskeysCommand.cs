using System.CommandLine;
using Glimmer.Data;
using Glimmer.Data.Synthesis;
using Glimmer.Data.Synthesis.Passkeys;
using Glimmer.Inference;

namespace Glimmer.Cli;

/// <summary><c>glimmer data passkeys</c>: texts with hidden keys, and questions for them.</summary>
internal sealed class DataPasskeysCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Option<string> _tokenizer = new("--tokenizer", "--model") { Description = "Counts the tokens: tokenizer.json, its folder, or a GGUF file.", HelpName = "path", Required = true };
    private readonly Option<string> _output = new("--out", "-o") { Description = "Folder for the files.", HelpName = "dir", Required = true };
    private readonly Option<int?> _length = NumberOption.Create("--length", "Tokens of the longest text. Default: 512.", PasskeyCorpus.ShortestLength, 1 << 20);
    private readonly Option<long?> _tokens = NumberOption.Create("--tokens", "Tokens of all texts for training; validation has a twentieth. Default: 1000000.", 1, long.MaxValue);
    private readonly Option<int?> _count = NumberOption.Create("--count", "Questions, of at most 500. Default: 200.", 1, 500);
    private readonly Option<long?> _seed = NumberOption.Create("--seed", "Seed. Default: 1.", 0, long.MaxValue);

    public DataPasskeysCommand(Terminal terminal)
        : base("passkeys", "Write texts with hidden pass keys, for training and validation, and questions for keys that occur in none of them.")
    {
        _terminal = terminal;
        foreach (Option option in (ReadOnlySpan<Option>)[_tokenizer, _output, _length, _tokens, _count, _seed])
            Add(option);
        SetAction(Run);
    }

    private int Run(ParseResult parsed)
    {
        string folder = parsed.GetValue(_output)!;
        Directory.CreateDirectory(folder);
        long tokens = parsed.GetValue(_tokens) ?? 1_000_000;
        var corpus = new PasskeyCorpus((ulong)(parsed.GetValue(_seed) ?? 1), TokenizerFiles.Open(parsed.GetValue(_tokenizer)!), parsed.GetValue(_length) ?? 512);
        using (var progress = new ProgressLine(_terminal))
        {
            IProgress<string> names = progress.Of<string>(name => $"writing {name}");
            Write("train", corpus.Stream(tokens).Select(SyntheticJson.Of));
            Write("validation", corpus.Stream(tokens / 20, CorpusSplit.Validation).Select(SyntheticJson.Of));
            Write("questions", corpus.Questions(parsed.GetValue(_count) ?? 200).Select(SyntheticJson.Of));

            void Write(string name, IEnumerable<string> lines)
            {
                names.Report($"{name}.jsonl");
                long count = JsonLinesFile.Write(Path.Combine(folder, name + ".jsonl"), lines, _terminal.Interrupted);
                progress.Clear();
                _terminal.Output.WriteLine($"{name}.jsonl: {count} lines");
            }
        }

        _terminal.Output.WriteLine($"generator version {PasskeyCorpus.Version}");
        return ExitCodes.Success;
    }
}
