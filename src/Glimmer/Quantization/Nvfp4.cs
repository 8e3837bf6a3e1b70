using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>
/// NVFP4 as GGUF stores it: 64 elements in 36 bytes. scales[4] @0 (unsigned E4M3), qs[32] @4; <c>y = scale * table[q]</c> with the doubled E2M1 values of
/// <see cref="Mxfp4.Table"/>, so the scale is half the E4M3 value.
/// </summary>
/// <remarks>
/// Sub-block s of 16 elements: byte 8s+i holds element 16s+i in the low and 16s+8+i in the high nibble. Scale codes 0x00 and 0x7F mean 0; bit 7 is ignored
/// otherwise.
/// </remarks>
internal static class Nvfp4
{
    /// <summary>Elements of a block.</summary>
    public const int Elements = 64;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = 36;

    private static readonly float[] s_scales = Scales();

    // Between the magnitudes 0, 1, 2, 3, 4, 6, 8 and 12 of the codes; and how much each step adds.
    private static ReadOnlySpan<float> Midpoints => [0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10];

    private static ReadOnlySpan<float> Steps => [1, 1, 1, 1, 2, 2, 4];

    /// <summary>Blocks to fp32.</summary>
    public static void Dequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int b = 0; b * Elements < values.Length; b++)
        {
            ReadOnlySpan<byte> block = blocks.Slice(b * Bytes, Bytes);
            for (int s = 0; s < 4; s++)
            {
                float scale = s_scales[block[s]];
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
                float scale = s_scales[block[s]];
                for (int i = 0; i < 8; i++)
                    block[4 + 8 * s + i] = (byte)(Nearest(x[i], scale) | Nearest(x[i + 8], scale) << 4);
            }
        }
    }

    private static float[] Scales()
    {
        var scales = new float[256];
        for (int code = 0; code < scales.Length; code++)
        {
            int exponent = (code >> 3) & 15;
            int fraction = code & 7;
            scales[code] = code is 0 or 0x7F ? 0 : 0.5f * (exponent == 0 ? fraction / 512f : (1 + fraction / 8f) * MathF.ScaleB(1, exponent - 7));
        }

        return scales;
    }

    private static byte BestScale(ReadOnlySpan<float> x)
    {
        Span<byte> nearest = stackalloc byte[1];
        Float8.E4M3FromFloat32([MathF.Abs(BlockExtremes.Largest(x)) / 6], nearest);
        byte best = 0;
        float smallest = float.PositiveInfinity;
        for (int code = Math.Max(nearest[0] - 3, 0); code <= Math.Min(nearest[0] + 4, 0x7E); code++)
        {
            float error = Error(x, s_scales[code]);
            if (error < smallest)
                (best, smallest) = ((byte)code, error);
        }

        return best;
    }

    // The squared error of 16 values. The nearest of 0, 1, 2, 3, 4, 6, 8, 12 is a sum of steps at the midpoints.
    private static float Error(ReadOnlySpan<float> x, float scale)
    {
        ref float values = ref MemoryMarshal.GetReference(x);
        Vector256<float> s = Vector256.Create(scale);
        Vector256<float> inverse = Vector256.Create(scale == 0 ? 0 : 1 / scale);
        Vector256<float> sum = default;
        for (nuint i = 0; i < 16; i += 8)
        {
            Vector256<float> magnitude = Vector256.Abs(Vector256.LoadUnsafe(ref values, i));
            Vector256<float> scaled = magnitude * inverse;
            Vector256<float> code = default;
            for (int step = 0; step < Midpoints.Length; step++)
                code += Vector256.GreaterThan(scaled, Vector256.Create(Midpoints[step])) & Vector256.Create(Steps[step]);
            Vector256<float> difference = s * code - magnitude;
            sum += difference * difference;
        }

        Vector128<float> four = sum.GetLower() + sum.GetUpper();
        return four.GetElement(0) + four.GetElement(2) + (four.GetElement(1) + four.GetElement(3));
    }

    private static int Nearest(float x, float scale)
    {
        float magnitude = scale == 0 ? 0 : MathF.Abs(x) / scale;
        int code = 0;
        while (code < Midpoints.Length && magnitude > Midpoints[code])
            code++;
        return code == 0 || x > 0 ? code : code + 8;
    }
}
