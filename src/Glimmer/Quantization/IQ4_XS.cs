using System.Buffers.Binary;

namespace Glimmer.Quantization;

/// <summary>
/// IQ4_XS: 256 elements in 136 bytes. d half @0, scales_h u16 @2, scales_l[4] @4, qs[128] @8; <c>y = (d * (scale - 32)) * table[q]</c>
/// (<see cref="Iq4Table"/>) with a 6-bit scale for 32 elements.
/// </summary>
/// <remarks>ggml block_iq4_xs. Sub-block b has its low nibbles (elements 0..15) and high nibbles (16..31) in qs[16b..16b+15].</remarks>
internal static class IQ4_XS
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 256;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 136;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        ReadOnlySpan<sbyte> table = Iq4Table.Values;
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            float d = Float16.Read(block, 0);
            int high = BinaryPrimitives.ReadUInt16LittleEndian(block[2..]);
            for (int part = 0; part < 8; part++)
            {
                int scale = ((block[4 + part / 2] >> (4 * (part & 1))) & 15) | ((high >> (2 * part)) & 3) << 4;
                float s = d * (scale - 32);
                ReadOnlySpan<byte> codes = block.Slice(8 + 16 * part, 16);
                Span<float> y = values.Slice(b * Elements + 32 * part, 32);
                for (int j = 0; j < codes.Length; j++)
                {
                    y[j] = s * table[codes[j] & 15];
                    y[j + 16] = s * table[codes[j] >> 4];
                }
            }
        }
    }

    /// <summary>fp32 to blocks by a weighted search of scales (weights x^2).</summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        Span<float> scales = stackalloc float[8];
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<float> x = values.Slice(b * Elements, Elements);
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            block.Clear();
            for (int part = 0; part < 8; part++)
                scales[part] = Fit(x.Slice(32 * part, 32));
            float unit = BlockExtremes.Largest(scales) / -32;
            float d = Float16.Write(block, 0, unit);
            int high = 0;
            for (int part = 0; part < 8; part++)
            {
                int scale = ScaleSearch.SymmetricCode(scales[part], unit, 32);
                int stored = scale + 32;
                block[4 + part / 2] |= (byte)((stored & 15) << (4 * (part & 1)));
                high |= (stored >> 4) << (2 * part);
                float s = d * scale;
                float inverse = s == 0 ? 0 : 1 / s;
                for (int j = 0; j < 16; j++)
                    block[8 + 16 * part + j] = (byte)(Iq4Table.Nearest(inverse * x[32 * part + j]) | Iq4Table.Nearest(inverse * x[32 * part + 16 + j]) << 4);
            }

            BinaryPrimitives.WriteUInt16LittleEndian(block[2..], (ushort)high);
        }
    }

    private static float Fit(ReadOnlySpan<float> x)
    {
        float largest = BlockExtremes.Largest(x);
        if (MathF.Abs(largest) < 1e-15f)
            return 0;
        (double bestScale, double bestGain) = (largest / Iq4Table.Values[0], 0);
        for (int step = -9; step <= 9; step++)
        {
            float inverse = (step + Iq4Table.Values[0]) / largest;
            double product = 0;
            double square = 0;
            foreach (float value in x)
            {
                double entry = Iq4Table.Values[Iq4Table.Nearest(inverse * value)];
                double weight = (double)value * value;
                product += weight * entry * value;
                square += weight * entry * entry;
            }

            if (square > 0 && product * product > bestGain * square)
                (bestScale, bestGain) = (product / square, product * product / square);
        }

        return (float)bestScale;
    }
}
