using System.Globalization;

namespace Glimmer.Inference.Constraints;

/// <summary>The character classes of ECMAScript expressions: <c>\d</c> and <c>\w</c> are ASCII, <c>\s</c> is white space with line ends and U+FEFF.</summary>
internal static class RegexClasses
{
    private static readonly Lazy<CodePointSet[]> s_categories = new(Categories);

    public static CodePointSet Digit { get; } = CodePointSet.Of('0', '9');

    public static CodePointSet Word { get; } = CodePointSet.FromRanges([('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]);

    public static CodePointSet Space { get; } = CodePointSet.FromRanges(
        [(9, 13), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)]);

    /// <summary>What <c>.</c> matches: everything but line feed, carriage return, U+2028 and U+2029.</summary>
    public static CodePointSet Dot { get; } = CodePointSet.FromRanges([('\n', '\n'), ('\r', '\r'), (0x2028, 0x2029)]).Complement();

    /// <summary>A general category by its short or long name, with or without <c>General_Category=</c>, or <c>Any</c> or <c>ASCII</c>.</summary>
    /// <exception cref="ConstraintException">The property is another one: the class library has data of general categories only.</exception>
    public static CodePointSet Property(string name)
    {
        string value = name;
        foreach (string prefix in (ReadOnlySpan<string>)["General_Category=", "gc="])
        {
            if (name.StartsWith(prefix, StringComparison.Ordinal))
                value = name[prefix.Length..];
        }

        switch (value)
        {
            case "Any" when value == name:
                return CodePointSet.All;
            case "ASCII" when value == name:
                return CodePointSet.Of(0, 127);
        }

        UnicodeCategory[] categories = value switch
        {
            "L" or "Letter" => [UnicodeCategory.UppercaseLetter, UnicodeCategory.LowercaseLetter, UnicodeCategory.TitlecaseLetter, UnicodeCategory.ModifierLetter, UnicodeCategory.OtherLetter],
            "LC" or "Cased_Letter" => [UnicodeCategory.UppercaseLetter, UnicodeCategory.LowercaseLetter, UnicodeCategory.TitlecaseLetter],
            "Lu" or "Uppercase_Letter" => [UnicodeCategory.UppercaseLetter],
            "Ll" or "Lowercase_Letter" => [UnicodeCategory.LowercaseLetter],
            "Lt" or "Titlecase_Letter" => [UnicodeCategory.TitlecaseLetter],
            "Lm" or "Modifier_Letter" => [UnicodeCategory.ModifierLetter],
            "Lo" or "Other_Letter" => [UnicodeCategory.OtherLetter],
            "M" or "Mark" or "Combining_Mark" => [UnicodeCategory.NonSpacingMark, UnicodeCategory.SpacingCombiningMark, UnicodeCategory.EnclosingMark],
            "Mn" or "Nonspacing_Mark" => [UnicodeCategory.NonSpacingMark],
            "Mc" or "Spacing_Mark" => [UnicodeCategory.SpacingCombiningMark],
            "Me" or "Enclosing_Mark" => [UnicodeCategory.EnclosingMark],
            "N" or "Number" => [UnicodeCategory.DecimalDigitNumber, UnicodeCategory.LetterNumber, UnicodeCategory.OtherNumber],
            "Nd" or "Decimal_Number" or "digit" => [UnicodeCategory.DecimalDigitNumber],
            "Nl" or "Letter_Number" => [UnicodeCategory.LetterNumber],
            "No" or "Other_Number" => [UnicodeCategory.OtherNumber],
            "P" or "Punctuation" or "punct" =>
            [
                UnicodeCategory.ConnectorPunctuation, UnicodeCategory.DashPunctuation, UnicodeCategory.OpenPunctuation, UnicodeCategory.ClosePunctuation,
                UnicodeCategory.InitialQuotePunctuation, UnicodeCategory.FinalQuotePunctuation, UnicodeCategory.OtherPunctuation,
            ],
            "Pc" or "Connector_Punctuation" => [UnicodeCategory.ConnectorPunctuation],
            "Pd" or "Dash_Punctuation" => [UnicodeCategory.DashPunctuation],
            "Ps" or "Open_Punctuation" => [UnicodeCategory.OpenPunctuation],
            "Pe" or "Close_Punctuation" => [UnicodeCategory.ClosePunctuation],
            "Pi" or "Initial_Punctuation" => [UnicodeCategory.InitialQuotePunctuation],
            "Pf" or "Final_Punctuation" => [UnicodeCategory.FinalQuotePunctuation],
            "Po" or "Other_Punctuation" => [UnicodeCategory.OtherPunctuation],
            "S" or "Symbol" => [UnicodeCategory.MathSymbol, UnicodeCategory.CurrencySymbol, UnicodeCategory.ModifierSymbol, UnicodeCategory.OtherSymbol],
            "Sm" or "Math_Symbol" => [UnicodeCategory.MathSymbol],
            "Sc" or "Currency_Symbol" => [UnicodeCategory.CurrencySymbol],
            "Sk" or "Modifier_Symbol" => [UnicodeCategory.ModifierSymbol],
            "So" or "Other_Symbol" => [UnicodeCategory.OtherSymbol],
            "Z" or "Separator" => [UnicodeCategory.SpaceSeparator, UnicodeCategory.LineSeparator, UnicodeCategory.ParagraphSeparator],
            "Zs" or "Space_Separator" => [UnicodeCategory.SpaceSeparator],
            "Zl" or "Line_Separator" => [UnicodeCategory.LineSeparator],
            "Zp" or "Paragraph_Separator" => [UnicodeCategory.ParagraphSeparator],
            "C" or "Other" => [UnicodeCategory.Control, UnicodeCategory.Format, UnicodeCategory.PrivateUse, UnicodeCategory.OtherNotAssigned],
            "Cc" or "Control" or "cntrl" => [UnicodeCategory.Control],
            "Cf" or "Format" => [UnicodeCategory.Format],
            "Co" or "Private_Use" => [UnicodeCategory.PrivateUse],
            "Cn" or "Unassigned" => [UnicodeCategory.OtherNotAssigned],
            _ => throw ConstraintException.Unsupported($"\\p{{{name}}}", "only general categories, Any and ASCII are known"),
        };
        return categories.Select(c => s_categories.Value[(int)c]).Aggregate((a, b) => a.Union(b));
    }

    private static CodePointSet[] Categories()
    {
        var ranges = new List<(int Low, int High)>[30];
        for (int i = 0; i < ranges.Length; i++)
            ranges[i] = [];
        for (int c = 0; c <= 0x10FFFF; c++)
        {
            if (c == 0xD800)
                c = 0xE000;
            List<(int Low, int High)> list = ranges[(int)CharUnicodeInfo.GetUnicodeCategory(c)];
            if (list.Count > 0 && list[^1].High == c - 1)
                list[^1] = (list[^1].Low, c);
            else
                list.Add((c, c));
        }

        return [.. ranges.Select(CodePointSet.FromRanges)];
    }
}
