using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>Q5_1: 32 elements in 24 bytes. d half @0, m half @2, qh u32 @4 (fifth bits), qs[16] @8; <c>y = d * q + m</c>.</summary>
/// <remarks>ggml block_q5_1. Low nibbles are elements 0..15.</remarks>
internal static class Q5_1
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 32;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 24;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            ref float y = ref MemoryMarshal.GetReference(values.Slice(b * Elements, Elements));
            Vector256<float> d = Vector256.Create(Float16.Read(block, 0));
            Vector256<float> m = Vector256.Create(Float16.Read(block, 2));
            uint high = BinaryPrimitives.ReadUInt32LittleEndian(block[4..]);
            Vector128<byte> codes = Vector128.LoadUnsafe(ref MemoryMarshal.GetReference(block), 8);
            (Vector256<float> y0, Vector256<float> y8) = ByteExpansion.ToSingle(ByteExpansion.LowNibbles(codes) | ByteExpansion.FifthBits(high));
            (Vector256<float> y16, Vector256<float> y24) = ByteExpansion.ToSingle(ByteExpansion.HighNibbles(codes) | ByteExpansion.FifthBits(high >> 16));
            (d * y0 + m).StoreUnsafe(ref y);
            (d * y8 + m).StoreUnsafe(ref y, 8);
            (d * y16 + m).StoreUnsafe(ref y, 16);
            (d * y24 + m).StoreUnsafe(ref y, 24);
        }
    }

    /// <summary>fp32 to blocks: as Q4_1 with <c>d = (max - min) / 31</c>, not clamped (ggml quantize_row_q5_1_ref).</summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<float> x = values.Slice(b * Elements, Elements);
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            (float min, float max) = BlockExtremes.Range(x);
            float d = (max - min) / 31;
            float inverse = d != 0 ? 1 / d : 0;
            Float16.Write(block, 0, d);
            Float16.Write(block, 2, min);
            uint high = 0;
            for (int j = 0; j < 16; j++)
            {
                int low = (int)((x[j] - min) * inverse + 0.5f);
                int up = (int)((x[j + 16] - min) * inverse + 0.5f);
                block[8 + j] = (byte)((low & 15) | (up & 15) << 4);
                high |= (uint)((low >> 4) & 1) << j | (uint)((up >> 4) & 1) << (j + 16);
            }

            BinaryPrimitives.WriteUInt32LittleEndian(block[4..], high);
        }
    }
}
