using System.CommandLine;
using Glimmer.Data;
using Glimmer.Data.Readers;
using Glimmer.Data.Tokens;
using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Cli;

/// <summary><c>glimmer tokenize-corpus</c>: text files to shards of tokens that training maps.</summary>
internal sealed class TokenizeCorpusCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string[]> _files = new("files") { Arity = ArgumentArity.OneOrMore, Description = "JSON lines with a text, or text files; .gz and .zst too." };
    private readonly Option<string> _model = new("--tokenizer", "--model") { Description = "tokenizer.json, its folder, or a GGUF file.", HelpName = "path", Required = true };
    private readonly Option<string> _output = new("--out", "-o") { Description = "Folder for the shards.", HelpName = "dir", Required = true };
    private readonly Option<string> _field = new("--field") { Description = "Field of a JSON line with the text.", DefaultValueFactory = _ => "text" };
    private readonly Option<TextUnit> _unit = new("--unit") { Description = "What is a document of a text file.", DefaultValueFactory = _ => TextUnit.File };
    private readonly Option<string> _end = new("--end-of-text") { Description = "Token behind every document; 'none' for none.", DefaultValueFactory = _ => "<|endoftext|>", HelpName = "token" };
    private readonly Option<long?> _shard = NumberOption.Create("--shard-tokens", "Tokens after which a new shard begins. Default: 2^30.", 1, long.MaxValue);
    private readonly Option<bool> _control = new("--control-tokens") { Description = "Control tokens in the texts are meant: only for text of a generator or a template." };
    private readonly Option<bool> _skip = new("--skip-bad-lines") { Description = "Leave out lines that are no documents and say how many, instead of stopping." };

    public TokenizeCorpusCommand(Terminal terminal)
        : base("tokenize-corpus", "Tokenise a corpus into shards for training.")
    {
        _terminal = terminal;
        Add(_files);
        foreach (Option option in (ReadOnlySpan<Option>)[_model, _output, _field, _unit, _end, _shard, _control, _skip])
            Add(option);
        SetAction(Run);
    }

    private int Run(ParseResult parsed)
    {
        Tokenizer tokenizer = TokenizerFiles.Open(parsed.GetValue(_model)!);
        bool isControl = parsed.GetValue(_control);
        string end = parsed.GetValue(_end)!;
        var reader = new DocumentReader(new ReaderOptions
        {
            BadLines = parsed.GetValue(_skip) ? BadLines.Skip : BadLines.Stop,
            OnBadLine = line => _terminal.Notice($"left out: {line}"),
            TextField = parsed.GetValue(_field)!,
            TextUnit = parsed.GetValue(_unit),
        });
        IEnumerable<Document> documents = reader.Read(parsed.GetValue(_files)!).Select(document => document with { HasControlTokens = isControl });
        var options = new TokenShardOptions { EndOfText = end == "none" ? null : end, ShardTokens = parsed.GetValue(_shard) ?? new TokenShardOptions().ShardTokens };
        TokenizingProgress done;
        using (var progress = new ProgressLine(_terminal))
        {
            IProgress<TokenizingProgress> reporter = progress.Of<TokenizingProgress>(state => $"{state.Documents} documents, {Quantities.Bytes(state.TextBytes)}, {state.Tokens} tokens");
            done = TokenShards.Write(parsed.GetValue(_output)!, documents, tokenizer, options, reporter, _terminal.Interrupted);
        }

        _terminal.Output.WriteLine($"{done.Documents} documents, {Quantities.Bytes(done.TextBytes)}, {done.Tokens} tokens");
        if (reader.BadLineCount > 0)
            _terminal.Notice($"{reader.BadLineCount} lines were left out.");
        return ExitCodes.Success;
    }
}
