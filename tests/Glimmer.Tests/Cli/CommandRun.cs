using System.Text.Json;
using Glimmer.Cli;

namespace Glimmer.Tests.Cli;

/// <summary>What a command did when it ran inside the test.</summary>
internal sealed record CommandRun(int ExitCode, string Output, string Error)
{
    /// <summary>The output as JSON.</summary>
    public JsonElement Json => JsonDocument.Parse(Output).RootElement;

    /// <summary>Lines of the output.</summary>
    public string[] Lines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    /// <summary>Runs a command with piped input.</summary>
    public static CommandRun Of(params string[] args) => With("", args);

    /// <summary>Runs a command with this input.</summary>
    public static CommandRun With(string input, params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        int exitCode = GlimmerCommand.Run(args, new Terminal { Output = output, Error = error, OpenInput = () => new StringReader(input) });
        return new CommandRun(exitCode, output.ToString(), error.ToString());
    }

    /// <summary>Fails the test with the error stream unless the command succeeded.</summary>
    public CommandRun Succeeded()
    {
        Assert.True(ExitCode == ExitCodes.Success, $"exit code {ExitCode}: {Error}{Output}");
        return this;
    }

    /// <summary>Checks the exit code and that the error stream holds one line for the user that contains <paramref name="text"/>.</summary>
    public void Failed(int exitCode, string text)
    {
        Assert.Equal(exitCode, ExitCode);
        Assert.StartsWith("glimmer: ", Error, StringComparison.Ordinal);
        Assert.Contains(text, Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", Error, StringComparison.Ordinal);
        Assert.Equal(exitCode == ExitCodes.Usage ? 2 : 1, Error.Count(c => c == '\n'));
    }
}
