using System.Text.RegularExpressions;

namespace Glimmer.Environments.Scorers;

/// <summary>What the grader found in an answer to a GSM8K problem.</summary>
/// <param name="Extracted">The number as written, <c>[invalid]</c> when there is none.</param>
/// <param name="IsCorrect">Whether it equals the reference.</param>
public readonly record struct Gsm8kVerdict(string Extracted, bool IsCorrect);

/// <summary>Grades answers to GSM8K problems, verdict for verdict as lm-eval 0.4.13 does (task gsm8k, version 3).</summary>
/// <remarks>Numbers are compared as text without commas, dollar signs, everything up to <c>#### </c> and a final dot: <c>72.00</c> is not <c>72</c>.</remarks>
public static partial class Gsm8kGrader
{
    private const string Invalid = "[invalid]";

    /// <summary>The first number after <c>#### </c>.</summary>
    /// <param name="response">The model's text.</param>
    /// <param name="reference">The reference solution, or only its number.</param>
    public static Gsm8kVerdict Strict(string response, string reference)
    {
        ArgumentNullException.ThrowIfNull(response);
        ArgumentNullException.ThrowIfNull(reference);
        Match match = Marked().Match(response);
        return Compare(match.Success ? match.Groups[1].Value : Invalid, reference);
    }

    /// <summary>The last number, wherever it stands.</summary>
    /// <param name="response">The model's text.</param>
    /// <param name="reference">The reference solution, or only its number.</param>
    public static Gsm8kVerdict Flexible(string response, string reference)
    {
        ArgumentNullException.ThrowIfNull(response);
        ArgumentNullException.ThrowIfNull(reference);
        string found = Invalid;
        foreach (Match match in Number().Matches(response))
            found = match.Value;
        return Compare(found, reference);
    }

    private static Gsm8kVerdict Compare(string extracted, string reference)
    {
        string number = extracted.Trim();
        return new Gsm8kVerdict(number, string.Equals(Normal(number), Normal(reference), StringComparison.OrdinalIgnoreCase));
    }

    private static string Normal(string text)
    {
        text = text.Replace(",", "", StringComparison.Ordinal).Replace("$", "", StringComparison.Ordinal);
        int mark = text.LastIndexOf("#### ", StringComparison.Ordinal);
        if (mark >= 0)
            text = text[(mark + 5)..];
        return FinalDot().Replace(text, "");
    }

    [GeneratedRegex(@"#### (-?[0-9.,]+)")]
    private static partial Regex Marked();

    [GeneratedRegex(@"-?[$0-9.,]{2,}|-?[0-9]+")]
    private static partial Regex Number();

    [GeneratedRegex(@"\.$")]
    private static partial Regex FinalDot();
}
