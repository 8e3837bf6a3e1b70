using System.CommandLine;
using System.Diagnostics;
using Glimmer.Inference;
using Glimmer.Training.Upcycling;

namespace Glimmer.Cli;

/// <summary><c>glimmer upcycle</c>: the start state of a GLM made of a dense trunk.</summary>
internal sealed class UpcycleCommand : Command
{
    private static readonly UpcycleOptions s_defaults = new();
    private readonly Terminal _terminal;
    private readonly Argument<string?> _trunk = new("trunk") { Arity = ArgumentArity.ZeroOrOne, Description = "GGUF file of a dense llama model. It stays as it is. Default: the small model that comes with Glimmer." };
    private readonly Option<string> _out = new("--out", "-o") { Description = "Folder of the addition; it must not hold a model.", Required = true, HelpName = "folder" };
    private readonly Option<int?> _experts = NumberOption.Create("--experts", $"Routed experts of a layer. Default: {s_defaults.Experts}.", 1, 1024);
    private readonly Option<int?> _perToken = NumberOption.Create("--experts-per-token", $"Experts a token is sent to. Default: {s_defaults.ExpertsPerToken}.", 1, 1024);
    private readonly Option<int?> _width = NumberOption.Create("--expert-width", $"Width of an expert; it divides the trunk's feed-forward width. Default: {s_defaults.ExpertWidth}.", 1, 1 << 20);
    private readonly Option<int?> _firstSparse = NumberOption.Create("--first-sparse", $"First layer with experts. Default: {s_defaults.FirstSparseLayer}.", 0, 1 << 16);
    private readonly Option<int?> _rank = NumberOption.Create("--rank", $"Rank of the low-rank factors beside every projection; 0 for none. Default: {s_defaults.Rank}.", 0, 1 << 16);
    private readonly Option<int?> _draftTokens = NumberOption.Create("--draft-tokens", $"Tokens that the MTP layer can draft beside the control tokens; 0 for all. Default: {s_defaults.DraftTokens}.", 0, 1 << 24);
    private readonly Option<string[]> _texts = new("--frequency-text") { Description = "Text whose most frequent tokens are those; several may be given. Default: the first tokens of the vocabulary.", HelpName = "file" };
    private readonly Option<bool> _noNextToken = new("--no-mtp") { Description = "Leave out the MTP layer." };
    private readonly Option<ulong?> _seed = NumberOption.Create("--seed", "Seed of everything that starts random. Default: 1.", 0UL, ulong.MaxValue);

    public UpcycleCommand(Terminal terminal)
        : base("upcycle", "Make a GLM of a dense model: experts, control tokens, chat template, MTP layer and low-rank factors, as a small addition to its file.")
    {
        _terminal = terminal;
        Add(_trunk);
        foreach (Option option in (ReadOnlySpan<Option>)[_out, _experts, _perToken, _width, _firstSparse, _rank, _draftTokens, _texts, _noNextToken, _seed])
            Add(option);
        Validators.Add(result =>
        {
            foreach (string path in result.GetValue(_texts) ?? [])
            {
                if (!File.Exists(path))
                    result.AddError($"--frequency-text: there is no file '{path}'.");
            }
        });
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        string trunk = parsed.GetValue(_trunk) ?? EmbeddedModel.Find(), folder = parsed.GetValue(_out)!;
        if (File.Exists(Path.Combine(folder, "config.json")))
            throw new UsageException($"--out: '{folder}' holds a model already. Choose another folder.");
        var options = new UpcycleOptions
        {
            Experts = parsed.GetValue(_experts) ?? s_defaults.Experts,
            ExpertsPerToken = parsed.GetValue(_perToken) ?? s_defaults.ExpertsPerToken,
            ExpertWidth = parsed.GetValue(_width) ?? s_defaults.ExpertWidth,
            FirstSparseLayer = parsed.GetValue(_firstSparse) ?? s_defaults.FirstSparseLayer,
            Rank = parsed.GetValue(_rank) ?? s_defaults.Rank,
            DraftTokens = parsed.GetValue(_draftTokens) ?? s_defaults.DraftTokens,
            NextToken = !parsed.GetValue(_noNextToken),
            FrequencyTexts = parsed.GetValue(_texts) ?? [],
            Seed = parsed.GetValue(_seed) ?? s_defaults.Seed,
        };
        long start = Stopwatch.GetTimestamp();
        Upcycler.Write(trunk, folder, options);
        long bytes = new DirectoryInfo(folder).EnumerateFiles().Sum(file => file.Length);
        _terminal.Output.WriteLine($"{folder}: {Quantities.Bytes(bytes)} in fp32 beside {Path.GetFileName(trunk)}, in {Stopwatch.GetElapsedTime(start).TotalSeconds:f1} s");
        return ExitCodes.Success;
    }
}
