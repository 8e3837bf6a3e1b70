using System.Numerics;

namespace Glimmer.Kernels;

internal static unsafe partial class MatMul
{
    /// <summary>The specification of all products: <c>y[t, o] = fma(x[t, k], w[o, k], y[t, o])</c> for k ascending from +0, then <c>+ bias[o]</c>.</summary>
    /// <remarks>
    /// x [tokens, columns] with rows ldx apart, w [outputs, columns] row-major, bias [outputs] or null, y [tokens, outputs] with rows ldy apart.
    /// </remarks>
    internal static void Twin<T>(T* x, int ldx, int tokens, T* w, int outputs, int columns, T* bias, T* y, int ldy)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int t = 0; t < tokens; t++)
        {
            for (int o = 0; o < outputs; o++)
            {
                T sum = T.Zero;
                for (int k = 0; k < columns; k++)
                    sum = T.FusedMultiplyAdd(x[(long)t * ldx + k], w[(long)o * columns + k], sum);
                y[(long)t * ldy + o] = bias == null ? sum : sum + bias[o];
            }
        }
    }

    /// <summary>The specification of the weight gradient: <c>dw[o, k] = fma(dy[t, o], x[t, k], dw[o, k])</c> for t ascending.</summary>
    internal static void WeightGradientTwin<T>(T* dy, int lddy, T* x, int ldx, int tokens, int outputs, int columns, T* dw, GradientMode mode)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int o = 0; o < outputs; o++)
        {
            for (int k = 0; k < columns; k++)
            {
                T before = dw[(long)o * columns + k];
                T sum = mode == GradientMode.Continue ? before : T.Zero;
                for (int t = 0; t < tokens; t++)
                    sum = T.FusedMultiplyAdd(dy[(long)t * lddy + o], x[(long)t * ldx + k], sum);
                dw[(long)o * columns + k] = mode == GradientMode.AddTo ? before + sum : sum;
            }
        }
    }
}
