using System.Globalization;
using System.Text;
using System.Text.Json;
using Glimmer.Tokenization;
using static Glimmer.Tests.Tokenization.TokenizerRecordings;

namespace Glimmer.Tests.Tokenization;

/// <summary>Classes of all code points as the reference's regex engine sees them.</summary>
[Trait("Category", "Golden")]
public class UnicodeClassesTests
{
    public static TheoryData<string> Rows => Names("unicode.jsonl");

    [SkippableTheory]
    [MemberData(nameof(Rows))]
    public void Class_holds_the_recorded_code_points(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = Row("unicode.jsonl", name);
        HashSet<int> expected = CodePoints(row);
        Assert.Equal(row.GetProperty("count").GetInt32(), expected.Count);
        if (name.StartsWith("nfc_", StringComparison.Ordinal))
        {
            foreach (int c in expected)
                CheckNormalizer(name, c);
        }
        else if (name.StartsWith("diff_", StringComparison.Ordinal))
        {
            // Differences to an older Unicode: all of them are in the class, as far as it is one of ours.
            Func<int, bool>? isIn = Member(name["diff_".Length..name.IndexOf("_unicode", StringComparison.Ordinal)]);
            Assert.All(expected, c => Assert.True(isIn is null || isIn(c), $"U+{c:X4}"));
        }
        else if (Member(name) is Func<int, bool> isIn)
        {
            for (int c = 0; c <= 0x10FFFF; c++)
            {
                if (c is < 0xD800 or > 0xDFFF)
                    Assert.True(expected.Contains(c) == isIn(c), $"U+{c:X4}");
            }
        }
        else
        {
            Skip.If(true, $"no splitter uses class {name}");
        }
    }

    private static Func<int, bool>? Member(string name) => name switch
    {
        "L" => c => UnicodeClasses.Of(c) == CharClass.Letter,
        "N" => c => UnicodeClasses.Of(c) == CharClass.Number,
        "s" or "strip" => UnicodeClasses.IsWhiteSpace,
        "w" => UnicodeClasses.IsWordCharacter,
        // No splitter uses these: the platform's own table is compared, so that a runtime with another Unicode version is noticed.
        "P" => c => Category(c) is >= UnicodeCategory.ConnectorPunctuation and <= UnicodeCategory.OtherPunctuation,
        "M" => c => Category(c) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark,
        "S" => c => Category(c) is >= UnicodeCategory.MathSymbol and <= UnicodeCategory.OtherSymbol,
        "Lu" => c => Category(c) == UnicodeCategory.UppercaseLetter,
        "digits" => c => UnicodeClasses.Of(c) is CharClass.Number or CharClass.NewNumber,
        _ when name.StartsWith("fold_", StringComparison.Ordinal) => c => Folds(name[^1], c),
        _ => null,
    };

    private static UnicodeCategory Category(int codePoint) => CharUnicodeInfo.GetUnicodeCategory(codePoint);

    /// <summary>Whether a code point counts as that letter of a contraction: apostrophe, letter and what completes it are one piece.</summary>
    private static bool Folds(char letter, int codePoint)
    {
        string others = letter switch { 'l' or 'e' => "", 'r' or 'v' => "rv", _ => "stmd" };
        if (codePoint < 128 && char.ToLowerInvariant((char)codePoint) is char lower && lower != letter && others.Contains(lower))
            return false; // it completes a contraction, but as another letter
        if (codePoint == 0x17F && letter != 's')
            return false; // long s does too, as s
        string symbol = char.ConvertFromUtf32(codePoint);
        string contraction = letter switch { 'e' => "'r" + symbol, 'l' => "'" + symbol + "l", 'r' or 'v' => "'" + symbol + "e", _ => "'" + symbol };
        byte[] text = Encoding.UTF8.GetBytes(contraction + "z");
        byte[] padded = [.. text, .. new byte[Utf8Text.Padding]];
        // Letters that make no contraction take the z into their piece; what is no letter ends before it, but is none of these either.
        return UnicodeClasses.Of(codePoint) == CharClass.Letter && GlmSplitter.Next(ref padded[0], 0, text.Length) == text.Length - 1;
    }

    private static void CheckNormalizer(string name, int codePoint)
    {
        string text = char.ConvertFromUtf32(codePoint);
        if (name == "nfc_not_composed")
        {
            // The parts stay apart and the whole stays whole.
            Assert.Equal(text, Nfc.Normalize(text));
        }
        else
        {
            // A mark of class 0 stays where it is, behind or before a mark of another class.
            Assert.Equal("a\u0301" + text, Nfc.Normalize("a\u0301" + text).Replace("\u00E1", "a\u0301", StringComparison.Ordinal));
            Assert.Equal("q\u0301" + text + "\u0323", Nfc.Normalize("q\u0301" + text + "\u0323"));
        }
    }

    private static HashSet<int> CodePoints(JsonElement row)
    {
        HashSet<int> set = row.TryGetProperty("same_as", out JsonElement other) ? CodePoints(Row("unicode.jsonl", other.GetString()!)) : [];
        foreach (string key in (string[])["ranges", "plus"])
        {
            if (row.TryGetProperty(key, out JsonElement ranges))
                set.UnionWith(Range(ranges));
        }

        if (row.TryGetProperty("minus", out JsonElement minus))
            set.ExceptWith(Range(minus));
        return set;

        static IEnumerable<int> Range(JsonElement ranges) =>
            ranges.EnumerateArray().SelectMany(r => Enumerable.Range(r[0].GetInt32(), r[1].GetInt32() - r[0].GetInt32() + 1));
    }
}
