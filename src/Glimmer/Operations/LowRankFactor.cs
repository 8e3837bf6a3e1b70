using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>A low-rank addition to a linear layer (LoRA): <c>y += s (x A^T) B^T</c>; the weight itself stays as it is, of any type.</summary>
/// <remarks>Hu et al. 2021. Both products are chains along their inner dimension; the sum is <c>fma(v, s, y)</c> after the layer's own output and bias.</remarks>
public sealed unsafe class LowRankFactor : IDisposable
{
    /// <summary>Creates a factor; takes ownership of the matrices.</summary>
    /// <param name="a">A, [r, K].</param>
    /// <param name="b">B, [O, r].</param>
    /// <param name="scale">s.</param>
    /// <exception cref="ArgumentException">The shapes do not fit together.</exception>
    public LowRankFactor(Parameter a, Parameter b, float scale)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.Shape.Length != 2 || b.Shape.Length != 2 || a.Shape[0] != b.Shape[1])
            throw new ArgumentException($"{a} and {b} are no factors of one matrix: A must be [r, inputs], B [outputs, r].");
        (A, B, Scale) = (a, b, scale);
    }

    /// <summary>A, [r, K].</summary>
    public Parameter A { get; }

    /// <summary>B, [O, r].</summary>
    public Parameter B { get; }

    /// <summary>s: alpha / r, or alpha / sqrt(r) for rsLoRA.</summary>
    public float Scale { get; }

    /// <summary>Adds to a layer's output, in place.</summary>
    /// <param name="c">Context.</param>
    /// <param name="x">The layer's input, [T, K].</param>
    /// <param name="y">Its output, [T, O].</param>
    internal void AddTo(Compute c, Tensor x, Tensor y)
    {
        Tensor u = Linear.Forward(c, x, A);
        Tensor v = Linear.Forward(c, u, B);
        Elementwise.AddScaled(c.Team, v.F32Pointer, Scale, y.Count, y.F32Pointer);
        c.Tape?.Record(new Entry(c, v, y, Scale));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        A.Dispose();
        B.Dispose();
    }

    // Runs before the layer's own entry, which was recorded earlier, and leaves the gradient of y to it.
    private sealed class Entry(Compute c, Tensor v, Tensor y, float scale) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            Tensor dv = c.Workspace.F32(v.Shape);
            dv.F32.Clear();
            Elementwise.AddScaled(c.Team, dy.F32Pointer, scale, dv.Count, dv.F32Pointer);
            c.AddGradient(v, dv);
        }
    }
}
