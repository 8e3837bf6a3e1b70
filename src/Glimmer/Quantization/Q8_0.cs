using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>Q8_0: 32 elements in 34 bytes. d half @0, q int8[32] @2; <c>y[j] = d * q[j]</c>.</summary>
/// <remarks>ggml block_q8_0. The product is exact in fp32 (11 + 8 bits).</remarks>
internal static class Q8_0
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 32;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 34;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            ref byte codes = ref MemoryMarshal.GetReference(block);
            ref float y = ref MemoryMarshal.GetReference(values.Slice(b * Elements, Elements));
            Vector256<float> d = Vector256.Create(Float16.Read(block, 0));
            for (nuint j = 0; j < Elements; j += 16)
            {
                (Vector256<float> first, Vector256<float> second) = ByteExpansion.ToSingle(Vector128.LoadUnsafe(ref codes, j + 2).AsSByte());
                (d * first).StoreUnsafe(ref y, j);
                (d * second).StoreUnsafe(ref y, j + 8);
            }
        }
    }

    /// <summary>
    /// fp32 to blocks: <c>d = max|x| / 127</c>, codes by rounding half away from zero with 1/d of the unrounded d (ggml quantize_row_q8_0_ref).
    /// </summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<float> x = values.Slice(b * Elements, Elements);
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            float max = 0;
            foreach (float v in x)
                max = MathF.Max(max, MathF.Abs(v));
            float d = max / 127;
            float inverse = d != 0 ? 1 / d : 0;
            Float16.Write(block, 0, d);
            for (int j = 0; j < Elements; j++)
                block[2 + j] = (byte)(sbyte)MathF.Round(x[j] * inverse, MidpointRounding.AwayFromZero);
        }
    }
}
