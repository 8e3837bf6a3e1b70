using System.CommandLine;
using System.Globalization;
using System.Numerics;

namespace Glimmer.Cli;

/// <summary>Options with a number in a range.</summary>
internal static class NumberOption
{
    /// <summary>An option that is null when it is not given.</summary>
    /// <param name="name">Name with its dashes.</param>
    /// <param name="description">What it does.</param>
    /// <param name="minimum">Smallest value.</param>
    /// <param name="maximum">Largest value.</param>
    /// <param name="aboveMinimum">Whether the smallest value itself is excluded.</param>
    public static Option<T?> Create<T>(string name, string description, T minimum, T maximum, bool aboveMinimum = false)
        where T : struct, INumber<T>
    {
        return new Option<T?>(name)
        {
            Description = description,
            HelpName = "n",
            CustomParser = result =>
            {
                string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
                // NaN is in no range.
                if (T.TryParse(text, CultureInfo.InvariantCulture, out T value) && value >= minimum && value <= maximum && !(aboveMinimum && value == minimum))
                    return value;
                string range = aboveMinimum ? $"more than {minimum} and at most {maximum}" : $"from {minimum} to {maximum}";
                if (maximum == MaxOf<T>())
                    range = aboveMinimum ? $"more than {minimum}" : $"{minimum} or more";
                result.AddError($"{name} is '{text}'; expected a number {range}.");
                return null;
            },
        };
    }

    /// <summary>Gives an option more names.</summary>
    public static Option<T> Also<T>(this Option<T> option, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
            option.Aliases.Add(name);
        return option;
    }

    /// <summary>The bound that stands for none.</summary>
    public static T MaxOf<T>() where T : struct, INumber<T> => T.CreateSaturating(double.MaxValue);
}
