using System.CommandLine;
using System.CommandLine.Parsing;
using Glimmer.Training.Recipes;
using YamlDotNet.RepresentationModel;

namespace Glimmer.Cli;

/// <summary>Options that may also come from the environment and from a file. What is on the command line wins, then the environment, then the file, then the default.</summary>
internal static class LayeredOptions
{
    private const string Prefix = "GLIMMER_";

    /// <summary>Adds what the environment and a file say about options that the command line does not name.</summary>
    /// <param name="command">The command; each of its options <c>--some-name</c> may be <c>GLIMMER_SOME_NAME</c>, or a key <c>some-name</c> of the file.</param>
    /// <param name="parsed">The command line.</param>
    /// <param name="file">A YAML (or JSON) file with one mapping; null for none.</param>
    /// <param name="variable">The value of a variable of the environment.</param>
    /// <exception cref="UsageException">The file is malformed or names an option that does not exist.</exception>
    public static ParseResult Complete(Command command, ParseResult parsed, string? file, Func<string, string?> variable)
    {
        var missing = new Dictionary<string, Option>(StringComparer.Ordinal);
        var known = new HashSet<string>(StringComparer.Ordinal);
        // Options that differ in hyphens and underscores alone are one.
        HashSet<string> given = [.. command.Options.Where(option => parsed.GetResult(option) is { Implicit: false }).Select(option => option.Name.Replace('-', '_'))];
        foreach (Option option in command.Options)
        {
            foreach (string name in option.Aliases.Prepend(option.Name).Where(name => name.StartsWith("--", StringComparison.Ordinal)))
            {
                known.Add(name[2..]);
                if (!given.Contains(option.Name.Replace('-', '_')))
                    missing[name[2..]] = option;
            }
        }

        var added = new List<string>();
        var taken = new HashSet<Option>();
        foreach ((string name, Option option) in missing)
        {
            if (variable(Prefix + name.Replace('-', '_').ToUpperInvariant()) is { Length: > 0 } value && taken.Add(option))
                added.AddRange(["--" + name, value]);
        }

        foreach ((string name, IReadOnlyList<string> values) in file is null ? [] : Read(file))
        {
            if (!known.Contains(name))
                throw new UsageException($"{file} sets '{name}', which is no option of '{command.Name}'.{Nearest(name, known)}");
            if (missing.TryGetValue(name, out Option? option) && taken.Add(option))
                added.AddRange(values.SelectMany(value => new[] { "--" + name, value }));
        }

        if (added.Count == 0)
            return parsed;
        string[] own = [.. parsed.CommandResult.Tokens.Concat(Descendants(parsed.CommandResult)).Select(token => token.Value)];
        ParseResult complete = command.Parse([.. own, .. added]);
        return complete.Errors.Count == 0 ? complete : throw new UsageException($"The environment or {file ?? "the file"}: {complete.Errors[0].Message}");
    }

    /// <summary>The option that was probably meant, as a sentence; empty when none is near.</summary>
    public static string Nearest(string name, IEnumerable<string> known) => NearestName.Of(name, known) is { } best ? $" Did you mean '{best}'?" : "";

    // Each option with its values, in the order of the command line.
    private static IEnumerable<Token> Descendants(CommandResult result)
    {
        foreach (SymbolResult child in result.Children)
        {
            if (child is OptionResult { Implicit: false, IdentifierToken: { } identifier } option)
            {
                yield return identifier;
                foreach (Token token in option.Tokens)
                    yield return token;
            }
        }
    }

    private static IEnumerable<(string Name, IReadOnlyList<string> Values)> Read(string file)
    {
        var stream = new YamlStream();
        try
        {
            using StreamReader reader = File.OpenText(file);
            stream.Load(reader);
        }
        catch (YamlDotNet.Core.YamlException error)
        {
            throw new UsageException($"{file} is not valid YAML: {error.Message}");
        }

        if (stream.Documents.Count == 0)
            yield break;
        if (stream.Documents[0].RootNode is not YamlMappingNode map)
            throw new UsageException($"{file}: expected a mapping of options to values.");
        foreach ((YamlNode key, YamlNode value) in map.Children)
        {
            string name = ((YamlScalarNode)key).Value!.TrimStart('-').Replace('_', '-');
            yield return value switch
            {
                YamlScalarNode scalar => (name, [scalar.Value ?? ""]),
                YamlSequenceNode list when list.Children.All(item => item is YamlScalarNode) => (name, [.. list.Children.Select(item => ((YamlScalarNode)item).Value ?? "")]),
                _ => throw new UsageException($"{file}: '{name}' must be a value or a list of values."),
            };
        }
    }
}
