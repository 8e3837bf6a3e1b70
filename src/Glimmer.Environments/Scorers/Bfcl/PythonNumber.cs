using System.Globalization;
using System.Numerics;
using Glimmer.Chat;

namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>Python's <c>int(text)</c> and <c>float(text)</c>.</summary>
internal static class PythonNumber
{
    /// <summary>An integer: blanks around it, a sign and single underscores between digits are allowed.</summary>
    public static bool TryInteger(string text, out BigInteger value)
    {
        string? digits = WithoutUnderscores(PythonText.Trim(text).ToString());
        value = 0;
        return digits is not null && BigInteger.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);
    }

    /// <summary>A float: also an exponent, <c>inf</c>, <c>infinity</c> and <c>nan</c>.</summary>
    public static bool TryFloat(string text, out double value)
    {
        string? digits = WithoutUnderscores(PythonText.Trim(text).ToString());
        value = 0;
        if (digits is null || digits.Length == 0)
            return false;
        string unsigned = digits.TrimStart('+', '-').ToLowerInvariant();
        bool isNegative = digits[0] == '-';
        if (digits.Length - unsigned.Length > 1)
            return false;
        if (unsigned is "inf" or "infinity")
            value = isNegative ? double.NegativeInfinity : double.PositiveInfinity;
        else if (unsigned == "nan")
            value = double.NaN;
        else
            return char.IsAsciiDigit(unsigned.TrimStart('.').FirstOrDefault()) && double.TryParse(digits, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out value);
        return true;
    }

    /// <summary>The number a text spells: an integer, else a float, else the text itself.</summary>
    public static PythonValue OrText(string text) =>
        TryInteger(text, out BigInteger integer) ? PythonValue.Of(integer) : TryFloat(text, out double number) ? PythonValue.Of(number) : PythonValue.Of(text);

    private static string? WithoutUnderscores(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '_' && (i == 0 || i + 1 == text.Length || !char.IsAsciiDigit(text[i - 1]) || !char.IsAsciiDigit(text[i + 1])))
                return null;
        }

        return text.Replace("_", "", StringComparison.Ordinal);
    }
}
