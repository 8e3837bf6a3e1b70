namespace Glimmer.Quantization;

/// <summary>
/// NVFP4 as GGUF stores it: 64 elements in 36 bytes. scales[4] @0 (unsigned E4M3), qs[32] @4; <c>y = scale * table[q]</c> with the doubled E2M1 values of
/// <see cref="Mxfp4.Table"/>, so the scale is half the E4M3 value.
/// </summary>
/// <remarks>Sub-block s of 16 elements: byte 8s+i holds element 16s+i in the low and 16s+8+i in the high nibble. Scale codes 0x00 and 0x7F mean 0; bit 7 is ignored otherwise.</remarks>
internal static class Nvfp4
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 64;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 36;

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            for (int s = 0; s < 4; s++)
            {
                float scale = Scale(block[s]);
                Span<float> y = values.Slice(b * Elements + 16 * s, 16);
                for (int i = 0; i < 8; i++)
                {
                    byte pair = block[4 + 8 * s + i];
                    y[i] = scale * Mxfp4.Table[pair & 15];
                    y[i + 8] = scale * Mxfp4.Table[pair >> 4];
                }
            }
        }
    }

    /// <summary>fp32 to blocks: for each sub-block the scale code around max|x| / 6 with the smallest squared error.</summary>
    public static void Quantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            Span<byte> block = blocks.Slice(b * Bytes, Bytes);
            for (int s = 0; s < 4; s++)
            {
                ReadOnlySpan<float> x = values.Slice(b * Elements + 16 * s, 16);
                block[s] = BestScale(x);
                float scale = Scale(block[s]);
                for (int i = 0; i < 8; i++)
                    block[4 + 8 * s + i] = (byte)(Nearest(x[i], scale) | Nearest(x[i + 8], scale) << 4);
            }
        }
    }

    private static float Scale(byte code)
    {
        if (code is 0 or 0x7F)
            return 0;
        int exponent = (code >> 3) & 15;
        int fraction = code & 7;
        return 0.5f * (exponent == 0 ? fraction / 512f : (1 + fraction / 8f) * MathF.ScaleB(1, exponent - 7));
    }

    private static byte BestScale(ReadOnlySpan<float> x)
    {
        Span<byte> nearest = stackalloc byte[1];
        Float8.E4M3FromFloat32([MathF.Abs(BlockExtremes.Largest(x)) / 6], nearest);
        byte best = 0;
        double smallest = double.PositiveInfinity;
        for (int code = Math.Max(nearest[0] - 3, 0); code <= Math.Min(nearest[0] + 4, 0x7E); code++)
        {
            float scale = Scale((byte)code);
            double error = 0;
            foreach (float value in x)
            {
                double difference = scale * Mxfp4.Table[Nearest(value, scale)] - value;
                error += difference * difference;
            }

            if (error < smallest)
                (best, smallest) = ((byte)code, error);
        }

        return best;
    }

    private static int Nearest(float x, float scale)
    {
        if (scale == 0)
            return 0;
        float magnitude = MathF.Abs(x) / scale;
        int code = magnitude <= 0.5f ? 0 : magnitude <= 1.5f ? 1 : magnitude <= 2.5f ? 2 : magnitude <= 3.5f ? 3 : magnitude <= 5 ? 4 : magnitude <= 7 ? 5 : magnitude <= 10 ? 6 : 7;
        return code == 0 || x > 0 ? code : code + 8;
    }
}
