using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>IQ4_NL: 32 elements in 18 bytes. d half @0, qs[16] @2; <c>y = d * table[q]</c> (<see cref="Iq4Table"/>), low nibbles are elements 0..15.</summary>
/// <remarks>ggml block_iq4_nl.</remarks>
internal static class IQ4_NL
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 32;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 18;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        Vector128<sbyte> table = Iq4Table.Register;
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            ref float y = ref MemoryMarshal.GetReference(values.Slice(b * Elements, Elements));
            Vector256<float> d = Vector256.Create(Float16.Read(block, 0));
            Vector128<byte> codes = Vector128.LoadUnsafe(ref MemoryMarshal.GetReference(block), 2);
            (Vector256<float> y0, Vector256<float> y8) = ByteExpansion.ToSingle(Vector128.Shuffle(table, ByteExpansion.LowNibbles(codes)));
            (Vector256<float> y16, Vector256<float> y24) = ByteExpansion.ToSingle(Vector128.Shuffle(table, ByteExpansion.HighNibbles(codes)));
            (d * y0).StoreUnsafe(ref y);
            (d * y8).StoreUnsafe(ref y, 8);
            (d * y16).StoreUnsafe(ref y, 16);
            (d * y24).StoreUnsafe(ref y, 24);
        }
    }

    /// <summary>
    /// fp32 to blocks: m is the value of largest magnitude; codes are the nearest table entries of <c>x / (m / -127)</c>; then
    /// <c>d = sum(w K x) / sum(w K K)</c> with w = x^2, in order (ggml quantize_row_iq4_nl_ref). A block of zeros (largest magnitude below 1e-15) gets
    /// nibbles 8.
    /// </summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<byte> codes = stackalloc byte[Elements];
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<float> x = values.Slice(b * Elements, Elements);
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            float largest = BlockExtremes.Largest(x);
            if (MathF.Abs(largest) < 1e-15f)
            {
                block.Clear();
                block[2..].Fill(0x88);
                continue;
            }

            float inverse = 1 / (largest / Iq4Table.Values[0]);
            float weightedProduct = 0;
            float weightedSquare = 0;
            for (int j = 0; j < Elements; j++)
            {
                int code = Iq4Table.Nearest(inverse * x[j]);
                codes[j] = (byte)code;
                float value = Iq4Table.Values[code];
                float weight = x[j] * x[j];
                weightedProduct += weight * value * x[j];
                weightedSquare += weight * value * value;
            }

            Float16.Write(block, 0, weightedProduct / weightedSquare);
            for (int j = 0; j < 16; j++)
                block[2 + j] = (byte)(codes[j] | codes[j + 16] << 4);
        }
    }
}
