using System.CommandLine;
using System.Text;

namespace Glimmer.Cli;

/// <summary>A text from an option, a file or standard input.</summary>
internal sealed class TextInput
{
    private readonly Option<string?> _text;
    private readonly Option<string?> _file;

    /// <summary>Creates the options.</summary>
    /// <param name="name">Option that holds the text itself.</param>
    /// <param name="alias">Its short form, or null.</param>
    /// <param name="what">What the text is.</param>
    public TextInput(string name, string? alias, string what)
    {
        _text = new Option<string?>(name) { Description = $"{what}. Without it and --file: standard input.", HelpName = "text" };
        if (alias is not null)
            _text.Aliases.Add(alias);
        _file = new Option<string?>("--file", "-f") { Description = $"File that holds it, UTF-8; - is standard input.", HelpName = "path" };
    }

    /// <summary>Adds the options to a command.</summary>
    public TextInput AddTo(Command command)
    {
        command.Add(_text);
        command.Add(_file);
        command.Validators.Add(result =>
        {
            if (result.GetValue(_text) is not null && result.GetValue(_file) is not null)
                result.AddError($"{_text.Name} and {_file.Name} exclude each other.");
        });
        return this;
    }

    /// <summary>Whether one of the options is given.</summary>
    public bool IsGiven(ParseResult parsed) => parsed.GetValue(_text) is not null || parsed.GetValue(_file) is not null;

    /// <summary>The text, exactly as it is.</summary>
    /// <exception cref="UsageException">No option, and input is a keyboard.</exception>
    public string Read(ParseResult parsed, Terminal terminal)
    {
        if (parsed.GetValue(_text) is { } text)
            return text;
        string? file = parsed.GetValue(_file);
        if (file is not (null or "-"))
            return ReadFile(file);
        if (file is null && terminal.InputIsTerminal)
            throw new UsageException($"no text: use {_text.Name} or {_file.Name}, or pipe it in.");
        return terminal.Input.ReadToEnd();
    }

    /// <summary>The text without the line break that ends a file or the output of <c>echo</c>.</summary>
    public string ReadWithoutLastLineBreak(ParseResult parsed, Terminal terminal)
    {
        string text = Read(parsed, terminal);
        return parsed.GetValue(_text) is not null ? text : WithoutLastLineBreak(text);
    }

    /// <summary>Reads a UTF-8 file without changing it: a text with replaced characters would be another text.</summary>
    /// <exception cref="UsageException">The file is not UTF-8.</exception>
    public static string ReadFile(string path)
    {
        try
        {
            return File.ReadAllText(path, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true));
        }
        catch (DecoderFallbackException)
        {
            throw new UsageException($"'{path}' is not valid UTF-8. Convert it first, for example with iconv.");
        }
    }

    /// <summary>Drops one line break at the end.</summary>
    public static string WithoutLastLineBreak(string text) => text.EndsWith("\r\n", StringComparison.Ordinal) ? text[..^2] : text.EndsWith('\n') ? text[..^1] : text;
}
