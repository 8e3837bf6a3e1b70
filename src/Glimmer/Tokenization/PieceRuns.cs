using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Tokenization;

/// <summary>Scans shared by the splitters.</summary>
internal static class PieceRuns
{
    /// <summary>End of the run of letters at <paramref name="p"/>, which may be empty.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int EndOfLetters(ref byte text, int p, int end)
    {
        // 16 bytes at once: most words end inside the first vector, without a loop whose length is hard to predict.
        uint others = NonLetters(ref text, p);
        p += BitOperations.TrailingZeroCount(others | 0x10000);
        if (p >= end)
            return end;
        return others != 0 && Unsafe.Add(ref text, p) < 0x80 ? p : EndOfMixedLetters(ref text, p, end);
    }

    /// <summary>End of the run of at most <paramref name="limit"/> characters of a class at <paramref name="p"/>.</summary>
    public static int EndOfRun(ref byte text, int p, int end, CharClass wanted, int limit = int.MaxValue)
    {
        while (p < end && limit-- > 0 && Utf8Text.ClassAt(ref text, p, out int length) == wanted)
            p += length;
        return p;
    }

    private static int EndOfMixedLetters(ref byte text, int p, int end)
    {
        while (p < end)
        {
            int b = Unsafe.Add(ref text, p);
            if (b is >= 0xE5 and <= 0xE8)
            {
                p += 3; // U+5000..U+8FFF are letters throughout: most Chinese characters
            }
            else if (b >= 0x80)
            {
                if (Utf8Text.ClassAt(ref text, p, out int length) != CharClass.Letter)
                    return p;
                p += length;
            }
            else
            {
                uint others = NonLetters(ref text, p);
                p += BitOperations.TrailingZeroCount(others | 0x10000);
                if (others != 0 && Unsafe.Add(ref text, p) < 0x80)
                    break;
            }
        }

        return Math.Min(p, end);
    }

    /// <summary>One bit for each of the 16 bytes at <paramref name="p"/> that is not an ASCII letter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint NonLetters(ref byte text, int p)
    {
        Vector128<byte> bytes = Vector128.LoadUnsafe(ref text, (nuint)p);
        Vector128<byte> letters = Vector128.LessThan((bytes | Vector128.Create((byte)0x20)) - Vector128.Create((byte)'a'), Vector128.Create((byte)26));
        return letters.ExtractMostSignificantBits() ^ 0xFFFF;
    }
}
