using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Glimmer.Tokenization;

/// <summary>The class of a code point, as far as pre-tokenizers tell them apart. The classes are disjoint.</summary>
internal enum CharClass : byte
{
    /// <summary>None of the others: punctuation, symbols, marks, controls, unassigned.</summary>
    Other,
    /// <summary><c>\p{L}</c>.</summary>
    Letter,
    /// <summary><c>\p{N}</c>.</summary>
    Number,
    /// <summary><c>\s</c> without CR and LF.</summary>
    Space,
    /// <summary>CR and LF.</summary>
    LineBreak,
    /// <summary>
    /// A number of Unicode 17.0 that 16.0 lacks: a digit for the Digits pre-tokenizer (Rust's <c>is_numeric</c>), other for the regexes.
    /// </summary>
    NewNumber,
}

/// <summary>Looks up classes of code points: one byte a code point in a flat table (1.1 MB, of which a text touches a few pages).</summary>
internal static class UnicodeClasses
{
    private static readonly byte[] s_classes = BuildClasses();

    /// <summary>The class of a code point, 0..0x10FFFF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CharClass Of(int codePoint) =>
        // Invariant: callers pass code points decoded from valid UTF-8, which never exceed the table.
        (CharClass)Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(s_classes), codePoint);

    /// <summary>The 25 code points of White_Space: <c>\s</c>, and what <c>lstrip</c> and <c>rstrip</c> of added tokens swallow.</summary>
    public static bool IsWhiteSpace(int codePoint) => Of(codePoint) is CharClass.Space or CharClass.LineBreak;

    /// <summary><c>\w</c>: a <c>single_word</c> added token does not match beside one of these.</summary>
    public static bool IsWordCharacter(int codePoint) =>
        Of(codePoint) == CharClass.Letter || WordCharacters.Contains(codePoint);

    private static byte[] BuildClasses()
    {
        var classes = new byte[0x110000];
        UnicodeRanges.Visit(UnicodeRanges.Letters, (first, last) => classes.AsSpan(first, last - first + 1).Fill((byte)CharClass.Letter));
        UnicodeRanges.Visit(UnicodeRanges.Numbers, (first, last) => classes.AsSpan(first, last - first + 1).Fill((byte)CharClass.Number));
        classes.AsSpan(0x11DE0, 10).Fill((byte)CharClass.NewNumber);
        classes.AsSpan(0x16FF4, 3).Fill((byte)CharClass.NewNumber);
        ReadOnlySpan<int> spaces =
        [
            0x09, 0x0B, 0x0C, 0x20, 0x85, 0xA0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009,
            0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000,
        ];
        foreach (int space in spaces)
            classes[space] = (byte)CharClass.Space;
        classes['\r'] = classes['\n'] = (byte)CharClass.LineBreak;
        return classes;
    }

    /// <summary>Built only when a tokenizer has a <c>single_word</c> token.</summary>
    private static class WordCharacters
    {
        private static readonly HashSet<int> s_set = Build();

        public static bool Contains(int codePoint) => s_set.Contains(codePoint);

        private static HashSet<int> Build()
        {
            var set = new HashSet<int>();
            UnicodeRanges.Visit(UnicodeRanges.OtherWordCharacters, (first, last) =>
            {
                for (int c = first; c <= last; c++)
                    set.Add(c);
            });
            return set;
        }
    }
}
