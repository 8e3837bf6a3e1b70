using System.Numerics;

namespace Glimmer.Kernels;

internal static unsafe partial class SwiGlu
{
    /// <summary>The specification of <see cref="Forward"/> for one row.</summary>
    internal static void Twin<T>(T* gate, T* up, int columns, T* y)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int i = 0; i < columns; i++)
            y[i] = VectorMath.Silu(gate[i]) * up[i];
    }

    /// <summary>The specification of <see cref="Backward"/> for one row.</summary>
    internal static void BackwardTwin<T>(T* dy, T* gate, T* up, int columns, T* dgate, T* dup)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int i = 0; i < columns; i++)
            (dgate[i], dup[i]) = BackwardElement(dy[i], gate[i], up[i]);
    }

    private static (T DGate, T DUp) BackwardElement<T>(T dy, T gate, T up)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T e = T.One + VectorMath.Exp(-gate), s = T.One / e;
        return (dy * up * s * T.FusedMultiplyAdd(gate, T.One - s, T.One), dy * (gate / e));
    }
}
