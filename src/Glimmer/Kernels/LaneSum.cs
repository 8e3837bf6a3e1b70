using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>
/// Sums across lanes, rule 3 of docs/adr/0001-order-of-arithmetic.md: 32 lanes start at +0, lane i takes the elements i, i + 32, ...; then the
/// tree 16, 8, 4, 2, 1.
/// </summary>
internal static unsafe class LaneSum
{
    private const int Lanes = 32;

    /// <summary>Sum of the values: the definition.</summary>
    public static T OfScalar<T>(ReadOnlySpan<T> values)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* lanes = stackalloc T[Lanes];
        new Span<T>(lanes, Lanes).Clear();
        for (int i = 0; i < values.Length; i++)
            lanes[i % Lanes] += values[i];
        return Tree(lanes);
    }

    /// <summary>Sum of <c>a[i] * b[i]</c>, each added by a fused multiply-add: the definition.</summary>
    public static T OfProductsScalar<T>(T* a, T* b, int length)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* lanes = stackalloc T[Lanes];
        new Span<T>(lanes, Lanes).Clear();
        for (int i = 0; i < length; i++)
            lanes[i % Lanes] = T.FusedMultiplyAdd(a[i], b[i], lanes[i % Lanes]);
        return Tree(lanes);
    }

    /// <summary>Sum of <c>a[i] * b[i]</c>, each added by a fused multiply-add.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float OfProducts<I, V>(float* a, float* b, int length)
        where I : struct, IVectorIsa<V>
        where V : struct
    {
        float* lanes = stackalloc float[Lanes];
        new Span<float>(lanes, Lanes).Clear();
        int whole = length / Lanes * Lanes;

        // Four vectors at a time hide the latency; a narrow set walks the rows once for each quarter of the lanes.
        int block = Math.Min(4 * I.Lanes, Lanes);
        for (int lane = 0; lane < Lanes && whole > 0; lane += block)
        {
            V s0 = I.Zero, s1 = I.Zero, s2 = I.Zero, s3 = I.Zero;
            for (int i = lane; i < whole; i += Lanes)
            {
                s0 = I.Fma(I.Load(a + i), I.Load(b + i), s0);
                s1 = I.Fma(I.Load(a + i + I.Lanes), I.Load(b + i + I.Lanes), s1);
                if (I.Lanes <= 8)
                {
                    s2 = I.Fma(I.Load(a + i + 2 * I.Lanes), I.Load(b + i + 2 * I.Lanes), s2);
                    s3 = I.Fma(I.Load(a + i + 3 * I.Lanes), I.Load(b + i + 3 * I.Lanes), s3);
                }
            }

            I.Store(s0, lanes + lane);
            I.Store(s1, lanes + lane + I.Lanes);
            if (I.Lanes <= 8)
            {
                I.Store(s2, lanes + lane + 2 * I.Lanes);
                I.Store(s3, lanes + lane + 3 * I.Lanes);
            }
        }

        for (int i = whole; i < length; i++)
            lanes[i - whole] = MathF.FusedMultiplyAdd(a[i], b[i], lanes[i - whole]);
        return TreeOfVectors(lanes);
    }

    // The same additions as in the tree, eight at a time.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float TreeOfVectors(float* lanes)
    {
        Vector256<float> first = Vector256.Load(lanes) + Vector256.Load(lanes + 16), second = Vector256.Load(lanes + 8) + Vector256.Load(lanes + 24);
        Vector256<float> eight = first + second;
        Vector128<float> four = eight.GetLower() + eight.GetUpper();
        Vector64<float> two = four.GetLower() + four.GetUpper();
        return two[0] + two[1];
    }

    /// <summary>Adds the upper half of the lanes to the lower one until one is left.</summary>
    public static T Tree<T>(T* lanes)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int half = Lanes / 2; half > 0; half /= 2)
        {
            for (int i = 0; i < half; i++)
                lanes[i] += lanes[i + half];
        }

        return lanes[0];
    }
}
