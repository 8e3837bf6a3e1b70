using System.CommandLine;

namespace Glimmer.Cli;

/// <summary>Keys of a recipe given as options: <c>--learning_rate.peak 3e-3</c> or <c>--save.every=50</c>.</summary>
internal static class RecipeArguments
{
    /// <summary>Lets a command take them.</summary>
    public static void AddTo(Command command) => command.TreatUnmatchedTokensAsErrors = false;

    /// <summary>Reads them.</summary>
    /// <exception cref="UsageException">A value has no key, or a key no value.</exception>
    public static IReadOnlyList<KeyValuePair<string, string>> Read(ParseResult parsed)
    {
        var values = new List<KeyValuePair<string, string>>();
        string? key = null;
        foreach (string token in parsed.UnmatchedTokens)
        {
            if (key is not null)
            {
                values.Add(KeyValuePair.Create(key, token));
                key = null;
            }
            else if (!token.StartsWith("--", StringComparison.Ordinal))
            {
                throw new UsageException($"'{token}' belongs to no option. A key of the recipe is given as --key value.");
            }
            else if (token.IndexOf('=') is var at and > 0)
            {
                values.Add(KeyValuePair.Create(token[2..at], token[(at + 1)..]));
            }
            else
            {
                key = token[2..];
            }
        }

        return key is null ? values : throw new UsageException($"--{key} needs a value.");
    }
}
