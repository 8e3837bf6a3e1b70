using System.Runtime.CompilerServices;

namespace Glimmer.Tokenization;

/// <summary>GLM's pre-tokenizer, up to three digits a piece; see <see cref="GlmPattern"/>.</summary>
internal readonly struct GlmSplitter : IPieceSplitter
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Next(ref byte text, int p, int end) => GlmPattern.Next(ref text, p, end, 3);
}

/// <summary>Qwen2's pre-tokenizer: GLM's with one digit a piece; see <see cref="GlmPattern"/>.</summary>
internal readonly struct Qwen2Splitter : IPieceSplitter
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Next(ref byte text, int p, int end) => GlmPattern.Next(ref text, p, end, 1);
}

/// <summary>
/// The pattern <c>(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,n}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+</c>
/// written out by hand over UTF-8. Every character is matched by some alternative, so pieces are contiguous.
/// </summary>
internal static class GlmPattern
{
    /// <summary>The pattern as tokenizer.json files spell it, for <see cref="PreTokenizer.Glm"/>.</summary>
    public const string Glm =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>The pattern as tokenizer.json files spell it, for <see cref="PreTokenizer.Qwen2"/>.</summary>
    public const string Qwen2 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>End of the piece at <paramref name="p"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Next(ref byte text, int p, int end, int maxDigits)
    {
        byte first = Unsafe.Add(ref text, p);
        CharClass kind = Class(ref text, p, out int length);
        if (kind == CharClass.Letter)
            return PieceRuns.EndOfLetters(ref text, p + length, end);
        if (kind == CharClass.Number)
            return PieceRuns.EndOfRun(ref text, p + length, end, CharClass.Number, maxDigits - 1);
        int q = p + length;
        if (first == '\'' && EndOfContraction(ref text, q, end) is int contraction and > 0)
            return contraction;
        if (q < end && kind != CharClass.LineBreak)
        {
            CharClass next = Class(ref text, q, out length);
            if (next == CharClass.Letter)
                return PieceRuns.EndOfLetters(ref text, q + length, end);
            if (first == ' ' && next == CharClass.Other)
                return EndOfOthers(ref text, q + length, end);
        }

        return kind == CharClass.Other ? EndOfOthers(ref text, q, end) : EndOfWhiteSpace(ref text, p, end);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static CharClass Class(ref byte text, int p, out int length)
    {
        CharClass kind = Utf8Text.ClassAt(ref text, p, out length);
        return kind == CharClass.NewNumber ? CharClass.Other : kind;
    }

    /// <summary>
    /// End of <c>(?i:'s|'t|'re|'ve|'m|'ll|'d)</c> whose apostrophe ends at <paramref name="p"/>, or 0. Of the case pairs beyond ASCII only
    /// U+017F (long s) matters: the reference's engine folds it to s.
    /// </summary>
    private static int EndOfContraction(ref byte text, int p, int end)
    {
        if (p >= end)
            return 0;
        int first = Unsafe.Add(ref text, p);
        int second = p + 1 < end ? Unsafe.Add(ref text, p + 1) : 0;
        if (first == 0xC5 && second == 0xBF)
            return p + 2;
        first |= 0x20;
        second |= 0x20;
        return first switch
        {
            's' or 't' or 'm' or 'd' => p + 1,
            'r' or 'v' when second == 'e' => p + 2,
            'l' when second == 'l' => p + 2,
            _ => 0,
        };
    }

    /// <summary>The rest of <c>[^\s\p{L}\p{N}]+[\r\n]*</c>.</summary>
    private static int EndOfOthers(ref byte text, int p, int end)
    {
        while (p < end)
        {
            CharClass kind = Class(ref text, p, out int length);
            if (kind == CharClass.Other)
            {
                p += length;
                continue;
            }

            return kind == CharClass.LineBreak ? PieceRuns.EndOfRun(ref text, p, end, CharClass.LineBreak) : p;
        }

        return p;
    }

    /// <summary><c>\s*[\r\n]+|\s+(?!\S)|\s+</c> at white space: to the last line break of the run, else all but its last character.</summary>
    private static int EndOfWhiteSpace(ref byte text, int start, int end)
    {
        int p = start, last = start, afterBreak = 0;
        while (p < end)
        {
            CharClass kind = Utf8Text.ClassAt(ref text, p, out int length);
            if (kind is not (CharClass.Space or CharClass.LineBreak))
                break;
            last = p;
            p += length;
            if (kind == CharClass.LineBreak)
                afterBreak = p;
        }

        if (afterBreak > 0)
            return afterBreak;
        return p == end || last == start ? p : last;
    }
}
