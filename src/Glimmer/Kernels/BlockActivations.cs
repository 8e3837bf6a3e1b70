using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>Activations as 8-bit integers in blocks of 32, from the token's own values only, packed for the tiles of <see cref="BlockTile"/>.</summary>
/// <remarks>
/// Of a block: <c>d = max|x| / 127</c>, <c>q = x * (1 / d)</c> rounded half to even. A block whose d is below 2^-100 counts as zeros, so that no product of scales
/// is subnormal; one that holds an infinity or NaN gets the scale NaN. A tile of T tokens has, block after block: 8 steps of T times 4 bytes q, then T
/// floats d, 2T integers (start values of the sums of the two halves: minus the offset of the codes times the sum of q; where a scale holds for the
/// whole block, the first holds that of the block), and 2T floats (d times the sums of q, likewise).
/// </remarks>
internal static unsafe class BlockActivations
{
    /// <summary>Columns of a block.</summary>
    public const int Columns = 32;

    /// <summary>Bytes of a block and token.</summary>
    public const int Bytes = 52;

    private const float Smallest = 7.888609e-31f; // 2^-100
    private const float Rounding = 12582912; // 1.5 * 2^23: adding it rounds to a whole number, half to even.

    /// <summary>Quantises one row into its place in a tile.</summary>
    /// <param name="x">Values, a whole number of blocks.</param>
    /// <param name="columns">Number of values.</param>
    /// <param name="token">Row of the tile.</param>
    /// <param name="tokens">T.</param>
    /// <param name="offset">Offset of the codes that the sums start with.</param>
    /// <param name="halves">Whether sums are those of 16 columns.</param>
    /// <param name="tile">The tile.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Quantize(float* x, int columns, int token, int tokens, int offset, bool halves, byte* tile)
    {
        for (; columns > 0; columns -= Columns, x += Columns, tile += Bytes * tokens)
        {
            Vector256<float> x0 = Vector256.Load(x), x1 = Vector256.Load(x + 8), x2 = Vector256.Load(x + 16), x3 = Vector256.Load(x + 24);
            float d = Scale(x0, x1, x2, x3);
            float inverse = d > 0 ? 1 / d : 0;
            Vector256<int> q0 = Round(x0, inverse), q1 = Round(x1, inverse), q2 = Round(x2, inverse), q3 = Round(x3, inverse);
            Vector256<sbyte> bytes = Vector256.Narrow(Vector256.Narrow(q0, q1), Vector256.Narrow(q2, q3));
            uint* words = (uint*)tile + token;
            for (int s = 0; s < 8; s++)
                words[s * tokens] = bytes.AsUInt32()[s];
            float* scales = (float*)(tile + 32 * tokens) + token;
            int* starts = (int*)(tile + 36 * tokens) + token;
            float* sums = (float*)(tile + 44 * tokens) + token;
            int first = Vector256.Sum(q0 + q1), second = Vector256.Sum(q2 + q3);
            if (!halves)
                (first, second) = (first + second, 0);
            *scales = d;
            (starts[0], starts[tokens]) = (-offset * first, -offset * second);
            (sums[0], sums[tokens]) = (first * d, second * d);
        }
    }

    /// <summary>The scale of a block: 0 when it counts as zeros, NaN when a value is not finite.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Scale(Vector256<float> x0, Vector256<float> x1, Vector256<float> x2, Vector256<float> x3)
    {
        // Magnitudes compare like integers, and infinities and NaN are the largest.
        Vector256<int> mask = Vector256.Create(0x7FFFFFFF);
        Vector256<int> m = Vector256.Max(Vector256.Max(x0.AsInt32() & mask, x1.AsInt32() & mask), Vector256.Max(x2.AsInt32() & mask, x3.AsInt32() & mask));
        Vector128<int> half = Vector128.Max(m.GetLower(), m.GetUpper());
        half = Vector128.Max(half, Vector128.Shuffle(half, Vector128.Create(2, 3, 0, 1)));
        half = Vector128.Max(half, Vector128.Shuffle(half, Vector128.Create(1, 0, 3, 2)));
        int largest = half.ToScalar();
        if (largest >= 0x7F800000)
            return float.NaN;
        float d = BitConverter.Int32BitsToSingle(largest) / 127;
        return d < Smallest ? 0 : d;
    }

    // Where there is no scale, everything is zero; this also keeps infinities and NaN out of the integers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Round(Vector256<float> x, float inverse)
    {
        if (inverse == 0)
            return default;
        return (x * Vector256.Create(inverse) + Vector256.Create(Rounding)).AsInt32() - Vector256.Create(BitConverter.SingleToInt32Bits(Rounding));
    }
}
