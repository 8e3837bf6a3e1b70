using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>RMS normalisation of rows, forward and backward.</summary>
internal static unsafe class Normalisation
{
    /// <summary><c>y[r,i] = x[r,i] / sqrt(mean_i(x[r,i]^2) + eps) * weight[i]</c>.</summary>
    /// <param name="c">Context.</param>
    /// <param name="x">Rows of the weight's width; a [T, H * Dh] tensor is T * H rows of a head.</param>
    /// <param name="weight">Scale, [D].</param>
    /// <param name="eps">Added to the mean square.</param>
    /// <returns>Normalised rows, in the shape of <paramref name="x"/>.</returns>
    public static Tensor Forward(Compute c, Tensor x, Parameter weight, float eps)
    {
        int dim = weight.Shape[0];
        int rows = checked((int)(x.Count / dim));
        Tensor y = c.Workspace.F32(x.Shape);
        RmsNorm.Forward(c.Team, x.F32Pointer, dim, rows, dim, weight.Vector, eps, y.F32Pointer, dim);
        c.Tape?.Record(new Entry(c, x, weight, eps, y));
        return y;
    }

    private sealed class Entry(Compute c, Tensor x, Parameter weight, float eps, Tensor y) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            int dim = weight.Shape[0];
            int rows = checked((int)(x.Count / dim));
            Tensor dx = c.Workspace.F32(x.Shape);
            float* dweight = weight.Gradient is { } dw ? dw.F32Pointer : null;
            RmsNorm.Backward(c.Team, x.F32Pointer, dim, rows, dim, weight.Vector, eps, dy.F32Pointer, dim, dx.F32Pointer, dim, dweight);
            c.AddGradient(x, dx);
        }
    }
}
