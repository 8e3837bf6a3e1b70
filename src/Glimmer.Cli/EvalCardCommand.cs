using System.CommandLine;
using Glimmer.Environments.Evaluation;

namespace Glimmer.Cli;

/// <summary><c>glimmer eval card</c>: results of several evaluations as one table.</summary>
internal sealed class EvalCardCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string[]> _results = new("results") { Arity = ArgumentArity.OneOrMore, Description = "COLUMN=FILE or COLUMN/SUFFIX=FILE: what 'eval --json' wrote for a model or stage; a suffix is put behind the names of its metrics." };
    private readonly Option<string?> _json = new("--json-out") { Description = "Also write the figures as JSON.", HelpName = "file" };

    public EvalCardCommand(Terminal terminal)
        : base("card", "Put results of evaluations side by side, as a table of Markdown.")
    {
        _terminal = terminal;
        Add(_results);
        Add(_json);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        var card = new ReportCard();
        foreach (string result in parsed.GetValue(_results)!)
        {
            int equals = result.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0)
                throw new UsageException($"'{result}' is no COLUMN=FILE.");
            string[] column = result[..equals].Split('/', 2);
            string path = result[(equals + 1)..];
            if (!File.Exists(path))
                throw new UsageException($"'{result}': there is no file '{path}'.");
            card.Add(column[0], column.Length > 1 ? column[1] : null, File.ReadAllText(path));
        }

        _terminal.Output.Write(card.ToMarkdown());
        if (parsed.GetValue(_json) is { } json)
            File.WriteAllText(json, card.ToJson() + "\n");
        return ExitCodes.Success;
    }
}
