using System.CommandLine;
using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Cli;

/// <summary><c>glimmer tokenizer</c>: its one subcommand <c>train</c> learns a vocabulary.</summary>
internal sealed class TokenizerCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string[]> _files = new("files") { Arity = ArgumentArity.OneOrMore, Description = "Text files (UTF-8), or .jsonl files with {\"text\": ...} lines." };
    private readonly Option<int?> _size = NumberOption.Create("--vocab-size", "Tokens to reach, special ones and the 256 bytes included.", 1, int.MaxValue);
    private readonly Option<string> _output = new("--output", "-o") { Description = "Folder that gets tokenizer.json.", HelpName = "dir", Required = true };
    private readonly Option<int?> _frequency = NumberOption.Create("--min-frequency", "A pair must occur this often to be merged. Default: 2.", 0, int.MaxValue);
    private readonly Option<string[]> _special = new("--special") { Description = "Special token, placed behind the vocabulary; may be repeated.", HelpName = "text", Arity = ArgumentArity.ZeroOrMore };
    private readonly Option<PreTokenizer> _preTokenizer = new("--pre-tokenizer") { Description = "How text is cut into pieces.", DefaultValueFactory = _ => PreTokenizer.Glm };
    private readonly Option<int?> _length = NumberOption.Create("--max-token-length", "Longest token in bytes. Default: no limit.", 1, int.MaxValue);
    private readonly Option<bool> _nfc = new("--nfc") { Description = "Put text into normalisation form C first." };
    private readonly Option<int?> _threads = NumberOption.Create("--threads", "Threads; the result does not depend on them. Default: one a processor.", 1, 1024);

    public TokenizerCommand(Terminal terminal)
        : base("tokenizer", "Train tokenizers.")
    {
        _terminal = terminal;
        _size.Required = true;
        var train = new Command("train", "Learn a byte-level BPE vocabulary from text. The same input gives the same vocabulary as Hugging Face's BpeTrainer.") { _files };
        foreach (Option option in (ReadOnlySpan<Option>)[_size, _output, _frequency, _special, _preTokenizer, _length, _nfc, _threads])
            train.Add(option);
        train.SetAction(Train);
        Add(train);
    }

    private int Train(ParseResult parsed)
    {
        string[] files = parsed.GetValue(_files)!;
        string? absent = Array.Find(files, file => !File.Exists(file));
        if (absent is not null)
            throw new FileNotFoundException($"'{absent}' does not exist.");
        var options = new BpeTrainerOptions
        {
            VocabularySize = parsed.GetValue(_size)!.Value,
            MinFrequency = parsed.GetValue(_frequency) ?? 2,
            PreTokenizer = parsed.GetValue(_preTokenizer),
            MaxTokenLength = parsed.GetValue(_length) + 1,
            NormalizeNfc = parsed.GetValue(_nfc),
            Threads = parsed.GetValue(_threads),
        };
        var layout = new TokenizerLayout { AddedTokens = [.. (parsed.GetValue(_special) ?? []).Select(text => (text, true))] };
        options = options with { VocabularySize = options.VocabularySize - layout.AddedTokens.Count };
        if (options.VocabularySize < BpeTrainerOptions.ByteCharacters.Count)
            throw new UsageException($"--vocab-size is too small: the bytes and special tokens alone are {BpeTrainerOptions.ByteCharacters.Count + layout.AddedTokens.Count}.");
        BpeTrainingResult result;
        using (var progress = new ProgressLine(_terminal))
        {
            IProgress<BpeTrainingProgress> reporter = progress.Of<BpeTrainingProgress>(state =>
                state.Stage == BpeTrainingStage.CountingWords ? $"counting words: {state.Done} documents" : $"merging: {state.Done} of {state.Total} tokens");
            result = BpeTrainer.Train(TrainingText.Read(files), options, reporter, _terminal.Interrupted);
        }

        string path = TokenizerFiles.Save(result, layout, parsed.GetValue(_output)!);
        int count = result.Tokens.Count + layout.AddedTokens.Count;
        _terminal.Output.WriteLine($"{path}: {count} tokens, {result.Merges.Count} merges");
        if (result.Tokens.Count < options.VocabularySize)
            _terminal.Notice($"the text has too few frequent pairs for {options.VocabularySize + layout.AddedTokens.Count} tokens; --min-frequency 1 or more text gives more.");
        return ExitCodes.Success;
    }
}
