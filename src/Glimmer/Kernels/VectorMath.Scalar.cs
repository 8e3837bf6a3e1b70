using System.Numerics;
using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

internal static partial class VectorMath
{
    /// <summary>e^x: the polynomial of the vector forms for <see cref="float"/>, the exact function for other types.</summary>
    public static T Exp<T>(T x)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float))
            return T.Exp(x);
        float result = Exp(Unsafe.BitCast<T, float>(x));
        return Unsafe.BitCast<float, T>(result);
    }

    /// <summary>e^x, the specification of the vector forms.</summary>
    public static float Exp(float x)
    {
        if (x < ExpMin)
            return 0f;
        if (!(x <= ExpMax))
            return x * float.PositiveInfinity;
        float t = MathF.FusedMultiplyAdd(x, Log2E, RoundToInteger);
        float n = t - RoundToInteger;
        float r = MathF.FusedMultiplyAdd(n, -Ln2High, x);
        r = MathF.FusedMultiplyAdd(n, -Ln2Low, r);
        float p = MathF.FusedMultiplyAdd(C6, r, C5);
        p = MathF.FusedMultiplyAdd(p, r, C4);
        p = MathF.FusedMultiplyAdd(p, r, C3);
        p = MathF.FusedMultiplyAdd(p, r, C2);
        p = MathF.FusedMultiplyAdd(p, r, 1f);
        p = MathF.FusedMultiplyAdd(p, r, 1f);
        return BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(p) + (BitConverter.SingleToInt32Bits(t) << 23));
    }

    /// <summary>Logistic function <c>1 / (1 + exp(-x))</c>.</summary>
    public static T Sigmoid<T>(T x)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => T.One / (T.One + Exp(-x));

    /// <summary><c>x / (1 + exp(-x))</c>.</summary>
    public static T Silu<T>(T x)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => x / (T.One + Exp(-x));

    /// <summary>Natural logarithm, evaluated in fp64 and rounded once for <see cref="float"/>.</summary>
    public static T Log<T>(T x)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => T.CreateTruncating(Math.Log(double.CreateTruncating(x)));
}
