using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Kernels;

/// <summary>32 floats in 2 registers of 512 bits.</summary>
internal readonly unsafe struct Lanes512(Vector512<float> r0, Vector512<float> r1) : ILanes<Lanes512>
{
    private readonly Vector512<float> _r0 = r0;
    private readonly Vector512<float> _r1 = r1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator +(Lanes512 a, Lanes512 b) => new(a._r0 + b._r0, a._r1 + b._r1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator -(Lanes512 a, Lanes512 b) => new(a._r0 - b._r0, a._r1 - b._r1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator *(Lanes512 a, Lanes512 b) => new(a._r0 * b._r0, a._r1 * b._r1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator /(Lanes512 a, Lanes512 b) => new(a._r0 / b._r0, a._r1 / b._r1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 operator -(Lanes512 a) => new(-a._r0, -a._r1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load(float* source) => new(Vector512.Load(source), Vector512.Load(source + 16));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes512 value, float* destination)
    {
        value._r0.Store(destination);
        value._r1.Store(destination + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Broadcast(float value)
    {
        Vector512<float> all = Vector512.Create(value);
        return new(all, all);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 LoadFirst(float* source, int count) =>
        new(
            Avx512F.MaskLoad(source, First(count), Vector512<float>.Zero), Avx512F.MaskLoad(source + 16, First(count - 16), Vector512<float>.Zero));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreFirst(Lanes512 value, float* destination, int count)
    {
        Avx512F.MaskStore(destination, First(count), value._r0);
        Avx512F.MaskStore(destination + 16, First(count - 16), value._r1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 KeepFirst(Lanes512 value, int count, float other)
    {
        Vector512<float> others = Vector512.Create(other);
        return new(
            Vector512.ConditionalSelect(First(count), value._r0, others), Vector512.ConditionalSelect(First(count - 16), value._r1, others));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 FusedMultiplyAdd(Lanes512 a, Lanes512 b, Lanes512 c) =>
        new(
            Vector512.FusedMultiplyAdd(a._r0, b._r0, c._r0), Vector512.FusedMultiplyAdd(a._r1, b._r1, c._r1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Max(Lanes512 a, Lanes512 b) => new(Vector512.MaxNative(a._r0, b._r0), Vector512.MaxNative(a._r1, b._r1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Exp(Lanes512 x) => new(VectorMath.Exp(x._r0), VectorMath.Exp(x._r1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Lanes512 value) => SumTree.Sum(value._r0 + value._r1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Lanes512 value) => SumTree.Largest(Vector512.MaxNative(value._r0, value._r1));

    // All bits set in the lanes below count.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> First(int count) => Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(count)).AsSingle();
}
