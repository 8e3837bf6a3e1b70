using System.CommandLine;
using Glimmer.Cli;

namespace Glimmer.Tests.Cli;

public class LayeredOptionsTests
{
    private readonly Option<int> _port = new("--port") { DefaultValueFactory = _ => 1 };
    private readonly Option<string[]> _names = new("--served-model-name");

    [Fact]
    public void The_command_line_wins_over_the_environment_and_that_over_the_file()
    {
        using var folder = new TemporaryFolder();
        string file = folder["serve.yaml"];
        File.WriteAllText(file, "port: 4\nserved-model-name: [a, b]\n");

        Assert.Equal(1, Parse("").GetValue(_port));
        Assert.Equal(4, Parse("", file).GetValue(_port));
        Assert.Equal(3, Parse("", file, "3").GetValue(_port));
        Assert.Equal(2, Parse("--port 2", file, "3").GetValue(_port));
        Assert.Equal(["a", "b"], Parse("--port 2", file, "3").GetValue(_names)!);
    }

    [Fact]
    public void A_file_with_an_unknown_option_is_refused_with_the_nearest_name()
    {
        using var folder = new TemporaryFolder();
        string file = folder["serve.yaml"];
        File.WriteAllText(file, "prot: 4\n");
        Assert.Contains("Did you mean 'port'?", Assert.Throws<UsageException>(() => Parse("", file)).Message, StringComparison.Ordinal);
    }

    private ParseResult Parse(string line, string? file = null, string? variable = null)
    {
        var command = new Command("serve") { _port, _names };
        return LayeredOptions.Complete(command, command.Parse(line), file, name => name == "GLIMMER_PORT" ? variable : null);
    }
}
