using System.Globalization;
using System.Numerics;
using System.Text;

namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>The kinds of tokens of a Python expression.</summary>
internal enum PythonTokenKind
{
    Name,
    Number,
    String,
    FormattedString,
    Operator,
    End,
}

/// <summary>A token; a literal carries its value.</summary>
internal readonly record struct PythonLexeme(PythonTokenKind Kind, string Text, PythonValue? Value = null);

/// <summary>Splits a Python expression into tokens. Line breaks are blanks: the whole text stands inside brackets.</summary>
internal static class PythonLexer
{
    private static readonly string[] s_operators = ["...", "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "->", ":="];

    /// <summary>The tokens, ending with <see cref="PythonTokenKind.End"/>.</summary>
    /// <exception cref="FormatException">A token is malformed.</exception>
    public static List<PythonLexeme> Read(string text)
    {
        var tokens = new List<PythonLexeme>();
        int at = 0;
        while (at < text.Length)
        {
            char c = text[at];
            if (c is ' ' or '\t' or '\f' or '\n' or '\r')
                at++;
            else if (c == '\\' && at + 1 < text.Length && text[at + 1] == '\n')
                at += 2;
            else if (c == '#')
                at = text.IndexOf('\n', at) is >= 0 and int line ? line : text.Length;
            else if (IsStringStart(text, at, out int quote))
                tokens.Add(ReadString(text, ref at, quote));
            else if (char.IsAsciiDigit(c) || (c == '.' && at + 1 < text.Length && char.IsAsciiDigit(text[at + 1])))
                tokens.Add(ReadNumber(text, ref at));
            else if (char.IsLetter(c) || c == '_')
            {
                int start = at;
                while (at < text.Length && (char.IsLetterOrDigit(text[at]) || text[at] == '_' || CharUnicodeInfo.GetUnicodeCategory(text[at]) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark))
                    at++;
                tokens.Add(new PythonLexeme(PythonTokenKind.Name, text[start..at]));
            }
            else
            {
                string symbol = s_operators.FirstOrDefault(item => text.AsSpan(at).StartsWith(item)) ?? c.ToString();
                if (symbol.Length == 1 && !"+-*/%@&|^~<>()[]{},:.=;".Contains(c, StringComparison.Ordinal))
                    throw new FormatException($"unexpected '{c}' at character {at}");
                tokens.Add(new PythonLexeme(PythonTokenKind.Operator, symbol));
                at += symbol.Length;
            }
        }

        tokens.Add(new PythonLexeme(PythonTokenKind.End, "the end"));
        return tokens;
    }

    private static bool IsStringStart(string text, int at, out int quote)
    {
        for (quote = at; quote < text.Length && quote - at < 3; quote++)
        {
            if (text[quote] is '\'' or '"')
                return text.AsSpan(at, quote - at).ToString().ToLowerInvariant() is "" or "r" or "b" or "u" or "f" or "br" or "rb" or "fr" or "rf";
            if (!char.IsAsciiLetter(text[quote]))
                return false;
        }

        return false;
    }

    private static PythonLexeme ReadString(string text, ref int at, int quote)
    {
        int start = at;
        string prefix = text[at..quote].ToLowerInvariant();
        char mark = text[quote];
        bool isTriple = text.AsSpan(quote).StartsWith(new string(mark, 3));
        string close = new(mark, isTriple ? 3 : 1);
        var value = new StringBuilder();
        for (at = quote + close.Length; ; at++)
        {
            if (at >= text.Length || (!isTriple && text[at] == '\n'))
                throw new FormatException($"the string at character {start} does not end");
            if (text.AsSpan(at).StartsWith(close))
                break;
            if (text[at] == '\\' && at + 1 < text.Length)
                AppendEscape(value, text, ref at, prefix.Contains('r', StringComparison.Ordinal));
            else
                value.Append(text[at]);
        }

        at += close.Length;
        if (prefix.Contains('f', StringComparison.Ordinal))
            return new PythonLexeme(PythonTokenKind.FormattedString, text[start..at]);
        string content = value.ToString();
        return prefix.Contains('b', StringComparison.Ordinal)
            ? new PythonLexeme(PythonTokenKind.String, "b", PythonValue.Other("b" + PythonValue.Of(content)))
            : new PythonLexeme(PythonTokenKind.String, "", PythonValue.Of(content));
    }

    /// <summary>Appends what a backslash and the characters after it mean; leaves <paramref name="at"/> on the last of them.</summary>
    private static void AppendEscape(StringBuilder value, string text, ref int at, bool isRaw)
    {
        char c = text[++at];
        if (isRaw)
        {
            value.Append('\\').Append(c);
            return;
        }

        switch (c)
        {
            case '\n':
                return;
            case '\\' or '\'' or '"':
                value.Append(c);
                return;
            case 'x' or 'u' or 'U':
                int count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
                if (at + count >= text.Length || !int.TryParse(text.AsSpan(at + 1, count), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int code) || code is < 0 or > 0x10FFFF)
                    throw new FormatException($"\\{c} at character {at} needs {count} hexadecimal digits");
                at += count;
                if (code > char.MaxValue)
                    value.Append(char.ConvertFromUtf32(code));
                else
                    value.Append((char)code);
                return;
            case 'N':
                throw new FormatException("characters by name (\\N) are not supported");
            case >= '0' and <= '7':
                int octal = 0, digits = 0;
                for (; digits < 3 && at + digits < text.Length && text[at + digits] is >= '0' and <= '7'; digits++)
                    octal = (octal * 8) + text[at + digits] - '0';
                at += digits - 1;
                value.Append((char)octal);
                return;
        }

        int simple = "abfnrtv".IndexOf(c, StringComparison.Ordinal);
        if (simple >= 0)
            value.Append("\a\b\f\n\r\t\v"[simple]);
        else
            value.Append('\\').Append(c);
    }

    private static PythonLexeme ReadNumber(string text, ref int at)
    {
        int start = at;
        if (text[at] == '0' && at + 1 < text.Length && char.ToLowerInvariant(text[at + 1]) is 'x' or 'o' or 'b')
        {
            int radix = char.ToLowerInvariant(text[at + 1]) switch { 'x' => 16, 'o' => 8, _ => 2 };
            at += 2;
            BigInteger value = 0;
            int digits = at;
            for (; at < text.Length && (char.IsAsciiHexDigit(text[at]) || text[at] == '_'); at++)
            {
                if (text[at] == '_')
                    continue;
                int digit = int.Parse(text.AsSpan(at, 1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
                value = digit < radix ? (value * radix) + digit : throw new FormatException($"malformed number at character {start}");
            }

            return at > digits ? Checked(text, at, PythonValue.Of(value)) : throw new FormatException($"malformed number at character {start}");
        }

        Digits(text, ref at);
        bool isFloat = false;
        if (at < text.Length && text[at] == '.')
        {
            isFloat = true;
            at++;
            Digits(text, ref at);
        }

        if (at < text.Length && text[at] is 'e' or 'E')
        {
            int mark = at + 1;
            if (mark < text.Length && text[mark] is '+' or '-')
                mark++;
            if (mark < text.Length && char.IsAsciiDigit(text[mark]))
            {
                isFloat = true;
                at = mark;
                Digits(text, ref at);
            }
        }

        string number = text[start..at];
        if (at < text.Length && text[at] is 'j' or 'J')
        {
            at++;
            return Checked(text, at, PythonValue.Other(number + "j"));
        }

        if (isFloat)
            return PythonNumber.TryFloat(number, out double real) ? Checked(text, at, PythonValue.Of(real)) : throw new FormatException($"malformed number '{number}'");
        bool hasLeadingZero = number.Length > 1 && number[0] == '0' && number.AsSpan().IndexOfAnyExcept('0', '_') >= 0;
        return !hasLeadingZero && PythonNumber.TryInteger(number, out BigInteger integer) ? Checked(text, at, PythonValue.Of(integer)) : throw new FormatException($"malformed number '{number}'");
    }

    private static PythonLexeme Checked(string text, int at, PythonValue value) =>
        at < text.Length && (char.IsLetterOrDigit(text[at]) || text[at] == '_') && !char.IsWhiteSpace(text[at])
            ? throw new FormatException($"malformed number before character {at}")
            : new PythonLexeme(PythonTokenKind.Number, value.ToString(), value);

    private static void Digits(string text, ref int at)
    {
        while (at < text.Length && (char.IsAsciiDigit(text[at]) || text[at] == '_'))
            at++;
    }
}
