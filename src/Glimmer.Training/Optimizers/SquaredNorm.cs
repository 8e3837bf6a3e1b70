using System.Runtime.Intrinsics;
using Glimmer.Operations;

namespace Glimmer.Training.Optimizers;

/// <summary>Sum of squares in fp64: 32 lanes, lane i takes the elements i, i + 32, ..., then the tree 16, 8, 4, 2, 1 (docs/adr/0001, rule 3).</summary>
/// <remarks>The square of an fp32 number is exact in fp64, so that fused and separate operations agree, and gradients of 1e20 do not overflow.</remarks>
internal static unsafe class SquaredNorm
{
    private const int Lanes = 32;

    /// <summary>Of a gradient.</summary>
    public static double Of(Parameter parameter) => Of(parameter.Gradient!.F32Pointer, parameter.Count);

    /// <summary><c>sum x[i]^2</c>.</summary>
    public static double Of(float* x, long count)
    {
        double* lanes = stackalloc double[Lanes];
        Vector512<double> s0 = default, s1 = default, s2 = default, s3 = default;
        long i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            s0 += Squares(x + i);
            s1 += Squares(x + i + 8);
            s2 += Squares(x + i + 16);
            s3 += Squares(x + i + 24);
        }

        s0.Store(lanes);
        s1.Store(lanes + 8);
        s2.Store(lanes + 16);
        s3.Store(lanes + 24);
        for (int lane = 0; i < count; i++, lane++)
            lanes[lane] += (double)x[i] * x[i];
        for (int half = Lanes / 2; half > 0; half /= 2)
        {
            for (int lane = 0; lane < half; lane++)
                lanes[lane] += lanes[lane + half];
        }

        return lanes[0];
    }

    private static Vector512<double> Squares(float* x)
    {
        Vector256<float> values = Vector256.Load(x);
        (Vector256<double> low, Vector256<double> high) = Vector256.Widen(values);
        Vector512<double> wide = Vector512.Create(low, high);
        return wide * wide;
    }
}
