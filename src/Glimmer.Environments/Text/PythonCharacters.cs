using System.Globalization;
using System.Text;

namespace Glimmer.Environments.Text;

/// <summary>Classes of characters as Python's <c>str</c> and <c>re</c> see them, where .NET differs.</summary>
internal static class PythonCharacters
{
    /// <summary>Python's <c>\w</c> for .NET patterns: letters, digits, other numbers and the underscore, but no marks. Beyond U+FFFF only where a rune is given.</summary>
    public const string Word = @"[\p{L}\p{Nd}\p{Nl}\p{No}_]";

    /// <summary>Python's <c>\b</c> for .NET patterns.</summary>
    public const string WordBoundary = $"(?:(?<={Word})(?!{Word})|(?<!{Word})(?={Word}))";

    /// <summary>Python's <c>\w</c>.</summary>
    public static bool IsWord(Rune rune) => rune.Value == '_' || Rune.GetUnicodeCategory(rune) is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter
        or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter
        or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;

    /// <summary>Number of longest runs of <c>\w</c>: what <c>re.findall(r"\w+")</c> finds.</summary>
    public static int CountWords(string text)
    {
        int count = 0;
        bool inside = false;
        foreach (Rune rune in text.EnumerateRunes())
        {
            bool isWord = IsWord(rune);
            if (isWord && !inside)
                count++;
            inside = isWord;
        }

        return count;
    }

    /// <summary>Python's <c>str.isupper</c>: at least one character with case, and none that is lower or title case.</summary>
    public static bool IsUpper(string text)
    {
        bool found = false;
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (IsLower(rune) || Rune.GetUnicodeCategory(rune) == UnicodeCategory.TitlecaseLetter)
                return false;
            found |= IsUpper(rune);
        }

        return found;
    }

    /// <summary>Python's <c>str.islower</c>.</summary>
    public static bool IsLower(string text)
    {
        bool found = false;
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (IsUpper(rune) || Rune.GetUnicodeCategory(rune) == UnicodeCategory.TitlecaseLetter)
                return false;
            found |= IsLower(rune);
        }

        return found;
    }

    /// <summary>Unicode's property Uppercase: category Lu, Roman numerals, circled and squared capitals.</summary>
    public static bool IsUpper(Rune rune) => Rune.GetUnicodeCategory(rune) == UnicodeCategory.UppercaseLetter
        || rune.Value is (>= 0x2160 and <= 0x216F) or (>= 0x24B6 and <= 0x24CF) or (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189);

    /// <summary>Unicode's property Lowercase: category Ll, modifier letters and symbols that are small letters.</summary>
    public static bool IsLower(Rune rune) => Rune.GetUnicodeCategory(rune) == UnicodeCategory.LowercaseLetter
        || rune.Value is 0xAA or 0xBA or (>= 0x2B0 and <= 0x2B8) or 0x2C0 or 0x2C1 or (>= 0x2E0 and <= 0x2E4) or 0x345 or 0x37A or (>= 0x1D2C and <= 0x1D6A) or 0x1D78
            or (>= 0x1D9B and <= 0x1DBF) or 0x2071 or 0x207F or (>= 0x2090 and <= 0x209C) or (>= 0x2170 and <= 0x217F) or (>= 0x24D0 and <= 0x24E9) or 0x2C7C or 0x2C7D
            or 0xA69C or 0xA69D or 0xA770 or 0xA7F8 or 0xA7F9 or (>= 0xAB5C and <= 0xAB5F);
}
