using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Glimmer.Inference;
using Glimmer.Tokenization;
using Spectre.Console;

namespace Glimmer.Cli;

/// <summary><c>glimmer tokenize</c>: from text to ids and back.</summary>
internal sealed class TokenizeCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string?> _text = new("text") { Arity = ArgumentArity.ZeroOrOne, Description = "Text to encode. Without it, --file and --jsonl it is read from standard input." };
    private readonly Option<string?> _file = new("--file", "-f") { Description = "File that holds the text, UTF-8; - is standard input.", HelpName = "path" };
    private readonly Option<string?> _jsonl = new("--jsonl") { Description = "File of lines {\"text\": ...}; - is standard input. Writes a line {\"ids\": [...]} for each.", HelpName = "path" };
    private readonly Option<string[]> _decode = new("--decode") { Description = "Print the text of these ids: 1 2 3, 1,2,3 or [1,2,3]; - reads them from standard input.", HelpName = "ids", Arity = ArgumentArity.OneOrMore, AllowMultipleArgumentsPerToken = true };
    private readonly Option<bool> _ids = new("--ids") { Description = "Print a JSON list of ids on a terminal too, where a table of pieces is the default." };
    private readonly Option<bool> _special = new("--special") { Description = "Special tokens in the text, such as <|user|>, become their ids. By default they are ordinary text." };
    private readonly Option<string?> _model = new("--model", "-m") { Description = "Folder or file of the model, or a tokenizer.json. Default: the small model that comes with Glimmer; base is the same without its addition.", HelpName = "path" };

    public TokenizeCommand(Terminal terminal)
        : base("tokenize", "Turn text into token ids, or ids into text.")
    {
        _terminal = terminal;
        Add(_text);
        foreach (Option option in (ReadOnlySpan<Option>)[_file, _jsonl, _decode, _ids, _special, _model])
            Add(option);
        Validators.Add(result =>
        {
            bool decodes = result.GetValue(_decode) is { Length: > 0 };
            int sources = (result.GetValue(_text) is null ? 0 : 1) + (result.GetValue(_file) is null ? 0 : 1) + (result.GetValue(_jsonl) is null ? 0 : 1) + (decodes ? 1 : 0);
            if (sources > 1)
                result.AddError("Give one of: a text, --file, --jsonl, --decode.");
            if (decodes && (result.GetValue(_ids) || result.GetValue(_special)))
                result.AddError("--ids and --special do not go with --decode.");
        });
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        Tokenizer tokenizer = TokenizerFiles.Open(EmbeddedModel.Resolve(parsed.GetValue(_model)));
        EncodeOptions options = parsed.GetValue(_special) ? EncodeOptions.RenderedPrompt : EncodeOptions.UserText;
        if (parsed.GetValue(_decode) is { Length: > 0 } ids)
            _terminal.Output.WriteLine(tokenizer.Decode(ParseIds(ids is ["-"] ? _terminal.Input.ReadToEnd() : string.Join(' ', ids))));
        else if (parsed.GetValue(_jsonl) is { } jsonl)
            EncodeLines(tokenizer, options, jsonl);
        else
            Print(tokenizer, tokenizer.Encode(Text(parsed), options), parsed.GetValue(_ids));
        return ExitCodes.Success;
    }

    private string Text(ParseResult parsed)
    {
        if (parsed.GetValue(_text) is { } text)
            return text;
        string? file = parsed.GetValue(_file);
        if (file is not (null or "-"))
            return TextInput.ReadFile(file);
        if (file is null && _terminal.InputIsTerminal)
            throw new UsageException("no text: give one, use --file or --jsonl, or pipe it in.");
        return _terminal.Input.ReadToEnd();
    }

    private void EncodeLines(Tokenizer tokenizer, EncodeOptions options, string path)
    {
        using StreamReader? file = path == "-" ? null : new StreamReader(path);
        TextReader lines = file ?? _terminal.Input;
        for (int number = 1; lines.ReadLine() is { } line; number++)
        {
            _terminal.Interrupted.ThrowIfCancellationRequested();
            if (string.IsNullOrWhiteSpace(line))
                continue;
            string text = TextOf(line) ?? throw new FormatException($"'{path}', line {number}: expected an object with the string 'text'.");
            int[] ids = tokenizer.Encode(text, options);
            _terminal.Output.WriteJson(writer =>
            {
                writer.WriteStartObject();
                writer.WriteNumbers("ids", ids);
                writer.WriteEndObject();
            });
        }
    }

    private static string? TextOf(string line)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(line);
            return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("text", out JsonElement text) && text.ValueKind == JsonValueKind.String
                ? text.GetString()
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private void Print(Tokenizer tokenizer, int[] ids, bool asJson)
    {
        if (asJson || !_terminal.OutputIsTerminal)
        {
            _terminal.Output.WriteJson(writer => writer.WriteNumbers(null, ids));
            return;
        }

        Table table = _terminal.NewTable("#", "#id", "piece", "#bytes", "kind");
        for (int i = 0; i < ids.Length; i++)
        {
            string kind = tokenizer.IsSpecial(ids[i]) ? "special" : tokenizer.IsAdded(ids[i]) ? "added" : "";
            Terminal.AddRow(table, Number(i), Number(ids[i]), TokenText.Show(tokenizer, ids[i]), Number(tokenizer.TokenBytes(ids[i]).Length), kind);
        }

        _terminal.Write(table);
        _terminal.Output.WriteLine($"{ids.Length} tokens");
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static int[] ParseIds(string text)
    {
        string[] parts = text.Split([' ', ',', '[', ']', '\t', '\r', '\n'], StringSplitOptions.RemoveEmptyEntries);
        return [.. parts.Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int id)
            ? id
            : throw new UsageException($"--decode: '{part}' is no token id; expected whole numbers."))];
    }
}
