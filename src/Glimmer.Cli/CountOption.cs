using System.CommandLine;
using System.Globalization;

namespace Glimmer.Cli;

/// <summary>Options with a number of tokens, as vLLM and SGLang write them: <c>8192</c>, <c>8k</c> (thousands), <c>8K</c> (units of 1,024), <c>auto</c> for the default.</summary>
internal static class CountOption
{
    /// <summary>An option that is null when it is not given and 0 when it is <c>auto</c>.</summary>
    /// <param name="name">Name with its dashes.</param>
    /// <param name="description">What it does.</param>
    /// <param name="minimum">Smallest value.</param>
    public static Option<int?> Create(string name, string description, int minimum) => new(name)
    {
        Description = description,
        HelpName = "n",
        CustomParser = result =>
        {
            string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (text is "auto" or "-1")
                return 0;
            if (TryParse(text, out long count) && count >= minimum && count <= int.MaxValue)
                return (int)count;
            result.AddError($"{name} is '{text}'; expected a number from {minimum} on, such as 8192, 8k (8,000) or 8K (8,192), or auto.");
            return null;
        },
    };

    /// <summary>Reads a count.</summary>
    public static bool TryParse(string text, out long count)
    {
        count = 0;
        double unit = text.Length == 0 ? 0 : text[^1] switch { 'k' => 1e3, 'm' => 1e6, 'g' => 1e9, 'K' => 1 << 10, 'M' => 1 << 20, 'G' => 1 << 30, _ => 1 };
        if (!double.TryParse(unit == 1 ? text : text[..^1], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value))
            return false;
        double product = value * unit;
        if (!(product >= 0 && product <= long.MaxValue / 2d) || product != Math.Floor(product))
            return false;
        count = (long)product;
        return true;
    }
}
