using System.Globalization;
using System.Text;

namespace Glimmer.Chat;

/// <summary>How Python prints, trims and orders text, where .NET differs.</summary>
internal static class PythonText
{
    private const int MaxDepth = 1000;

    /// <summary>Order of strings by code point: as ordinal order, but surrogate pairs come after U+FFFF.</summary>
    public static readonly Comparer<string> CodePointOrder = Comparer<string>.Create(CompareCodePoints);

    /// <summary>Python's <c>str.isspace</c>: Unicode white space and also U+001C to U+001F, which .NET leaves out.</summary>
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\u001c' and <= '\u001f';

    public static bool IsSpace(ReadOnlySpan<char> text)
    {
        foreach (char c in text)
        {
            if (!IsSpace(c))
                return false;
        }

        return true;
    }

    public static ReadOnlySpan<char> TrimStart(ReadOnlySpan<char> text)
    {
        int start = 0;
        while (start < text.Length && IsSpace(text[start]))
            start++;
        return text[start..];
    }

    public static ReadOnlySpan<char> TrimEnd(ReadOnlySpan<char> text)
    {
        int end = text.Length;
        while (end > 0 && IsSpace(text[end - 1]))
            end--;
        return text[..end];
    }

    public static ReadOnlySpan<char> Trim(ReadOnlySpan<char> text) => TrimStart(TrimEnd(text));

    /// <summary>Number of code points.</summary>
    public static int CodePointCount(string text)
    {
        int pairs = 0;
        for (int i = 1; i < text.Length; i++)
        {
            if (char.IsSurrogatePair(text[i - 1], text[i]))
                pairs++;
        }

        return text.Length - pairs;
    }

    /// <summary>UTF-16 offset of every code point and of the end; null when they are 0, 1, 2, ... because there is no surrogate pair.</summary>
    public static int[]? CodePointOffsets(string text)
    {
        int count = CodePointCount(text);
        if (count == text.Length)
            return null;
        int[] offsets = new int[count + 1];
        int position = 0;
        for (int i = 0; i < count; i++)
        {
            offsets[i] = position;
            position += position + 1 < text.Length && char.IsSurrogatePair(text[position], text[position + 1]) ? 2 : 1;
        }

        offsets[count] = text.Length;
        return offsets;
    }

    /// <summary>Python's <c>str(value)</c>.</summary>
    public static string Str(DataValue value) => value is StringValue text ? text.Text : Repr(value);

    /// <summary>Python's <c>repr(value)</c>.</summary>
    /// <exception cref="TemplateFault">The value nests deeper than 1,000 levels.</exception>
    public static string Repr(DataValue value)
    {
        if (value is DataArray or DataObject)
        {
            var text = new StringBuilder();
            AppendRepr(text, value, 0);
            return text.ToString();
        }

        return value switch
        {
            StringValue characters => StrRepr(characters.Text),
            IntegerValue integer => integer.ToDigits(),
            FloatValue number => FloatRepr(number.Value),
            BooleanValue boolean => boolean.Value ? "True" : "False",
            NullValue => "None",
            Jinja.UndefinedValue => "",
            _ => $"<{value.TypeName}>",
        };
    }

