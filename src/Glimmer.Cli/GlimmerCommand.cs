using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Text.Json;
using Glimmer.Chat;

namespace Glimmer.Cli;

/// <summary>The root of the command line: its commands, and how errors become one line and an exit code.</summary>
internal static class GlimmerCommand
{
    private static readonly Option<bool> s_verbose = new("--verbose") { Description = "Show the stack trace of an error.", Recursive = true };

    /// <summary>Runs a command line.</summary>
    /// <returns>The exit code, see <see cref="ExitCodes"/>.</returns>
    public static int Run(IReadOnlyList<string> args, Terminal terminal)
    {
        // Without a response file replacer a prompt may begin with '@'.
        ParseResult parsed = Create(terminal).Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        var configuration = new InvocationConfiguration
        {
            Output = terminal.Output,
            Error = terminal.Error,
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = null,
        };
        if (parsed.Action is ParseErrorAction)
            return UsageError(parsed, terminal);
        try
        {
            return parsed.Invoke(configuration);
        }
        catch (OperationCanceledException) when (terminal.Interrupted.IsCancellationRequested)
        {
            if (terminal.ErrorIsTerminal)
                terminal.Error.WriteLine();
            return ExitCodes.Interrupted;
        }
        catch (UsageException error)
        {
            terminal.Notice(error.Message);
            return ExitCodes.Usage;
        }
        catch (Exception error)
        {
            terminal.Notice(OneLine(error));
            if (parsed.GetValue(s_verbose))
                terminal.Error.WriteLine(error);
            return ExitCodes.Failure;
        }
    }

    /// <summary>An error as users see it. What is not meant for them names its type, so that it can be reported.</summary>
    public static string OneLine(Exception error)
    {
        bool isExpected = error is ModelFormatException or UnsupportedModelException or JinjaException or IOException or UnauthorizedAccessException or FormatException or JsonException
            or ArgumentException or ArithmeticException;
        string message = error.Message;
        // ArgumentException appends the name of a parameter, which means nothing here.
        int parameter = error is ArgumentException ? message.LastIndexOf(" (Parameter '", StringComparison.Ordinal) : -1;
        if (parameter > 0)
            message = message[..parameter];
        message = OneLine(message);
        return isExpected ? message : $"internal error, please report it: {error.GetType().Name}: {message} (--verbose shows where)";
    }

    private static string OneLine(string text) => string.Join(' ', text.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));

    private static RootCommand Create(Terminal terminal)
    {
        var root = new RootCommand("Glimmer: the GLM stack for .NET. Without --model the commands use the small model that comes with it.")
        {
            HelpName = "glimmer",
        };
        root.Add(s_verbose);
        foreach (HelpOption help in root.Options.OfType<HelpOption>())
        {
            // The forms of DOS would be offered as completions.
            help.Aliases.Remove("/h");
            help.Aliases.Remove("/?");
        }

        root.SetAction(parsed => new HelpAction().Invoke(parsed));
        root.Add(new ChatCommand(terminal));
        root.Add(new GenerateCommand(terminal));
        root.Add(new ServeCommand(terminal));
        root.Add(new UsageCommand(terminal));
        root.Add(new ScoreCommand(terminal));
        root.Add(new EvalCommand(terminal));
        root.Add(PretrainCommand.Pretrain(terminal));
        root.Add(PretrainCommand.Midtrain(terminal));
        root.Add(new AdaptDsaCommand(terminal));
        root.Add(new SftCommand(terminal));
        root.Add(new ReportCommand(terminal));
        root.Add(new ExportCommand(terminal));
        root.Add(new InferCommand(terminal));
        root.Add(new TokenizeCommand(terminal));
        root.Add(new TokenizerCommand(terminal));
        root.Add(new TokenizeCorpusCommand(terminal));
        root.Add(new DataCommand(terminal));
        root.Add(new InspectCommand(terminal));
        root.Add(new VerifyCommand(terminal));
        root.Add(new ConvertCommand(terminal));
        root.Add(new QuantizeCommand(terminal));
        root.Add(new UpcycleCommand(terminal));
        root.Add(new NanoCommand(terminal));
        root.Add(new BenchCommand(terminal));
        root.Add(new CompletionCommand(terminal));
        return root;
    }

    private static int UsageError(ParseResult parsed, Terminal terminal)
    {
        string[] options = [.. parsed.CommandResult.Command.Options.SelectMany(option => option.Aliases.Prepend(option.Name)).Where(name => name.StartsWith("--", StringComparison.Ordinal))];
        foreach (string message in parsed.Errors.Select(error => OneLine(error.Message)).Distinct())
        {
            string? unknown = parsed.UnmatchedTokens.FirstOrDefault(token => token.StartsWith("--", StringComparison.Ordinal) && message.Contains(token, StringComparison.Ordinal));
            terminal.Notice(unknown is null ? message : message + LayeredOptions.Nearest(unknown, options));
        }

        string name = string.Concat(Names(parsed.CommandResult.Command).Reverse().Select(part => part + " "));
        terminal.Error.WriteLine($"See '{name}--help'.");
        return ExitCodes.Usage;
    }

    private static IEnumerable<string> Names(Command command)
    {
        for (Symbol? symbol = command; symbol is not null; symbol = symbol.Parents.FirstOrDefault())
            yield return symbol is RootCommand ? "glimmer" : symbol.Name;
    }
}
