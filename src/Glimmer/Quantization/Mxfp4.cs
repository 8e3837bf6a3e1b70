using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>
/// MXFP4: 32 elements in 17 bytes. exponent e @0, qs[16] @1; <c>y = 2^(e-128) * table[q]</c> with twice the values of E2M1; low nibbles are elements 0..15.
/// </summary>
/// <remarks>OCP Microscaling formats 1.0; ggml block_mxfp4. Scales below 2^-126 are subnormal; e = 253 and 254 overflow for the largest codes.</remarks>
internal static class Mxfp4
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 32;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 17;

    /// <summary>Twice the value of each E2M1 code.</summary>
    public static ReadOnlySpan<sbyte> Table => [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

    /// <summary>The table + 12, twice, for lookup in the halves of a wide register.</summary>
    public static ReadOnlySpan<byte> Raised =>
        [12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0, 12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0];

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        Vector128<sbyte> table = Vector128.Create(Table);
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            ref float y = ref MemoryMarshal.GetReference(values.Slice(b * Elements, Elements));
            Vector256<float> scale = Vector256.Create(Scale(block[0]));
            Vector128<byte> codes = Vector128.LoadUnsafe(ref MemoryMarshal.GetReference(block), 1);
            (Vector256<float> y0, Vector256<float> y8) = ByteExpansion.ToSingle(Vector128.Shuffle(table, ByteExpansion.LowNibbles(codes)));
            (Vector256<float> y16, Vector256<float> y24) = ByteExpansion.ToSingle(Vector128.Shuffle(table, ByteExpansion.HighNibbles(codes)));
            (scale * y0).StoreUnsafe(ref y);
            (scale * y8).StoreUnsafe(ref y, 8);
            (scale * y16).StoreUnsafe(ref y, 16);
            (scale * y24).StoreUnsafe(ref y, 24);
        }
    }

    /// <summary>
    /// fp32 to blocks: <c>e = floor(log2(max|x|)) - 2 + 127</c> (0 for a block of zeros), codes by the smallest difference, the first one wins
    /// (ggml quantize_row_mxfp4_ref).
    /// </summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<float> x = values.Slice(b * Elements, Elements);
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            float max = MathF.Abs(BlockExtremes.Largest(x));

            // The reference takes the logarithm in fp32, which rounds up to a whole number just below a power of two.
            int exponent = max > 0 ? (int)MathF.Floor((float)Math.Log2(max)) - 2 + 127 : 0;
            block[0] = (byte)Math.Clamp(exponent, 0, 254);
            float scale = Scale(block[0]);
            for (int j = 0; j < 16; j++)
                block[1 + j] = (byte)(Nearest(x[j], scale) | Nearest(x[j + 16], scale) << 4);
        }
    }

    private static float Scale(byte e) => BitConverter.UInt32BitsToSingle(e < 2 ? 0x00200000u << e : (uint)(e - 1) << 23);

    // Positive and negative codes mirror each other, and the first of equal differences wins, so a zero is always code 0.
    private static int Nearest(float x, float scale)
    {
        float magnitude = MathF.Abs(x);
        int best = 0;
        float smallest = magnitude;
        for (int code = 1; code < 8; code++)
        {
            float difference = MathF.Abs(scale * Table[code] - magnitude);
            if (difference < smallest)
                (best, smallest) = (code, difference);
        }

        return best == 0 || x > 0 ? best : best + 8;
    }
}
