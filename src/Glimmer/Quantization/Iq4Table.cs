using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>The 16 values of IQ4_NL and IQ4_XS, finer near zero.</summary>
internal static class Iq4Table
{
    /// <summary>Value of each code, ascending.</summary>
    public static ReadOnlySpan<sbyte> Values => [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    /// <summary>The table as one register, for lookup by shuffle.</summary>
    public static Vector128<sbyte> Register => Vector128.Create(Values);

    /// <summary>The code whose value is nearest to x; a tie goes to the upper one.</summary>
    public static int Nearest(float x)
    {
        ReadOnlySpan<sbyte> values = Values;
        if (!(x > values[0]))
            return 0;
        for (int code = 1; code < values.Length; code++)
        {
            if (x < values[code])
                return x - values[code - 1] < values[code] - x ? code - 1 : code;
        }

        return values.Length - 1;
    }
}
