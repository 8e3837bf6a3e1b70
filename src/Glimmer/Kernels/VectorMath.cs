using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>Elementary functions, lane by lane, in the one order of operations that all forms share.</summary>
/// <remarks>
/// <c>exp(x) = 2^n * p(r)</c> with <c>n</c> the integer nearest to <c>x / ln 2</c>, <c>r = x - n ln 2</c> in two fused steps (Cody and Waite) and
/// <c>p</c> of degree 6 (<c>1 + r + r^2 q(r)</c>, <c>q</c> through Chebyshev nodes on |r| &lt;= ln(2)/2). The relative error is below 1e-7.
/// Below ln(2^-126) the result is +0, so that no denormal appears; above ln(largest float) it is +infinity; NaN stays NaN.
/// </remarks>
internal static partial class VectorMath
{
    private const float Log2E = 1.44269502f;

    // Adding 1.5 * 2^23 rounds to the nearest integer, ties to even, and leaves that integer in the low bits.
    private const float RoundToInteger = 12582912f;
    private const float Ln2High = 0.6931471824645996f;
    private const float Ln2Low = -1.9046542121259336e-09f;
    private const float C2 = 0.5f;
    private const float C3 = 0.16666576266288757f;
    private const float C4 = 0.04166655242443085f;
    private const float C5 = 0.00836323294788599f;
    private const float C6 = 0.0013926250394433737f;

    // ln(2^-126) = -87.33654475 rounded up, ln(largest float) = 88.72283906 rounded down.
    private const float ExpMin = -87.33654022f;
    private const float ExpMax = 88.72283172607422f;

    /// <summary>e^x of each lane; the same bits as <see cref="Exp{T}(T)"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        Vector512<float> t = Vector512.FusedMultiplyAdd(x, Vector512.Create(Log2E), Vector512.Create(RoundToInteger));
        Vector512<float> n = t - Vector512.Create(RoundToInteger);
        Vector512<float> r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2High), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2Low), r);
        Vector512<float> p = Vector512.FusedMultiplyAdd(Vector512.Create(C6), r, Vector512.Create(C5));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(C4));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(C3));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(C2));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512<float>.One);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512<float>.One);
        p = (p.AsInt32() + (Vector512.ShiftLeft(t.AsInt32(), 23))).AsSingle();
        p = Vector512.ConditionalSelect(Vector512.LessThanOrEqual(x, Vector512.Create(ExpMax)), p, x * Vector512.Create(float.PositiveInfinity));
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(ExpMin)), Vector512<float>.Zero, p);
    }

    /// <summary>e^x of each lane; the same bits as <see cref="Exp{T}(T)"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Exp(Vector256<float> x)
    {
        Vector256<float> t = Vector256.FusedMultiplyAdd(x, Vector256.Create(Log2E), Vector256.Create(RoundToInteger));
        Vector256<float> n = t - Vector256.Create(RoundToInteger);
        Vector256<float> r = Vector256.FusedMultiplyAdd(n, Vector256.Create(-Ln2High), x);
        r = Vector256.FusedMultiplyAdd(n, Vector256.Create(-Ln2Low), r);
        Vector256<float> p = Vector256.FusedMultiplyAdd(Vector256.Create(C6), r, Vector256.Create(C5));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(C4));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(C3));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(C2));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256<float>.One);
        p = Vector256.FusedMultiplyAdd(p, r, Vector256<float>.One);
        p = (p.AsInt32() + (Vector256.ShiftLeft(t.AsInt32(), 23))).AsSingle();
        p = Vector256.ConditionalSelect(Vector256.LessThanOrEqual(x, Vector256.Create(ExpMax)), p, x * Vector256.Create(float.PositiveInfinity));
        return Vector256.ConditionalSelect(Vector256.LessThan(x, Vector256.Create(ExpMin)), Vector256<float>.Zero, p);
    }

    /// <summary>e^x of each lane; the same bits as <see cref="Exp{T}(T)"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Exp(Vector128<float> x)
    {
        Vector128<float> t = Vector128.FusedMultiplyAdd(x, Vector128.Create(Log2E), Vector128.Create(RoundToInteger));
        Vector128<float> n = t - Vector128.Create(RoundToInteger);
        Vector128<float> r = Vector128.FusedMultiplyAdd(n, Vector128.Create(-Ln2High), x);
        r = Vector128.FusedMultiplyAdd(n, Vector128.Create(-Ln2Low), r);
        Vector128<float> p = Vector128.FusedMultiplyAdd(Vector128.Create(C6), r, Vector128.Create(C5));
        p = Vector128.FusedMultiplyAdd(p, r, Vector128.Create(C4));
        p = Vector128.FusedMultiplyAdd(p, r, Vector128.Create(C3));
        p = Vector128.FusedMultiplyAdd(p, r, Vector128.Create(C2));
        p = Vector128.FusedMultiplyAdd(p, r, Vector128<float>.One);
        p = Vector128.FusedMultiplyAdd(p, r, Vector128<float>.One);
        p = (p.AsInt32() + (Vector128.ShiftLeft(t.AsInt32(), 23))).AsSingle();
        p = Vector128.ConditionalSelect(Vector128.LessThanOrEqual(x, Vector128.Create(ExpMax)), p, x * Vector128.Create(float.PositiveInfinity));
        return Vector128.ConditionalSelect(Vector128.LessThan(x, Vector128.Create(ExpMin)), Vector128<float>.Zero, p);
    }

    /// <summary><c>y[i] = exp(x[i])</c> of an array. <paramref name="y"/> may be <paramref name="x"/>.</summary>
    public static unsafe void Exp(float* x, int count, float* y)
    {
        switch (Simd.Level)
        {
            case SimdLevel.Avx512:
                Exp<Lanes512>(x, count, y);
                break;
            case SimdLevel.Avx2:
                Exp<Lanes256>(x, count, y);
                break;
            default:
                Exp<Lanes128>(x, count, y);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static unsafe void Exp<TLanes>(float* x, int count, float* y)
        where TLanes : struct, ILanes<TLanes>
    {
        int i = 0;
        for (; i + Lanes.Count <= count; i += Lanes.Count)
            TLanes.Store(TLanes.Exp(TLanes.Load(x + i)), y + i);
        for (; i < count; i++)
            y[i] = Exp(x[i]);
    }
}
