using System.CommandLine;
using Glimmer.Data;
using Glimmer.Data.Readers;
using Glimmer.Data.Tokens;
using Glimmer.Tokenization;

namespace Glimmer.Cli;

/// <summary><c>glimmer shards</c>: from text to the tokenised files that pre-training reads.</summary>
internal sealed class ShardsCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string[]> _files = new("files") { Arity = ArgumentArity.OneOrMore, Description = "Text: .jsonl files with a field text, or plain text; .gz and .zst too." };
    private readonly Option<string> _output = new("--out", "-o") { Description = "Folder for the shards; it must not hold any.", HelpName = "dir", Required = true };
    private readonly Option<string> _tokenizer = new("--tokenizer") { Description = "Folder or file of the model, or its tokenizer.json.", HelpName = "path", Required = true };
    private readonly Option<string> _field = new("--field") { Description = "Field of a JSON line that holds the text.", DefaultValueFactory = _ => "text" };
    private readonly Option<string?> _end = new("--end-of-text") { Description = "Token behind every document, 'none' for none. Default: <|endoftext|>.", HelpName = "token" };
    private readonly Option<bool> _special = new("--special") { Description = "Control tokens in the text, such as <|user|>, become their ids. Only for text that you generated." };
    private readonly Option<bool> _skip = new("--skip-bad-lines") { Description = "Leave out lines that are no documents, and count them, instead of stopping." };

    public ShardsCommand(Terminal terminal)
        : base("shards", "Tokenise text once, into memory-mapped files for pre-training.")
    {
        _terminal = terminal;
        Add(_files);
        foreach (Option option in (ReadOnlySpan<Option>)[_output, _tokenizer, _field, _end, _special, _skip])
            Add(option);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        foreach (string missing in parsed.GetValue(_files)!.Where(path => !File.Exists(path)))
            throw new UsageException($"There is no file '{missing}'.");
        Tokenizer tokenizer = Tokenizer.Load(parsed.GetValue(_tokenizer)!);
        var reader = new DocumentReader(new ReaderOptions { TextField = parsed.GetValue(_field)!, BadLines = parsed.GetValue(_skip) ? BadLines.Skip : BadLines.Stop });
        bool special = parsed.GetValue(_special);
        var options = new TokenShardOptions { EndOfText = parsed.GetValue(_end) switch { null => "<|endoftext|>", "none" => null, var token => token } };
        string output = parsed.GetValue(_output)!;
        TokenizingProgress done;
        using (var progress = new ProgressLine(_terminal))
        {
            done = TokenShards.Write(
                output, reader.Read(parsed.GetValue(_files)!).Select(document => document with { HasControlTokens = special }), tokenizer, options,
                progress.Of<TokenizingProgress>(now => $"tokenising: {now.Documents} documents, {now.Tokens} tokens"), _terminal.Interrupted);
        }

        string bad = reader.BadLineCount > 0 ? $", {reader.BadLineCount} bad lines left out" : "";
        _terminal.Output.WriteLine(FormattableString.Invariant($"{output}: {done.Documents} documents, {done.Tokens} tokens, {(double)done.TextBytes / Math.Max(1, done.Tokens):f2} bytes a token{bad}"));
        return ExitCodes.Success;
    }
}
