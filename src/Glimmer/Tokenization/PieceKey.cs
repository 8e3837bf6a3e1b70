using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Tokenization;

/// <summary>A piece of 1 to 16 bytes as two words, padded with zeros. The length belongs to the key: pieces may hold zero bytes.</summary>
internal readonly record struct PieceKey(ulong Low, ulong High)
{
    /// <summary>The longest piece that fits.</summary>
    public const int MaxLength = 16;

    /// <summary>Reads a piece; 16 bytes from <paramref name="p"/> on are readable.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PieceKey Load(ref byte text, int p, int length)
    {
        // The mask is a window into 16 bytes of ones followed by 16 of zeros.
        Vector128<byte> mask = Vector128.LoadUnsafe(ref MemoryMarshal.GetReference(Mask), (nuint)(16 - length));
        Vector128<ulong> words = (Vector128.LoadUnsafe(ref text, (nuint)p) & mask).AsUInt64();
        return new PieceKey(words.ToScalar(), words.GetElement(1));
    }

    /// <summary>Reads a piece of at most 16 bytes from memory that may end behind it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PieceKey Load(ReadOnlySpan<byte> piece)
    {
        Span<byte> padded = stackalloc byte[16];
        padded.Clear();
        piece.CopyTo(padded);
        return new PieceKey(MemoryMarshal.Read<ulong>(padded), MemoryMarshal.Read<ulong>(padded[8..]));
    }

    /// <summary>A hash whose upper bits are good: the two halves of a 128-bit product, folded (Wang Yi's wyhash).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Hash(int length)
    {
        ulong high = Math.BigMul(Low ^ 0xA0761D6478BD642FUL, (High + (ulong)length) ^ 0xE7037ED1A0B428DBUL, out ulong low);
        return (uint)((high ^ low) >> 32);
    }

    private static ReadOnlySpan<byte> Mask =>
    [
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
}
