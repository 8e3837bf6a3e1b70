using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>The 16 values of IQ4_NL and IQ4_XS, finer near zero.</summary>
internal static class Iq4Table
{
    /// <summary>Value of each code, ascending.</summary>
    public static ReadOnlySpan<sbyte> Values => [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    /// <summary>The values + 128, twice, for lookup in the halves of a wide register.</summary>
    public static ReadOnlySpan<byte> Raised =>
    [
        1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241,
        1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241,
    ];

    /// <summary>The table as one register, for lookup by shuffle.</summary>
    public static Vector128<sbyte> Register => Vector128.Create(Values);

    // For each whole number from -127 to 112 the code of the largest value that does not exceed it.
    private static readonly byte[] s_below = Below();

    /// <summary>The code whose value is nearest to x; a tie goes to the upper one.</summary>
    public static int Nearest(float x)
    {
        ReadOnlySpan<sbyte> values = Values;
        if (!(x > values[0]))
            return 0;
        if (x >= values[^1])
            return values.Length - 1;
        int code = s_below[(int)MathF.Floor(x) - values[0]];
        return x - values[code] < values[code + 1] - x ? code : code + 1;
    }

    private static byte[] Below()
    {
        var below = new byte[Values[^1] - Values[0]];
        for (int i = 0, code = 0; i < below.Length; i++)
        {
            if (i + Values[0] >= Values[code + 1])
                code++;
            below[i] = (byte)code;
        }

        return below;
    }
}
