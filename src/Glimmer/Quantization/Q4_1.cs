using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>Q4_1: 32 elements in 20 bytes. d half @0, m half @2, qs[16] @4; <c>y = d * q + m</c>, low nibbles are elements 0..15.</summary>
/// <remarks>ggml block_q4_1. d * q is exact in fp32 (11 + 4 bits), so fusing the addition gives the same bits.</remarks>
internal static class Q4_1
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 32;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 20;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            ref float y = ref MemoryMarshal.GetReference(values.Slice(b * Elements, Elements));
            Vector256<float> d = Vector256.Create(Float16.Read(block, 0));
            Vector256<float> m = Vector256.Create(Float16.Read(block, 2));
            Vector128<byte> codes = Vector128.LoadUnsafe(ref MemoryMarshal.GetReference(block), 4);
            (Vector256<float> y0, Vector256<float> y8) = ByteExpansion.ToSingle(ByteExpansion.LowNibbles(codes));
            (Vector256<float> y16, Vector256<float> y24) = ByteExpansion.ToSingle(ByteExpansion.HighNibbles(codes));
            (d * y0 + m).StoreUnsafe(ref y);
            (d * y8 + m).StoreUnsafe(ref y, 8);
            (d * y16 + m).StoreUnsafe(ref y, 16);
            (d * y24 + m).StoreUnsafe(ref y, 24);
        }
    }

    /// <summary>fp32 to blocks: <c>d = (max - min) / 15</c>, <c>q = min(15, trunc((x - min) / d + 0.5))</c>, m = min (ggml quantize_row_q4_1_ref).</summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<float> x = values.Slice(b * Elements, Elements);
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            (float min, float max) = BlockExtremes.Range(x);
            float d = (max - min) / 15;
            float inverse = d != 0 ? 1 / d : 0;
            Float16.Write(block, 0, d);
            Float16.Write(block, 2, min);
            for (int j = 0; j < 16; j++)
                block[4 + j] = (byte)(Code((x[j] - min) * inverse) | Code((x[j + 16] - min) * inverse) << 4);
        }
    }

    private static int Code(float scaled) => Math.Min(15, (int)(scaled + 0.5f));
}
