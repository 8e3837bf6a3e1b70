using System.Buffers.Binary;

namespace Glimmer.Quantization;

/// <summary>
/// IQ1_S: 256 elements in 50 bytes. d half @0, qs[32] @2, qh u16[8] @34 (four 3-bit upper index parts, a 3-bit scale and the sign of the shift for 32
/// elements); <c>y = (d * (2 scale + 1)) * (grid + delta)</c>, delta = +-0.125.
/// </summary>
/// <remarks>ggml block_iq1_s.</remarks>
internal static class IQ1_S
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 256;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 50;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            Span<float> y = values.Slice(b * Elements, Elements);
            float d = Float16.Read(block, 0);
            for (int group = 0; group < 8; group++)
            {
                int h = BinaryPrimitives.ReadUInt16LittleEndian(block[(34 + 2 * group)..]);
                float scale = d * (2 * ((h >> 12) & 7) + 1);
                float delta = (h & 0x8000) != 0 ? -0.125f : 0.125f;
                for (int k = 0; k < 4; k++)
                {
                    int index = block[2 + 4 * group + k] | ((h >> (3 * k)) & 7) << 8;
                    SignedGrid.WriteShifted(scale, IqGrids.Iq1.Slice(8 * index, 8), delta, y.Slice(32 * group + 8 * k, 8));
                }
            }
        }
    }
}