    /// <summary>Python's <c>repr(float)</c>: the shortest digits that round-trip, exponent form below 1e-4 and from 1e16 on.</summary>
    public static string FloatRepr(double value)
    {
        if (double.IsNaN(value))
            return "nan";
        if (double.IsInfinity(value))
            return value > 0 ? "inf" : "-inf";
        string sign = double.IsNegative(value) ? "-" : "";
        string shortest = Math.Abs(value).ToString("R", CultureInfo.InvariantCulture);
        int exponentMark = shortest.IndexOf('E', StringComparison.Ordinal);
        string mantissa = exponentMark < 0 ? shortest : shortest[..exponentMark];
        string digits = mantissa.Replace(".", "", StringComparison.Ordinal).TrimStart('0').TrimEnd('0');
        if (digits.Length == 0)
            return sign + "0.0";

        // The decimal exponent of the first digit.
        int point = mantissa.IndexOf('.', StringComparison.Ordinal);
        int integerDigits = point < 0 ? mantissa.Length : point;
        int exponent = exponentMark >= 0
            ? int.Parse(shortest.AsSpan(exponentMark + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture)
            : mantissa[0] != '0' ? integerDigits - 1 : integerDigits - 1 - LeadingZeros(mantissa.AsSpan(integerDigits + 1)) - 1;
        if (exponent is < -4 or >= 16)
        {
            string fraction = digits.Length > 1 ? "." + digits[1..] : "";
            return $"{sign}{digits[0]}{fraction}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";
        }

        if (exponent < 0)
            return $"{sign}0.{new string('0', -exponent - 1)}{digits}";
        return digits.Length <= exponent + 1
            ? $"{sign}{digits.PadRight(exponent + 1, '0')}.0"
            : $"{sign}{digits[..(exponent + 1)]}.{digits[(exponent + 1)..]}";
    }

    private static int LeadingZeros(ReadOnlySpan<char> digits)
    {
        int count = 0;
        while (count < digits.Length && digits[count] == '0')
            count++;
        return count;
    }

    private static void AppendRepr(StringBuilder text, DataValue value, int depth)
    {
        if (depth > MaxDepth)
            throw new TemplateFault($"the value nests deeper than {MaxDepth} levels");
        switch (value)
        {
            case DataArray array:
                (string open, string close) = array.Sequence switch
                {
                    SequenceKind.Tuple => ("(", array.Count == 1 ? ",)" : ")"),
                    SequenceKind.View => ("dict_view([", "])"),
                    _ => ("[", "]"),
                };
                text.Append(open);
                for (int i = 0; i < array.Count; i++)
                {
                    if (i > 0)
                        text.Append(", ");
                    AppendRepr(text, array[i], depth + 1);
                }

                text.Append(close);
                break;
            case DataObject mapping:
                text.Append('{');
                bool first = true;
                foreach ((string key, DataValue item) in mapping)
                {
                    if (!first)
                        text.Append(", ");
                    first = false;
                    text.Append(StrRepr(key)).Append(": ");
                    AppendRepr(text, item, depth + 1);
                }

                text.Append('}');
                break;
            case Jinja.UndefinedValue:
                text.Append("Undefined");
                break;
            default:
                text.Append(Repr(value));
                break;
        }
    }

    /// <summary>Python's <c>repr(str)</c>.</summary>
    public static string StrRepr(string value)
    {
        char quote = value.Contains('\'', StringComparison.Ordinal) && !value.Contains('"', StringComparison.Ordinal) ? '"' : '\'';
        var text = new StringBuilder(value.Length + 2).Append(quote);
        for (int i = 0; i < value.Length; i++)
        {
            char c = value[i];
            if (c == quote || c == '\\')
                text.Append('\\').Append(c);
            else if (c is '\n' or '\r' or '\t')
                text.Append('\\').Append(c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
            else if (i + 1 < value.Length && char.IsSurrogatePair(c, value[i + 1]))
            {
                AppendPrintable(text, char.ConvertToUtf32(c, value[i + 1]), value.AsSpan(i, 2));
                i++;
            }
            else
                AppendPrintable(text, c, value.AsSpan(i, 1));
        }

        return text.Append(quote).ToString();
    }

    private static void AppendPrintable(StringBuilder text, int codePoint, ReadOnlySpan<char> written)
    {
        bool printable = codePoint == ' ' || CharUnicodeInfo.GetUnicodeCategory(codePoint) is not (UnicodeCategory.Control or UnicodeCategory.Format
            or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator
            or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);
        if (printable)
            text.Append(written);
        else if (codePoint < 0x100)
            text.Append("\\x").Append(codePoint.ToString("x2", CultureInfo.InvariantCulture));
        else if (codePoint < 0x10000)
            text.Append("\\u").Append(codePoint.ToString("x4", CultureInfo.InvariantCulture));
        else
            text.Append("\\U").Append(codePoint.ToString("x8", CultureInfo.InvariantCulture));
    }

    private static int CompareCodePoints(string? a, string? b)
    {
        if (a is null || b is null)
            return Comparer<bool>.Default.Compare(a is not null, b is not null);
        int length = Math.Min(a.Length, b.Length);
        int i = a.AsSpan(0, length).CommonPrefixLength(b.AsSpan(0, length));
        if (i == length)
            return a.Length.CompareTo(b.Length);
        bool wideA = char.IsSurrogate(a[i]), wideB = char.IsSurrogate(b[i]);
        return wideA == wideB ? a[i].CompareTo(b[i]) : wideA ? 1 : -1;
    }
}
