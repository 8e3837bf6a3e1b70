using System.Runtime.CompilerServices;

namespace Glimmer.Quantization;

/// <summary>Writes one grid entry of an IQ block.</summary>
internal static class SignedGrid
{
    /// <summary><c>y[j] = scale * grid[j]</c>, negated where bit j of <paramref name="signs"/> is set (a zero product changes its sign too).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(float scale, ReadOnlySpan<sbyte> grid, int signs, Span<float> y)
    {
        for (int j = 0; j < y.Length; j++)
        {
            float value = scale * grid[j];
            y[j] = BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(value) ^ (signs >> j) << 31);
        }
    }

    /// <summary><c>y[j] = scale * (grid[j] + delta)</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void WriteShifted(float scale, ReadOnlySpan<sbyte> grid, float delta, Span<float> y)
    {
        for (int j = 0; j < y.Length; j++)
            y[j] = scale * (grid[j] + delta);
    }
}
