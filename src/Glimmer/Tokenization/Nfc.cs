using System.Runtime.InteropServices;
using System.Text;

namespace Glimmer.Tokenization;

/// <summary>Unicode normalisation form C of UTF-8 text, as the reference's normaliser computes it (see <see cref="NfcTables"/>).</summary>
/// <remarks>Unicode Standard, section 3.11 (D109 canonical ordering, D117 composition), Hangul by arithmetic (section 3.12).</remarks>
internal static class Nfc
{
    private const int HangulFirst = 0xAC00;
    private const int HangulCount = 11172;
    private const int LeadFirst = 0x1100;
    private const int VowelFirst = 0x1161;
    private const int TailFirst = 0x11A7; // one before the first tail: index 0 is "none"
    private const int VowelCount = 21;
    private const int TailCount = 28;

    private static readonly Dictionary<int, (int First, int Second)> s_decompositions = [];
    private static readonly Dictionary<(int First, int Second), int> s_compositions = [];
    private static readonly Dictionary<int, byte> s_classes = [];
    private static readonly ulong[] s_suspects = new ulong[0x110000 / 64];

    static Nfc()
    {
        ReadDecompositions();
        ReadClasses();
        foreach ((int codePoint, (int First, int Second) parts) in s_decompositions)
        {
            bool composes = s_compositions.TryGetValue(parts, out int whole) && whole == codePoint;
            Suspect(composes ? parts.Second : codePoint);
        }

        foreach (int codePoint in s_classes.Keys)
            Suspect(codePoint);
        for (int c = VowelFirst; c < TailFirst + TailCount; c++)
            Suspect(c);
    }

    /// <summary>Whether normalisation leaves the text alone, as far as can be told without doing it: false may be wrong, true is not.</summary>
    public static bool IsSurelyNormalized(ReadOnlySpan<byte> utf8)
    {
        if (Ascii.IsValid(utf8))
            return true;
        while (!utf8.IsEmpty)
        {
            Rune.DecodeFromUtf8(utf8, out Rune rune, out int length);
            if ((s_suspects[rune.Value >> 6] >> rune.Value & 1) != 0)
                return false;
            utf8 = utf8[length..];
        }

        return true;
    }

    /// <summary>The normalised text.</summary>
    public static string Normalize(string text) => Encoding.UTF8.GetString(Normalize(Encoding.UTF8.GetBytes(text)));

    /// <summary>The normalised text.</summary>
    /// <param name="utf8">Valid UTF-8.</param>
    public static byte[] Normalize(ReadOnlySpan<byte> utf8)
    {
        var codePoints = new List<int>(utf8.Length);
        while (!utf8.IsEmpty)
        {
            Rune.DecodeFromUtf8(utf8, out Rune rune, out int length);
            Decompose(rune.Value, codePoints);
            utf8 = utf8[length..];
        }

        Span<int> all = CollectionsMarshal.AsSpan(codePoints);
        Order(all);
        all = all[..Compose(all)];
        int bytes = 0;
        foreach (int c in all)
            bytes += new Rune(c).Utf8SequenceLength;
        var result = new byte[bytes];
        int at = 0;
        foreach (int c in all)
            at += new Rune(c).EncodeToUtf8(result.AsSpan(at));
        return result;
    }

    private static void Decompose(int codePoint, List<int> output)
    {
        if (codePoint - HangulFirst is >= 0 and < HangulCount and int index)
        {
            output.Add(LeadFirst + index / (VowelCount * TailCount));
            output.Add(VowelFirst + index % (VowelCount * TailCount) / TailCount);
            if (index % TailCount != 0)
                output.Add(TailFirst + index % TailCount);
        }
        else if (codePoint >= 0xC0 && s_decompositions.TryGetValue(codePoint, out (int First, int Second) parts))
        {
            Decompose(parts.First, output);
            if (parts.Second != 0)
                Decompose(parts.Second, output);
        }
        else
        {
            output.Add(codePoint);
        }
    }

    /// <summary>Sorts every run of marks by combining class, equal ones in place.</summary>
    private static void Order(Span<int> text)
    {
        for (int from = 0; from < text.Length;)
        {
            if (Class(text[from]) == 0)
            {
                from++;
                continue;
            }

            int to = from + 1;
            while (to < text.Length && Class(text[to]) != 0)
                to++;
            Span<int> run = text[from..to];
            if (run.Length > 1)
            {
                int[] sorted = [.. run.ToArray().OrderBy(Class)];
                sorted.CopyTo(run);
            }

            from = to;
        }
    }

    /// <summary>Puts pairs together where no mark between blocks them; returns the new length.</summary>
    private static int Compose(Span<int> text)
    {
        int count = 0, starter = -1, lastClass = -1;
        foreach (int c in text)
        {
            int ccc = Class(c);
            if (starter >= 0 && lastClass < ccc && Pair(text[starter], c) is int whole and > 0)
            {
                text[starter] = whole;
                continue;
            }

            if (ccc == 0)
                (starter, lastClass) = (count, -1);
            else
                lastClass = ccc;
            text[count++] = c;
        }

        return count;
    }

    private static int Pair(int first, int second)
    {
        if (first - LeadFirst is >= 0 and < 19 and int lead && second - VowelFirst is >= 0 and < VowelCount and int vowel)
            return HangulFirst + (lead * VowelCount + vowel) * TailCount;
        if (first - HangulFirst is >= 0 and < HangulCount and int syllable && syllable % TailCount == 0 && second - TailFirst is > 0 and < TailCount and int tail)
            return first + tail;
        return s_compositions.GetValueOrDefault((first, second));
    }

    private static int Class(int codePoint) => codePoint < 0x300 ? 0 : s_classes.GetValueOrDefault(codePoint);

    private static void Suspect(int codePoint) => s_suspects[codePoint >> 6] |= 1UL << codePoint;

    private static void ReadDecompositions()
    {
        byte[] bytes = Convert.FromBase64String(NfcTables.Decompositions);
        int codePoint = 0;
        for (int at = 0; at < bytes.Length;)
        {
            codePoint += UnicodeRanges.ReadNumber(bytes, ref at);
            int zigzag = UnicodeRanges.ReadNumber(bytes, ref at);
            int second = UnicodeRanges.ReadNumber(bytes, ref at);
            (int First, int Second) parts = (codePoint + (zigzag >> 1 ^ -(zigzag & 1)), second >> 1);
            s_decompositions.Add(codePoint, parts);
            if ((second & 1) != 0)
                s_compositions.Add(parts, codePoint);
        }
    }

    private static void ReadClasses()
    {
        byte[] bytes = Convert.FromBase64String(NfcTables.CombiningClasses);
        int last = 0;
        for (int at = 0; at < bytes.Length;)
        {
            int first = last + UnicodeRanges.ReadNumber(bytes, ref at);
            last = first + UnicodeRanges.ReadNumber(bytes, ref at);
            byte ccc = bytes[at++];
            for (int c = first; c <= last; c++)
                s_classes.Add(c, ccc);
        }
    }
}
