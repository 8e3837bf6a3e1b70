using System.Numerics;

namespace Glimmer.Kernels;

internal static unsafe partial class Elementwise
{
    /// <summary>The specification of <see cref="ColumnSums"/>.</summary>
    internal static void ColumnSumsTwin<T>(T* x, int ldx, int rows, int columns, T* sums, GradientMode mode)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int i = 0; i < columns; i++)
        {
            T sum = mode == GradientMode.Continue ? sums[i] : T.Zero;
            for (int t = 0; t < rows; t++)
                sum += x[(long)t * ldx + i];
            sums[i] = mode == GradientMode.AddTo ? sums[i] + sum : sum;
        }
    }
}
