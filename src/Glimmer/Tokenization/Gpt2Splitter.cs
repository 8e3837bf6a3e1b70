using System.Runtime.CompilerServices;

namespace Glimmer.Tokenization;

/// <summary>GPT-2's pre-tokenizer; see <see cref="Gpt2Pattern"/>.</summary>
internal readonly struct Gpt2Splitter : IPieceSplitter
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Next(ref byte text, int p, int end) => Gpt2Pattern.Next(ref text, p, end, Gpt2Digits.InPattern);
}

/// <summary>SmolLM2's pre-tokenizer: digits one by one, GPT-2's regex between them; see <see cref="Gpt2Pattern"/>.</summary>
internal readonly struct DigitsGpt2Splitter : IPieceSplitter
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Next(ref byte text, int p, int end) => Gpt2Pattern.Next(ref text, p, end, Gpt2Digits.OneByOne);
}

/// <summary>Runs of digits apart, GPT-2's regex inside and between them; see <see cref="Gpt2Pattern"/>.</summary>
internal readonly struct DigitRunsGpt2Splitter : IPieceSplitter
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Next(ref byte text, int p, int end) => Gpt2Pattern.Next(ref text, p, end, Gpt2Digits.Runs);
}

/// <summary>What the Digits pre-tokenizer did before GPT-2's pattern runs.</summary>
internal enum Gpt2Digits
{
    /// <summary>There is no such stage.</summary>
    InPattern,
    /// <summary><c>individual_digits</c> true.</summary>
    OneByOne,
    /// <summary><c>individual_digits</c> false.</summary>
    Runs,
}

/// <summary>
/// The pattern <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c> written out by hand over UTF-8, with the
/// Digits stage before it folded in: a digit ends the stretch the pattern sees, for its look-ahead too.
/// </summary>
internal static class Gpt2Pattern
{
    /// <summary>The pattern as tokenizer.json files spell it where it is not implied by <c>use_regex</c>.</summary>
    public const string Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>End of the piece at <paramref name="p"/>; <paramref name="digits"/> is a constant at every call.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Next(ref byte text, int p, int end, Gpt2Digits digits)
    {
        byte first = Unsafe.Add(ref text, p);
        CharClass kind = Class(ref text, p, digits, out int length);
        int q = p + length;
        if (kind == CharClass.Letter)
            return PieceRuns.EndOfLetters(ref text, q, end);
        if (kind is CharClass.Number or CharClass.NewNumber)
            return digits == Gpt2Digits.OneByOne ? q : PieceRuns.EndOfRun(ref text, q, end, kind);
        if (first == '\'' && EndOfContraction(ref text, q, end) is int contraction and > 0)
            return contraction;
        if (first == ' ' && q < end)
        {
            CharClass next = Class(ref text, q, digits, out length);
            if (next == CharClass.Letter)
                return PieceRuns.EndOfLetters(ref text, q + length, end);
            if (next == CharClass.Number && digits == Gpt2Digits.InPattern)
                return PieceRuns.EndOfRun(ref text, q + length, end, CharClass.Number);
            if (next == CharClass.Other)
                return EndOfOthers(ref text, q + length, end, digits);
        }

        return kind == CharClass.Other ? EndOfOthers(ref text, q, end, digits) : EndOfWhiteSpace(ref text, p, end, digits);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static CharClass Class(ref byte text, int p, Gpt2Digits digits, out int length)
    {
        CharClass kind = Utf8Text.ClassAt(ref text, p, out length);
        return kind == CharClass.NewNumber && digits == Gpt2Digits.InPattern ? CharClass.Other : kind;
    }

    /// <summary>End of <c>'s|'t|'re|'ve|'m|'ll|'d</c> whose apostrophe ends at <paramref name="p"/>, or 0.</summary>
    private static int EndOfContraction(ref byte text, int p, int end)
    {
        if (p >= end)
            return 0;
        int second = p + 1 < end ? Unsafe.Add(ref text, p + 1) : 0;
        return Unsafe.Add(ref text, p) switch
        {
            (byte)'s' or (byte)'t' or (byte)'m' or (byte)'d' => p + 1,
            (byte)'r' or (byte)'v' when second == 'e' => p + 2,
            (byte)'l' when second == 'l' => p + 2,
            _ => 0,
        };
    }

    private static int EndOfOthers(ref byte text, int p, int end, Gpt2Digits digits)
    {
        while (p < end && Class(ref text, p, digits, out int length) == CharClass.Other)
            p += length;
        return p;
    }

    /// <summary><c>\s+(?!\S)|\s+</c> at white space: all of the run where the stretch ends behind it, else all but its last character.</summary>
    private static int EndOfWhiteSpace(ref byte text, int start, int end, Gpt2Digits digits)
    {
        int p = start, last = start;
        while (p < end)
        {
            CharClass kind = Class(ref text, p, digits, out int length);
            if (kind is not (CharClass.Space or CharClass.LineBreak))
            {
                bool stretchEnds = digits != Gpt2Digits.InPattern && kind is CharClass.Number or CharClass.NewNumber;
                return stretchEnds || last == start ? p : last;
            }

            last = p;
            p += length;
        }

        return p;
    }
}
