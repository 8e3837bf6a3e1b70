using System.Buffers.Binary;

namespace Glimmer.Quantization;

/// <summary>
/// IQ1_M: 256 elements in 56 bytes. qs[32] @0, qh[16] @32 (a nibble for 8 elements: three upper index bits and the sign of the shift), scales u16[4] @48
/// (four 3-bit scales for 16 elements each; their top nibbles together are the half d); <c>y = (d * (2 scale + 1)) * (grid + delta)</c>, delta = +-0.125.
/// </summary>
/// <remarks>ggml block_iq1_m.</remarks>
internal static class IQ1_M
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 256;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 56;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            Span<float> y = values.Slice(b * Elements, Elements);
            int bits = 0;
            for (int i = 0; i < 4; i++)
                bits |= (block[49 + 2 * i] >> 4) << (4 * i);
            float d = (float)BitConverter.UInt16BitsToHalf((ushort)bits);
            for (int k = 0; k < 32; k++)
            {
                int part = k / 2;
                int scales = BinaryPrimitives.ReadUInt16LittleEndian(block[(48 + 2 * (part / 4))..]);
                float scale = d * (2 * ((scales >> (3 * (part % 4))) & 7) + 1);
                int nibble = (block[32 + part] >> (4 * (k & 1))) & 15;
                int index = block[k] | (nibble & 7) << 8;
                SignedGrid.WriteShifted(scale, IqGrids.Iq1.Slice(8 * index, 8), (nibble & 8) != 0 ? -0.125f : 0.125f, y.Slice(8 * k, 8));
            }
        }
    }
}
