using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>32 floats in 4 registers of 256 bits.</summary>
internal readonly unsafe struct Lanes256(Vector256<float> r0, Vector256<float> r1, Vector256<float> r2, Vector256<float> r3) : ILanes<Lanes256>
{
    private readonly Vector256<float> _r0 = r0;
    private readonly Vector256<float> _r1 = r1;
    private readonly Vector256<float> _r2 = r2;
    private readonly Vector256<float> _r3 = r3;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator +(Lanes256 a, Lanes256 b) => new(a._r0 + b._r0, a._r1 + b._r1, a._r2 + b._r2, a._r3 + b._r3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator -(Lanes256 a, Lanes256 b) => new(a._r0 - b._r0, a._r1 - b._r1, a._r2 - b._r2, a._r3 - b._r3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator *(Lanes256 a, Lanes256 b) => new(a._r0 * b._r0, a._r1 * b._r1, a._r2 * b._r2, a._r3 * b._r3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator /(Lanes256 a, Lanes256 b) => new(a._r0 / b._r0, a._r1 / b._r1, a._r2 / b._r2, a._r3 / b._r3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 operator -(Lanes256 a) => new(-a._r0, -a._r1, -a._r2, -a._r3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Load(float* source) =>
        new(
            Vector256.Load(source), Vector256.Load(source + 8), Vector256.Load(source + 16), Vector256.Load(source + 24));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes256 value, float* destination)
    {
        value._r0.Store(destination);
        value._r1.Store(destination + 8);
        value._r2.Store(destination + 16);
        value._r3.Store(destination + 24);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Broadcast(float value)
    {
        Vector256<float> all = Vector256.Create(value);
        return new(all, all, all, all);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 FusedMultiplyAdd(Lanes256 a, Lanes256 b, Lanes256 c) =>
        new(
            Vector256.FusedMultiplyAdd(a._r0, b._r0, c._r0), Vector256.FusedMultiplyAdd(a._r1, b._r1, c._r1),
            Vector256.FusedMultiplyAdd(a._r2, b._r2, c._r2), Vector256.FusedMultiplyAdd(a._r3, b._r3, c._r3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Max(Lanes256 a, Lanes256 b) =>
        new(
            Vector256.MaxNative(a._r0, b._r0), Vector256.MaxNative(a._r1, b._r1), Vector256.MaxNative(a._r2, b._r2),
            Vector256.MaxNative(a._r3, b._r3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Exp(Lanes256 x) => new(VectorMath.Exp(x._r0), VectorMath.Exp(x._r1), VectorMath.Exp(x._r2), VectorMath.Exp(x._r3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Lanes256 value) => SumTree.Sum(value._r0 + value._r2 + (value._r1 + value._r3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Lanes256 value) => SumTree.Largest(Vector256.MaxNative(Vector256.MaxNative(value._r0, value._r1), Vector256.MaxNative(value._r2, value._r3)));
}
