namespace Glimmer.Quantization;

/// <summary>8-bit floats: E4M3 (finite variant: no infinity, 0x7F and 0xFF are NaN, largest value 448) and E5M2 (the upper half of a binary16).</summary>
/// <remarks>Rounding is half to even, as torch converts: E4M3 saturates to 448 (infinities too), E5M2 overflows to infinity.</remarks>
internal static class Float8
{
    private static readonly float[] s_e4m3 = Table(DecodeE4M3);
    private static readonly float[] s_e5m2 = Table(code => (float)BitConverter.UInt16BitsToHalf((ushort)(code << 8)));

    /// <summary>The 256 values of E4M3, by code.</summary>
    public static ReadOnlySpan<float> E4M3 => s_e4m3;

    /// <summary>Widens E4M3 codes, exactly.</summary>
    public static void E4M3ToFloat32(ReadOnlySpan<byte> codes, Span<float> values) => LookUp(codes, s_e4m3, values);

    /// <summary>Widens E5M2 codes, exactly.</summary>
    public static void E5M2ToFloat32(ReadOnlySpan<byte> codes, Span<float> values) => LookUp(codes, s_e5m2, values);

    /// <summary>Rounds to E4M3 codes.</summary>
    public static void E4M3FromFloat32(ReadOnlySpan<float> values, Span<byte> codes)
    {
        for (int i = 0; i < values.Length; i++)
            codes[i] = EncodeE4M3(values[i]);
    }

    /// <summary>Rounds to E5M2 codes.</summary>
    public static void E5M2FromFloat32(ReadOnlySpan<float> values, Span<byte> codes)
    {
        for (int i = 0; i < values.Length; i++)
            codes[i] = EncodeE5M2(values[i]);
    }

    private static void LookUp(ReadOnlySpan<byte> codes, float[] table, Span<float> values)
    {
        for (int i = 0; i < values.Length; i++)
            values[i] = table[codes[i]];
    }

    private static float[] Table(Func<int, float> decode)
    {
        var table = new float[256];
        for (int code = 0; code < 256; code++)
            table[code] = decode(code);
        return table;
    }

    private static float DecodeE4M3(int code)
    {
        int exponent = (code >> 3) & 15;
        int fraction = code & 7;
        float magnitude = (code & 0x7F) == 0x7F ? float.NaN
            : exponent == 0 ? fraction / 512f
            : (1 + fraction / 8f) * MathF.ScaleB(1, exponent - 7);
        return (code & 0x80) == 0 ? magnitude : -magnitude;
    }

    private static byte EncodeE4M3(float value)
    {
        if (float.IsNaN(value))
            return 0x7F;
        int sign = float.IsNegative(value) ? 0x80 : 0;
        return (byte)(sign | Math.Min(RoundMagnitude(MathF.Abs(value), fractionBits: 3, smallestExponent: -6), 0x7E));
    }

    private static byte EncodeE5M2(float value)
    {
        if (float.IsNaN(value))
            return 0x7F;
        int sign = float.IsNegative(value) ? 0x80 : 0;
        return (byte)(sign | Math.Min(RoundMagnitude(MathF.Abs(value), fractionBits: 2, smallestExponent: -14), 0x7C));
    }

    // The code of a magnitude counts the representable values below it: a step is 2^(exponent - fractionBits), and rounding up past
    // a power of two carries into the exponent field by itself.
    private static int RoundMagnitude(float magnitude, int fractionBits, int smallestExponent)
    {
        if (magnitude > 1e6f)
            return 0xFF;
        int exponent = magnitude == 0 ? smallestExponent : Math.Max(Math.ILogB(magnitude), smallestExponent);
        double steps = Math.Round(Math.ScaleB((double)magnitude, fractionBits - exponent), MidpointRounding.ToEven);
        return ((exponent - smallestExponent) << fractionBits) + (int)steps;
    }
}
