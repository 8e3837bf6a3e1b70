using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using Glimmer.Data;
using Glimmer.Data.Synthesis.Nano;

namespace Glimmer.Cli;

/// <summary><c>glimmer data passages</c>: cuts a book into passages for prompts.</summary>
internal sealed class DataPassagesCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string> _book = new("book") { Description = "Text file (UTF-8)." };
    private readonly Option<string> _output = new("--out", "-o") { Description = "File of JSON lines with id and text.", HelpName = "file", Required = true };
    private readonly Option<int?> _skip = NumberOption.Create("--skip-chars", "Characters at the beginning to leave out. Default: 0.", 0, int.MaxValue);
    private readonly Option<int?> _count = NumberOption.Create("--count", "Passages to write, evenly over the book. Default: all.", 1, int.MaxValue);

    public DataPassagesCommand(Terminal terminal)
        : base("passages", "Cut a book into passages of a few sentences.")
    {
        _terminal = terminal;
        Add(_book);
        foreach (Option option in (ReadOnlySpan<Option>)[_output, _skip, _count])
            Add(option);
        SetAction(Run);
    }

    private int Run(ParseResult parsed)
    {
        string book = parsed.GetValue(_book)!;
        if (!File.Exists(book))
            throw new UsageException($"'{book}' does not exist.");
        IReadOnlyList<string> passages = NanoPrompts.Passages(File.ReadAllText(book).ReplaceLineEndings("\n"), parsed.GetValue(_skip) ?? 0);
        int count = Math.Min(parsed.GetValue(_count) ?? passages.Count, passages.Count);
        string name = Path.GetFileNameWithoutExtension(book);
        long written = JsonLinesFile.Write(parsed.GetValue(_output)!, Enumerable.Range(0, count).Select(i =>
            $"{{\"id\": \"{name}:{i}\", \"text\": \"{JsonEncodedText.Encode(passages[(int)((long)i * passages.Count / count)], JavaScriptEncoder.UnsafeRelaxedJsonEscaping)}\"}}"), _terminal.Interrupted);
        _terminal.Output.WriteLine($"{written} of {passages.Count} passages");
        return ExitCodes.Success;
    }
}
