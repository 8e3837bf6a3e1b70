using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>Q4_0: 32 elements in 18 bytes. d half @0, qs[16] @2; <c>y[j] = d * ((qs[j] &amp; 15) - 8)</c>, <c>y[j+16] = d * ((qs[j] >> 4) - 8)</c>.</summary>
/// <remarks>ggml block_q4_0.</remarks>
internal static class Q4_0
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 32;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 18;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        Vector128<sbyte> eight = Vector128.Create((sbyte)8);
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            ref float y = ref MemoryMarshal.GetReference(values.Slice(b * Elements, Elements));
            Vector256<float> d = Vector256.Create(Float16.Read(block, 0));
            Vector128<byte> codes = Vector128.LoadUnsafe(ref MemoryMarshal.GetReference(block), 2);
            (Vector256<float> y0, Vector256<float> y8) = ByteExpansion.ToSingle(ByteExpansion.LowNibbles(codes) - eight);
            (Vector256<float> y16, Vector256<float> y24) = ByteExpansion.ToSingle(ByteExpansion.HighNibbles(codes) - eight);
            (d * y0).StoreUnsafe(ref y);
            (d * y8).StoreUnsafe(ref y, 8);
            (d * y16).StoreUnsafe(ref y, 16);
            (d * y24).StoreUnsafe(ref y, 24);
        }
    }

    /// <summary>
    /// fp32 to blocks: m is the value of largest magnitude (the first one), <c>d = m / -8</c>, <c>q = min(15, trunc(x / d + 8.5))</c> with 1/d of the
    /// unrounded d (ggml quantize_row_q4_0_ref).
    /// </summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<float> x = values.Slice(b * Elements, Elements);
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            float d = BlockExtremes.Largest(x) / -8;
            float inverse = d != 0 ? 1 / d : 0;
            Float16.Write(block, 0, d);
            for (int j = 0; j < 16; j++)
                block[2 + j] = (byte)(Code(x[j] * inverse) | Code(x[j + 16] * inverse) << 4);
        }
    }

    private static int Code(float scaled) => Math.Min(15, (int)(scaled + 8.5f));
}
