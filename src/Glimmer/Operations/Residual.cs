using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Residual connection: <c>y = x + f</c>.</summary>
internal static unsafe class Residual
{
    /// <summary>Adds a block's output to the stream: into the stream without a tape, into the output with one, because no backward pass reads it.</summary>
    /// <param name="c">Context.</param>
    /// <param name="x">The stream, [T, D].</param>
    /// <param name="f">What is added, [T, D]; with a tape its contents become those of the sum.</param>
    /// <returns>The stream after the addition.</returns>
    public static Tensor Forward(Compute c, Tensor x, Tensor f)
    {
        if (c.Tape is null)
        {
            Elementwise.Add(c.Team, x.F32Pointer, f.F32Pointer, x.Count, x.F32Pointer);
            return x;
        }

        Tensor y = c.Workspace.InPlaceOf(f);
        Elementwise.Add(c.Team, x.F32Pointer, f.F32Pointer, x.Count, y.F32Pointer);
        c.Tape.Record(new Entry(c, x, f, y));
        return y;
    }

    private sealed class Entry(Compute c, Tensor x, Tensor f, Tensor y) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            // One gradient for both: what computed f came after x was read, so it goes back first, before anything is added to the gradient of x.
            c.AddGradient(f, dy);
            c.AddGradient(x, dy);
        }
    }
}
