using System.CommandLine;
using System.Globalization;

namespace Glimmer.Cli;

/// <summary>Options with a number of bytes: <c>6G</c>, <c>1.5GiB</c>, <c>800M</c>.</summary>
internal static class SizeOption
{
    private const string Units = "KMGT";

    /// <summary>An option that is null when it is not given.</summary>
    public static Option<long?> Create(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "size",
        CustomParser = result =>
        {
            string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (TryParse(text, out long bytes))
                return bytes;
            result.AddError($"{name} is '{text}'; expected a size like 6G, 1.5G or 800M (units of 1,024).");
            return null;
        },
    };

    /// <summary>Reads a size of at least one byte; a number without a unit is bytes.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        string number = text.Trim().ToUpperInvariant();
        number = number.EndsWith("IB", StringComparison.Ordinal) ? number[..^2] : number.EndsWith('B') ? number[..^1] : number;
        int unit = number.Length == 0 ? -1 : Units.IndexOf(number[^1], StringComparison.Ordinal);
        if (unit >= 0)
            number = number[..^1];
        bytes = 0;
        if (!double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value))
            return false;
        value *= Math.Pow(1024, unit + 1);
        if (!(value is >= 1 and < long.MaxValue))
            return false;
        bytes = (long)value;
        return true;
    }
}
