using System.Globalization;
using System.Text.RegularExpressions;

namespace Glimmer.Inference.Benchmarks;

/// <summary>What a test measures.</summary>
public enum BenchmarkKind
{
    /// <summary><c>ppN</c>: reads a prompt of N tokens, 512 a pass.</summary>
    Prompt,
    /// <summary><c>tgN</c>, <c>tgNbS</c>: writes N tokens one at a time, for S sequences side by side.</summary>
    Decode,
    /// <summary><c>genN</c>, <c>genNbS</c>: as tg, through the engine, sampling included.</summary>
    Generate,
    /// <summary><c>mtpN@A</c>: N tokens with drafts of the MTP layer, of which a share A is made to be right.</summary>
    Speculate,
    /// <summary><c>hitN+M</c>: the second turn of a conversation of N tokens that adds M.</summary>
    PrefixHit,
    /// <summary><c>mixS+N</c>: S sequences write while a prompt of N tokens arrives.</summary>
    Arrival,
}

/// <summary>A test of <c>glimmer bench</c>.</summary>
/// <param name="Name">As it was written.</param>
/// <param name="Kind">What it measures.</param>
/// <param name="Tokens">N.</param>
/// <param name="Sequences">S, 1 where a test has none.</param>
/// <param name="Added">M of <see cref="BenchmarkKind.PrefixHit"/>.</param>
/// <param name="Acceptance">A of <see cref="BenchmarkKind.Speculate"/>.</param>
public sealed partial record BenchmarkTest(string Name, BenchmarkKind Kind, int Tokens, int Sequences = 1, int Added = 0, double Acceptance = 0)
{
    /// <summary>Reads the name of a test.</summary>
    /// <exception cref="FormatException">There is no such test.</exception>
    public static BenchmarkTest Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        Match match = Pattern().Match(name);
        if (!match.Success)
        {
            throw new FormatException(
                $"'{name}' is no test. Tests are ppN (prompt), tgN and tgNbS (decode, S sequences), genN and genNbS (through the engine), mtpN@A (drafts with acceptance A), "
                + "hitN+M (prefix hit), mixS+N (a prompt arrives beside S sequences).");
        }

        int First(string group) => Number(match.Groups[group].Value, name);
        int Other(string group) => match.Groups[group].Success ? First(group) : 1;
        return match.Groups["kind"].Value switch
        {
            "pp" => new BenchmarkTest(name, BenchmarkKind.Prompt, First("n")),
            "tg" => new BenchmarkTest(name, BenchmarkKind.Decode, First("n"), Other("s")),
            "gen" => new BenchmarkTest(name, BenchmarkKind.Generate, First("n"), Other("s")),
            "mtp" => new BenchmarkTest(name, BenchmarkKind.Speculate, First("n"), Acceptance: Share(match.Groups["a"].Value, name)),
            "hit" => new BenchmarkTest(name, BenchmarkKind.PrefixHit, First("n"), Added: First("m")),
            _ => new BenchmarkTest(name, BenchmarkKind.Arrival, First("m"), First("n")),
        };
    }

    private static int Number(string text, string name) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value is > 0 and <= 1 << 20
            ? value : throw new FormatException($"'{name}' has the size {text}; sizes from 1 to {1 << 20} are measured.");

    private static double Share(string text, string name) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) && value <= 1
            ? value : throw new FormatException($"'{name}' has the acceptance {text}; a share from 0 to 1 is expected.");

    [GeneratedRegex(@"^(?:(?<kind>pp)(?<n>\d+)|(?<kind>tg|gen)(?<n>\d+)(?:b(?<s>\d+))?|(?<kind>mtp)(?<n>\d+)@(?<a>[\d.]+)|(?<kind>hit|mix)(?<n>\d+)\+(?<m>\d+))$")]
    private static partial Regex Pattern();
}
