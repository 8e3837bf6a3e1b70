using System.Runtime.CompilerServices;

namespace Glimmer.Tokenization;

/// <summary>Walks valid UTF-8 that is followed by at least <see cref="Padding"/> readable bytes.</summary>
/// <remarks>Everything here trusts its input: the pipeline transcodes or validates text first (<see cref="EncoderScratch"/>).</remarks>
internal static class Utf8Text
{
    /// <summary>Bytes that must be readable behind the text, so that vector loads need no bounds check.</summary>
    public const int Padding = 32;

    /// <summary>Decodes the code point at <paramref name="p"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int CodePointAt(ref byte text, int p, out int length)
    {
        ref byte at = ref Unsafe.Add(ref text, p);
        int b = at;
        if (b < 0x80)
        {
            length = 1;
            return b;
        }

        return Multibyte(ref at, b, out length);
    }

    /// <summary>The class of the code point at <paramref name="p"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CharClass ClassAt(ref byte text, int p, out int length) => UnicodeClasses.Of(CodePointAt(ref text, p, out length));

    /// <summary>Start of the code point that ends before <paramref name="end"/>; <paramref name="end"/> is above the start of the text.</summary>
    public static int StartOfLast(ReadOnlySpan<byte> text, int end)
    {
        int p = end - 1;
        while ((text[p] & 0xC0) == 0x80)
            p--;
        return p;
    }

    private static int Multibyte(ref byte at, int b, out int length)
    {
        int second = Unsafe.Add(ref at, 1) & 0x3F;
        if (b < 0xE0)
        {
            length = 2;
            return (b & 0x1F) << 6 | second;
        }

        int third = Unsafe.Add(ref at, 2) & 0x3F;
        if (b < 0xF0)
        {
            length = 3;
            return (b & 0x0F) << 12 | second << 6 | third;
        }

        length = 4;
        return (b & 0x07) << 18 | second << 12 | third << 6 | Unsafe.Add(ref at, 3) & 0x3F;
    }
}
