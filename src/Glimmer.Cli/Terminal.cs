using System.Text;
using Spectre.Console;

namespace Glimmer.Cli;

/// <summary>Where a command reads and writes, and whether a person sits there. Tests give it strings.</summary>
internal sealed class Terminal
{
    private TextReader? _input;

    /// <summary>Results.</summary>
    public required TextWriter Output { get; init; }

    /// <summary>Errors, notices, progress.</summary>
    public required TextWriter Error { get; init; }

    /// <summary>Opens the input at its first use.</summary>
    public required Func<TextReader> OpenInput { get; init; }

    /// <summary>Whether input comes from a keyboard.</summary>
    public bool InputIsTerminal { get; init; }

    /// <summary>Whether output goes to a screen.</summary>
    public bool OutputIsTerminal { get; init; }

    /// <summary>Whether errors go to a screen.</summary>
    public bool ErrorIsTerminal { get; init; }

    /// <summary>Whether escape sequences are welcome: a screen, and the user did not say <c>NO_COLOR</c> (no-color.org).</summary>
    public bool Color { get; init; }

    /// <summary>Cancelled by Ctrl-C.</summary>
    public CancellationToken Interrupted { get; init; }

    /// <summary>The input.</summary>
    public TextReader Input => _input ??= OpenInput();

    /// <summary>The process's own streams, UTF-8 whatever the locale.</summary>
    public static Terminal System(CancellationToken interrupted)
    {
        if (OperatingSystem.IsWindows() && !Console.IsOutputRedirected)
            Console.OutputEncoding = Encoding.UTF8;
        bool output = !Console.IsOutputRedirected;
        bool input = !Console.IsInputRedirected;
        return new Terminal
        {
            Output = Writer(Console.OpenStandardOutput()),
            Error = Writer(Console.OpenStandardError()),
            OpenInput = () => input ? Console.In : new StreamReader(Console.OpenStandardInput(), Encoding.UTF8),
            InputIsTerminal = input,
            OutputIsTerminal = output,
            ErrorIsTerminal = !Console.IsErrorRedirected,
            Color = output && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR")) && Environment.GetEnvironmentVariable("TERM") != "dumb",
            Interrupted = interrupted,
        };

        static StreamWriter Writer(Stream stream) => new(stream, new UTF8Encoding(false)) { AutoFlush = true };
    }

    /// <summary>Reads a line; null at the end of the input. Ctrl-C ends the wait.</summary>
    /// <exception cref="OperationCanceledException">Ctrl-C came.</exception>
    public string? ReadLine()
    {
        if (!InputIsTerminal)
            return Input.ReadLine();
        // A read from the keyboard cannot be cancelled, but it can be left behind.
        return Task.Run(Input.ReadLine).WaitAsync(Interrupted).GetAwaiter().GetResult();
    }

    /// <summary>Text in an ANSI style (2 dim, 1 bold, 31 red ...), or plain where escape sequences are not welcome.</summary>
    public string Styled(string style, string text) => Color ? $"\e[{style}m{text}\e[0m" : text;

    /// <summary>A line for the user that is no result: on the error stream, prefixed by the program's name.</summary>
    public void Notice(string text) => Error.WriteLine($"glimmer: {text}");

    /// <summary>A table in the style of the output: lines around it on a screen, columns only in a file.</summary>
    public Table NewTable(params ReadOnlySpan<string> columns)
    {
        var table = new Table { Border = OutputIsTerminal ? TableBorder.Rounded : TableBorder.None };
        foreach (string column in columns)
        {
            bool isNumber = column.StartsWith('#');
            table.AddColumn(new TableColumn(new Text(isNumber ? column[1..] : column)) { Alignment = isNumber ? Justify.Right : Justify.Left, NoWrap = true });
        }

        return table;
    }

    /// <summary>Adds a row of plain texts.</summary>
    public static void AddRow(Table table, params ReadOnlySpan<string> cells)
    {
        var row = new Text[cells.Length];
        for (int i = 0; i < cells.Length; i++)
            row[i] = new Text(cells[i]);
        table.AddRow(row);
    }

    /// <summary>Writes a table.</summary>
    public void Write(Table table)
    {
        using var text = new StringWriter();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = Color ? AnsiSupport.Yes : AnsiSupport.No,
            ColorSystem = Color ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(text),
        });
        console.Profile.Width = OutputIsTerminal ? Math.Max(40, Console.WindowWidth) : 4096;
        console.Profile.Capabilities.Unicode = true;
        console.Write(table);
        // Columns are filled up with spaces, which serve no one at the end of a line.
        foreach (string line in text.ToString().TrimEnd().Split('\n'))
            Output.WriteLine(line.TrimEnd());
    }
}
