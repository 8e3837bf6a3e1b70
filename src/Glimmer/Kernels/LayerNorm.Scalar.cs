using System.Numerics;

namespace Glimmer.Kernels;

internal static unsafe partial class LayerNorm
{
    /// <summary>The specification of <see cref="Forward"/> for one row.</summary>
    internal static (T Mean, T Inverse) Twin<T>(T* x, T* weight, T* bias, T eps, int columns, T* y)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T n = T.CreateTruncating(columns);
        var sum = default(ScalarLanes<T>);
        for (int i = 0; i < columns; i++)
            sum.Add(i, x[i]);
        T mean = sum.Sum() / n;
        var squares = default(ScalarLanes<T>);
        for (int i = 0; i < columns; i++)
            squares.AddProduct(i, x[i] - mean, x[i] - mean);
        T r = T.One / T.Sqrt(squares.Sum() / n + eps);
        for (int i = 0; i < columns; i++)
            y[i] = T.FusedMultiplyAdd((x[i] - mean) * r, weight[i], bias[i]);
        return (mean, r);
    }

    /// <summary>The specification of <see cref="Backward"/> for one row.</summary>
    internal static void BackwardTwin<T>(T* dy, T* x, T* weight, T mean, T inverse, int columns, T* dx, bool add)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T n = T.CreateTruncating(columns);
        var sum = default(ScalarLanes<T>);
        var products = default(ScalarLanes<T>);
        for (int i = 0; i < columns; i++)
        {
            T g = weight[i] * dy[i];
            sum.Add(i, g);
            products.AddProduct(i, g, (x[i] - mean) * inverse);
        }

        T a = sum.Sum() / n, c = products.Sum() / n;
        for (int i = 0; i < columns; i++)
        {
            T value = T.FusedMultiplyAdd(-c, (x[i] - mean) * inverse, weight[i] * dy[i] - a) * inverse;
            dx[i] = add ? dx[i] + value : value;
        }
    }

    /// <summary>The specification of <see cref="ParameterGradients"/>.</summary>
    internal static void ParameterGradientsTwin<T>(
        T* dy, int lddy, T* x, int ldx, T* mean, T* inverse, int rows, int columns, T* dgain, T* dbias, GradientMode mode)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int i = 0; i < columns; i++)
        {
            T gain = mode == GradientMode.Continue ? dgain[i] : T.Zero;
            for (int t = 0; t < rows; t++)
                gain = T.FusedMultiplyAdd(dy[(long)t * lddy + i], (x[(long)t * ldx + i] - mean[t]) * inverse[t], gain);
            dgain[i] = mode == GradientMode.AddTo ? dgain[i] + gain : gain;
        }

        Elementwise.ColumnSumsTwin(dy, lddy, rows, columns, dbias, mode);
    }
}
