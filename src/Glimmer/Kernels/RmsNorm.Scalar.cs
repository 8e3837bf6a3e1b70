using System.Numerics;

namespace Glimmer.Kernels;

internal static unsafe partial class RmsNorm
{
    /// <summary>The specification of <see cref="Forward"/> for one row; returns r.</summary>
    internal static T Twin<T>(T* x, T* weight, T eps, int columns, T* y)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var squares = default(ScalarLanes<T>);
        for (int i = 0; i < columns; i++)
            squares.AddProduct(i, x[i], x[i]);
        T r = T.One / T.Sqrt(squares.Sum() / T.CreateTruncating(columns) + eps);
        for (int i = 0; i < columns; i++)
            y[i] = x[i] * r * weight[i];
        return r;
    }

    /// <summary>The specification of <see cref="Backward"/> for one row.</summary>
    internal static void BackwardTwin<T>(T* dy, T* x, T* weight, T inverse, int columns, T* dx, bool add)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var sum = default(ScalarLanes<T>);
        for (int i = 0; i < columns; i++)
            sum.AddProduct(i, weight[i] * dy[i], x[i]);
        T c = inverse * inverse * inverse / T.CreateTruncating(columns) * sum.Sum();
        for (int i = 0; i < columns; i++)
        {
            T value = T.FusedMultiplyAdd(-c, x[i], inverse * (weight[i] * dy[i]));
            dx[i] = add ? dx[i] + value : value;
        }
    }

    /// <summary>The specification of <see cref="GainGradient"/>.</summary>
    internal static void GainGradientTwin<T>(T* dy, int lddy, T* x, int ldx, T* inverse, int rows, int columns, T* dgain, GradientMode mode)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int i = 0; i < columns; i++)
        {
            T sum = mode == GradientMode.Continue ? dgain[i] : T.Zero;
            for (int t = 0; t < rows; t++)
                sum = T.FusedMultiplyAdd(dy[(long)t * lddy + i], x[(long)t * ldx + i] * inverse[t], sum);
            dgain[i] = mode == GradientMode.AddTo ? dgain[i] + sum : sum;
        }
    }
}
