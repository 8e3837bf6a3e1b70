using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Quantization;

/// <summary>The ways in which codes of a block (32 rows, 32 columns) are stored, written a row at a time and read 8 rows at a time.</summary>
/// <remarks>
/// A step is 4 columns; its word of a row holds column 4s + b in byte b. Bytes: 8 steps of 32 words. Nibbles: 4 times 32 words, low halves are step 2j, high
/// halves step 2j + 1. Pairs of bits: 2 times 32 words, bits 2(s % 4) of the byte for step s in the words of s / 4. Single bits: 32 words, bit s for step s.
/// </remarks>
internal static unsafe class BlockCodes
{
    /// <summary>Bytes of 8-bit codes.</summary>
    public const int ByteBytes = 1024;

    /// <summary>Bytes of 4-bit codes.</summary>
    public const int NibbleBytes = 512;

    /// <summary>Bytes of 2-bit codes.</summary>
    public const int PairBytes = 256;

    /// <summary>Bytes of 1-bit codes.</summary>
    public const int BitBytes = 128;

    /// <summary>Words of 32 rows.</summary>
    private const int Words = 32;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Bytes(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd)
    {
        byte* at = codes + pair * 256 + register * 32;
        even = Vector256.Load(at);
        odd = Vector256.Load(at + 128);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Nibbles(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd)
    {
        Vector256<byte> both = Vector256.Load(codes + pair * 128 + register * 32);
        Vector256<byte> mask = Vector256.Create((byte)15);
        even = both & mask;
        odd = Vector256.ShiftRightLogical(both.AsUInt16(), 4).AsByte() & mask;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Pairs(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd)
    {
        Vector256<ushort> bits = Vector256.ShiftRightLogical(Vector256.Load(codes + (pair >> 1) * 128 + register * 32).AsUInt16(), 4 * (pair & 1));
        Vector256<byte> mask = Vector256.Create((byte)3);
        even = bits.AsByte() & mask;
        odd = Vector256.ShiftRightLogical(bits, 2).AsByte() & mask;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Bits(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd)
    {
        Vector256<ushort> bits = Vector256.ShiftRightLogical(Vector256.Load(codes + register * 32).AsUInt16(), 2 * pair);
        Vector256<byte> mask = Vector256.Create((byte)1);
        even = bits.AsByte() & mask;
        odd = Vector256.ShiftRightLogical(bits, 1).AsByte() & mask;
    }

    /// <summary>Moves codes below 16 to higher bits of their bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Up(Vector256<byte> codes, int bits) => Vector256.ShiftLeft(codes.AsUInt16(), bits).AsByte();

    /// <summary>The table entry of each 4-bit code; the table stands twice in its register.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Look(Vector256<byte> table, Vector256<byte> codes) =>
        Avx2.IsSupported ? Avx2.Shuffle(table, codes) : Vector256.Shuffle(table, codes);

    /// <summary>Writes a row's 8 steps as bytes.</summary>
    public static void WriteBytes(uint* steps, byte* codes, int row)
    {
        for (int s = 0; s < 8; s++)
            ((uint*)codes)[s * Words + row] = steps[s];
    }

    /// <summary>Writes the low 4 bits of a row's 8 steps.</summary>
    public static void WriteNibbles(uint* steps, byte* codes, int row)
    {
        for (int j = 0; j < 4; j++)
            ((uint*)codes)[j * Words + row] = (steps[2 * j] & 0x0F0F0F0F) | (steps[2 * j + 1] & 0x0F0F0F0F) << 4;
    }

    /// <summary>Writes two bits, from bit <paramref name="first"/> on, of a row's 8 steps.</summary>
    public static void WritePairs(uint* steps, int first, byte* codes, int row)
    {
        for (int half = 0; half < 2; half++)
        {
            uint word = 0;
            for (int s = 0; s < 4; s++)
                word |= (steps[4 * half + s] >> first & 0x03030303) << (2 * s);
            ((uint*)codes)[half * Words + row] = word;
        }
    }

    /// <summary>Writes one bit of a row's 8 steps.</summary>
    public static void WriteBits(uint* steps, int bit, byte* codes, int row)
    {
        uint word = 0;
        for (int s = 0; s < 8; s++)
            word |= (steps[s] >> bit & 0x01010101) << s;
        ((uint*)codes)[row] = word;
    }

    /// <summary>Steps from 16 bytes whose low halves are columns 0 to 15 and high halves columns 16 to 31.</summary>
    public static void ReadSplitNibbles(byte* source, uint* steps)
    {
        for (int s = 0; s < 4; s++)
        {
            uint word = Unsafe.ReadUnaligned<uint>(source + 4 * s);
            steps[s] = word & 0x0F0F0F0F;
            steps[4 + s] = word >> 4 & 0x0F0F0F0F;
        }
    }

    /// <summary>Adds the fifth bits of 32 columns, bit j for column j.</summary>
    public static void AddFifthBits(uint bits, uint* steps)
    {
        for (int s = 0; s < 8; s++, bits >>= 4)
            steps[s] |= (bits & 1 | (bits & 2) << 7 | (bits & 4) << 14 | (bits & 8) << 21) << 4;
    }

    /// <summary>Steps from 32 bytes that hold 4 bits of a column each, from bit <paramref name="shift"/> on.</summary>
    public static void ReadNibbles(byte* source, int shift, uint* steps)
    {
        for (int s = 0; s < 8; s++)
            steps[s] = Unsafe.ReadUnaligned<uint>(source + 4 * s) >> shift & 0x0F0F0F0F;
    }

    /// <summary>Adds to the steps, from bit <paramref name="to"/> on, the masked bits of 32 bytes from bit <paramref name="shift"/> on.</summary>
    public static void AddBits(byte* source, int shift, uint mask, int to, uint* steps)
    {
        for (int s = 0; s < 8; s++)
            steps[s] |= (Unsafe.ReadUnaligned<uint>(source + 4 * s) >> shift & mask * 0x01010101u) << to;
    }
}
