using System.CommandLine;

namespace Glimmer.Cli;

/// <summary><c>glimmer data</c>: generated corpora.</summary>
internal sealed class DataCommand : Command
{
    public DataCommand(Terminal terminal)
        : base("data", "Generate the corpora of the recipes, to look at them or to use them elsewhere.")
    {
        Add(new DataMiniatureCommand(terminal));
        Add(new DataNanoCommand(terminal));
        Add(new DataPasskeysCommand(terminal));
        Add(new DataPassagesCommand(terminal));
    }
}
