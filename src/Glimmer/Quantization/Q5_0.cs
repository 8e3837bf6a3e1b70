using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>Q5_0: 32 elements in 22 bytes. d half @0, qh u32 @2 (fifth bits, bit j of element j), qs[16] @6; <c>y = d * (q - 16)</c>.</summary>
/// <remarks>ggml block_q5_0. Low nibbles are elements 0..15.</remarks>
internal static class Q5_0
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 32;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 22;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        Vector128<sbyte> sixteen = Vector128.Create((sbyte)16);
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            ref float y = ref MemoryMarshal.GetReference(values.Slice(b * Elements, Elements));
            Vector256<float> d = Vector256.Create(Float16.Read(block, 0));
            uint high = BinaryPrimitives.ReadUInt32LittleEndian(block[2..]);
            Vector128<byte> codes = Vector128.LoadUnsafe(ref MemoryMarshal.GetReference(block), 6);
            (Vector256<float> y0, Vector256<float> y8) = ByteExpansion.ToSingle((ByteExpansion.LowNibbles(codes) | ByteExpansion.FifthBits(high)) - sixteen);
            (Vector256<float> y16, Vector256<float> y24) = ByteExpansion.ToSingle(
                (ByteExpansion.HighNibbles(codes) | ByteExpansion.FifthBits(high >> 16)) - sixteen);
            (d * y0).StoreUnsafe(ref y);
            (d * y8).StoreUnsafe(ref y, 8);
            (d * y16).StoreUnsafe(ref y, 16);
            (d * y24).StoreUnsafe(ref y, 24);
        }
    }

    /// <summary>fp32 to blocks: as Q4_0 with <c>d = m / -16</c> and <c>q = min(31, trunc(x / d + 16.5))</c> (ggml quantize_row_q5_0_ref).</summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<float> x = values.Slice(b * Elements, Elements);
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            float d = BlockExtremes.Largest(x) / -16;
            float inverse = d != 0 ? 1 / d : 0;
            Float16.Write(block, 0, d);
            uint high = 0;
            for (int j = 0; j < 16; j++)
            {
                int low = Code(x[j] * inverse);
                int up = Code(x[j + 16] * inverse);
                block[6 + j] = (byte)((low & 15) | (up & 15) << 4);
                high |= (uint)((low >> 4) & 1) << j | (uint)((up >> 4) & 1) << (j + 16);
            }

            BinaryPrimitives.WriteUInt32LittleEndian(block[2..], high);
        }
    }

    private static int Code(float scaled) => Math.Min(31, (int)(scaled + 16.5f));
}
