using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Gated activation: <c>y = silu(gate) * up</c>, element by element.</summary>
internal static unsafe class GatedActivation
{
    /// <param name="c">Context.</param>
    /// <param name="gate">[T, I].</param>
    /// <param name="up">[T, I].</param>
    /// <returns>[T, I].</returns>
    public static Tensor Forward(Compute c, Tensor gate, Tensor up)
    {
        (int rows, int width) = (gate.Shape[0], gate.Shape[1]);
        Tensor y = c.Workspace.F32(rows, width);
        SwiGlu.Forward(c.Team, gate.F32Pointer, width, up.F32Pointer, width, rows, width, y.F32Pointer, width);
        c.Tape?.Record(new Entry(c, gate, up, y));
        return y;
    }

    private sealed class Entry(Compute c, Tensor gate, Tensor up, Tensor y) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            (int rows, int width) = (gate.Shape[0], gate.Shape[1]);
            Tensor dgate = c.Workspace.F32(rows, width);
            Tensor dup = c.Workspace.F32(rows, width);
            SwiGlu.Backward(c.Team, dy.F32Pointer, width, gate.F32Pointer, width, up.F32Pointer, width, rows, width, dgate.F32Pointer, width, dup.F32Pointer, width);
            c.AddGradient(gate, dgate);
            c.AddGradient(up, dup);
        }
    }
}
