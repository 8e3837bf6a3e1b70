using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

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
    public static Lanes256 LoadFirst(float* source, int count) =>
        new(
            Avx.MaskLoad(source, First(count)), Avx.MaskLoad(source + 8, First(count - 8)),
            Avx.MaskLoad(source + 16, First(count - 16)), Avx.MaskLoad(source + 24, First(count - 24)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreFirst(Lanes256 value, float* destination, int count)
    {
        Avx.MaskStore(destination, First(count), value._r0);
        Avx.MaskStore(destination + 8, First(count - 8), value._r1);
        Avx.MaskStore(destination + 16, First(count - 16), value._r2);
        Avx.MaskStore(destination + 24, First(count - 24), value._r3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 KeepFirst(Lanes256 value, int count, float other)
    {
        Vector256<float> others = Vector256.Create(other);
        return new(
            Vector256.ConditionalSelect(First(count), value._r0, others), Vector256.ConditionalSelect(First(count - 8), value._r1, others),
            Vector256.ConditionalSelect(First(count - 16), value._r2, others), Vector256.ConditionalSelect(First(count - 24), value._r3, others));
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
    public static float Largest(Lanes256 value) =>
        SumTree.Largest(Vector256.MaxNative(Vector256.MaxNative(value._r0, value._r1), Vector256.MaxNative(value._r2, value._r3)));

    // All bits set in the lanes below count.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> First(int count) => Vector256.LessThan(Vector256<int>.Indices, Vector256.Create(count)).AsSingle();
}
