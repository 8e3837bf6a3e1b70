using System.Numerics;

namespace Glimmer.Kernels;

internal static unsafe partial class Softmax
{
    /// <summary>Joins two parts of a log-sum-exp (rule 5): maximum and sum of the first, then of the second.</summary>
    /// <remarks>A first part with maximum -infinity is empty: the second is taken as it is.</remarks>
    public static (T Max, T Sum) Merge<T>(T max, T sum, T nextMax, T nextSum)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (T.IsNegativeInfinity(max))
            return (nextMax, nextSum);
        T merged = T.Max(max, nextMax);
        T a = VectorMath.Exp(max - merged), b = VectorMath.Exp(nextMax - merged);
        return (merged, T.FusedMultiplyAdd(nextSum, b, sum * a));
    }

    /// <summary>What rounding lost in <c>sum = a + b</c>; exact for |a| at least |b|. 0 for an infinite sum.</summary>
    public static T Lost<T>(T a, T b, T sum)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => T.IsInfinity(sum) ? T.Zero : b - (sum - a);

    /// <summary>The specification of <see cref="Forward"/> for one row.</summary>
    internal static void Twin<T>(T* x, int columns, T* y)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T max = T.NegativeInfinity;
        for (int i = 0; i < columns; i++)
            max = T.Max(max, x[i]);
        var sum = default(ScalarLanes<T>);
        for (int i = 0; i < columns; i++)
        {
            y[i] = VectorMath.Exp(x[i] - max);
            sum.Add(i, y[i]);
        }

        T scale = T.One / sum.Sum();
        for (int i = 0; i < columns; i++)
            y[i] *= scale;
    }

    /// <summary>The specification of <see cref="LogSumExp(ThreadTeam, float*, int, int, int, float*)"/> for one row.</summary>
    internal static T LogSumExpTwin<T>(T* x, int columns)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => LogSumExpTwin(x, columns, out _);

    /// <summary>The same with what the last rounding lost.</summary>
    internal static T LogSumExpTwin<T>(T* x, int columns, out T rest)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T max = T.NegativeInfinity, sum = T.Zero;
        for (int first = 0; first < columns; first += Chunk)
        {
            int end = Math.Min(first + Chunk, columns);
            T m = T.NegativeInfinity;
            for (int i = first; i < end; i++)
                m = T.Max(m, x[i]);
            if (T.IsNegativeInfinity(m))
                continue;
            var l = default(ScalarLanes<T>);
            for (int i = first; i < end; i++)
                l.Add(i - first, VectorMath.Exp(x[i] - m));
            (max, sum) = Merge(max, sum, m, l.Sum());
        }

        T log = VectorMath.Log(sum), lse = max + log;
        rest = Lost(max, log, lse);
        return lse;
    }
}
