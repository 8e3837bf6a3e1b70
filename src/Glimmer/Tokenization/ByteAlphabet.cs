using System.Runtime.CompilerServices;

namespace Glimmer.Tokenization;

/// <summary>
/// GPT-2's byte alphabet: vocabularies spell bytes as printable characters. Bytes 33..126, 161..172 and 174..255 are themselves, the other 68
/// in ascending order are U+0100..U+0143 (so a space is <c>Ġ</c> and a line feed <c>Ċ</c>).
/// </summary>
internal static class ByteAlphabet
{
    /// <summary>One more than the largest code point of the alphabet.</summary>
    private const int Limit = 0x144;

    private static readonly char[] s_charOf = BuildChars();
    private static readonly short[] s_byteOf = BuildBytes();

    /// <summary>The character that spells <paramref name="value"/>.</summary>
    public static char CharOf(byte value) => s_charOf[value];

    /// <summary>The byte a character stands for, or -1 when it is not in the alphabet.</summary>
    public static int ByteOf(int character) => (uint)character < Limit ? s_byteOf[character] : -1;

    /// <summary>Spells bytes in the alphabet.</summary>
    public static string Spell(ReadOnlySpan<byte> bytes)
    {
        var text = bytes.Length <= 256 ? stackalloc char[bytes.Length] : new char[bytes.Length];
        for (int i = 0; i < bytes.Length; i++)
            text[i] = s_charOf[bytes[i]];
        return new string(text);
    }

    /// <summary>Reads a spelled token given in UTF-16. False when a character is not in the alphabet.</summary>
    /// <param name="spelled">The token.</param>
    /// <param name="bytes">Receives one byte a character; at least as long as <paramref name="spelled"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool TryRead(ReadOnlySpan<char> spelled, Span<byte> bytes)
    {
        short[] byteOf = s_byteOf;
        for (int i = 0; i < spelled.Length; i++)
        {
            int c = spelled[i];
            if (c >= Limit || byteOf[c] < 0)
                return false;
            bytes[i] = (byte)byteOf[c];
        }

        return true;
    }

    /// <summary>Reads a spelled token given in UTF-8. False when a character is not in the alphabet.</summary>
    /// <param name="spelled">The token, valid UTF-8.</param>
    /// <param name="bytes">Receives one byte a character; at least as long as <paramref name="spelled"/>. May be the same memory.</param>
    /// <param name="count">The number of bytes.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool TryRead(ReadOnlySpan<byte> spelled, Span<byte> bytes, out int count)
    {
        short[] byteOf = s_byteOf;
        count = 0;
        for (int i = 0; i < spelled.Length; i++)
        {
            int c = spelled[i];
            if (c >= 0xE0)
                return false;
            if (c >= 0x80)
                c = (c & 0x1F) << 6 | spelled[++i] & 0x3F;
            if (c >= Limit || byteOf[c] < 0)
                return false;
            bytes[count++] = (byte)byteOf[c];
        }

        return true;
    }

    private static char[] BuildChars()
    {
        var chars = new char[256];
        int next = 0x100;
        for (int b = 0; b < 256; b++)
            chars[b] = b is >= 33 and <= 126 or >= 161 and <= 172 or >= 174 ? (char)b : (char)next++;
        return chars;
    }

    private static short[] BuildBytes()
    {
        var bytes = new short[Limit];
        Array.Fill(bytes, (short)-1);
        for (int b = 0; b < 256; b++)
            bytes[s_charOf[b]] = (short)b;
        return bytes;
    }
}
