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
        Tensor? inverse = c.Tape is null ? null : c.Workspace.F32(rows);
        RmsNorm.Forward(c.Team, x.F32Pointer, dim, weight.Vector, eps, rows, dim, y.F32Pointer, dim, inverse is null ? null : inverse.F32Pointer);
        c.Tape?.Record(new Entry(c, x, weight, inverse!, y));
        return y;
    }

    private sealed class Entry(Compute c, Tensor x, Parameter weight, Tensor inverse, Tensor y) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            int dim = weight.Shape[0];
            int rows = checked((int)(x.Count / dim));
            Tensor dx = c.Workspace.F32(x.Shape);
            RmsNorm.Backward(c.Team, dy.F32Pointer, dim, x.F32Pointer, dim, weight.Vector, inverse.F32Pointer, rows, dim, dx.F32Pointer, dim);
            if (weight.Gradient is { } dweight)
                RmsNorm.GainGradient(c.Team, dy.F32Pointer, dim, x.F32Pointer, dim, inverse.F32Pointer, rows, dim, dweight.F32Pointer, GradientMode.AddTo);
            c.AddGradient(x, dx);
        }
    }
}
