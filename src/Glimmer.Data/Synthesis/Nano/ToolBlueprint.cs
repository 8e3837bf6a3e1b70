using System.Globalization;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>A parameter of a generated tool.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Its type as the table writes it, <c>int:1-9</c>.</param>
/// <param name="Description">What it is.</param>
/// <param name="Phrase">How a question says it, <c>{}</c> for the value.</param>
/// <param name="IsRequired">Whether a call must have it.</param>
internal sealed record BlueprintParameter(string Name, string Type, string Description, string Phrase, bool IsRequired);

/// <summary>A tool that the generator knows.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Description">What it does.</param>
/// <param name="Questions">Ways to ask for it.</param>
/// <param name="Parameters">Its parameters.</param>
internal sealed record ToolBlueprint(string Name, string Description, IReadOnlyList<string> Questions, IReadOnlyList<BlueprintParameter> Parameters)
{
    /// <summary>All tools, as <c>tool-blueprints.txt</c> has them.</summary>
    public static IReadOnlyList<ToolBlueprint> All { get; } = Read();

    /// <summary>Values of each list of <c>tool-values.txt</c>.</summary>
    public static IReadOnlyDictionary<string, string[]> Values { get; } =
        Lines("tool-values.txt").Select(line => line.Split('|')).ToDictionary(parts => parts[0], parts => parts[1..], StringComparer.Ordinal);

    /// <summary>Whether it is one of those to measure on, which the training part never shows.</summary>
    public bool IsTest => Draws.Bucket("tool " + Name) < 15;

    private static List<ToolBlueprint> Read()
    {
        var tools = new List<ToolBlueprint>();
        foreach (string line in Lines("tool-blueprints.txt"))
        {
            string[] parts = [.. line[2..].Split('|', 3).Select(part => part.Trim())];
            if (line[0] == 't')
            {
                tools.Add(new ToolBlueprint(parts[0], parts[1], parts[2].Split(" ; "), new List<BlueprintParameter>()));
                continue;
            }

            int colon = parts[0].IndexOf(':', StringComparison.Ordinal);
            ((List<BlueprintParameter>)tools[^1].Parameters).Add(new BlueprintParameter(parts[0][..colon], parts[0][(colon + 1)..], parts[1], parts[2], line[0] == 'r'));
        }

        return tools;
    }

    private static IEnumerable<string> Lines(string resource)
    {
        using Stream stream = typeof(ToolBlueprint).Assembly.GetManifestResourceStream(resource) ?? throw new InvalidOperationException($"The assembly lacks {resource}.");
        using var reader = new StreamReader(stream);
        var lines = new List<string>();
        while (reader.ReadLine() is { } line)
        {
            if (line.Length > 0 && line[0] != '#')
                lines.Add(line);
        }

        return lines;
    }

    /// <summary>The two bounds of a type such as <c>int:-20-20</c>.</summary>
    public static (int Low, int High) Range(string type)
    {
        string range = type[(type.IndexOf(':', StringComparison.Ordinal) + 1)..];
        int dash = range.IndexOf('-', 1);
        return (int.Parse(range[..dash], CultureInfo.InvariantCulture), int.Parse(range[(dash + 1)..], CultureInfo.InvariantCulture));
    }
}
