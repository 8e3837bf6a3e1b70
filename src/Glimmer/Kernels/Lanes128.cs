using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>32 floats in 8 registers of 128 bits.</summary>
internal readonly unsafe struct Lanes128(
    Vector128<float> r0, Vector128<float> r1, Vector128<float> r2, Vector128<float> r3,
    Vector128<float> r4, Vector128<float> r5, Vector128<float> r6, Vector128<float> r7) : ILanes<Lanes128>
{
    private readonly Vector128<float> _r0 = r0;
    private readonly Vector128<float> _r1 = r1;
    private readonly Vector128<float> _r2 = r2;
    private readonly Vector128<float> _r3 = r3;
    private readonly Vector128<float> _r4 = r4;
    private readonly Vector128<float> _r5 = r5;
    private readonly Vector128<float> _r6 = r6;
    private readonly Vector128<float> _r7 = r7;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator +(Lanes128 a, Lanes128 b) =>
        new(
            a._r0 + b._r0, a._r1 + b._r1, a._r2 + b._r2, a._r3 + b._r3, a._r4 + b._r4, a._r5 + b._r5, a._r6 + b._r6, a._r7 + b._r7);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator -(Lanes128 a, Lanes128 b) =>
        new(
            a._r0 - b._r0, a._r1 - b._r1, a._r2 - b._r2, a._r3 - b._r3, a._r4 - b._r4, a._r5 - b._r5, a._r6 - b._r6, a._r7 - b._r7);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator *(Lanes128 a, Lanes128 b) =>
        new(
            a._r0 * b._r0, a._r1 * b._r1, a._r2 * b._r2, a._r3 * b._r3, a._r4 * b._r4, a._r5 * b._r5, a._r6 * b._r6, a._r7 * b._r7);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator /(Lanes128 a, Lanes128 b) =>
        new(
            a._r0 / b._r0, a._r1 / b._r1, a._r2 / b._r2, a._r3 / b._r3, a._r4 / b._r4, a._r5 / b._r5, a._r6 / b._r6, a._r7 / b._r7);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 operator -(Lanes128 a) => new(-a._r0, -a._r1, -a._r2, -a._r3, -a._r4, -a._r5, -a._r6, -a._r7);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Load(float* source) =>
        new(
            Vector128.Load(source), Vector128.Load(source + 4), Vector128.Load(source + 8), Vector128.Load(source + 12),
            Vector128.Load(source + 16), Vector128.Load(source + 20), Vector128.Load(source + 24), Vector128.Load(source + 28));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes128 value, float* destination)
    {
        value._r0.Store(destination);
        value._r1.Store(destination + 4);
        value._r2.Store(destination + 8);
        value._r3.Store(destination + 12);
        value._r4.Store(destination + 16);
        value._r5.Store(destination + 20);
        value._r6.Store(destination + 24);
        value._r7.Store(destination + 28);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Broadcast(float value)
    {
        Vector128<float> all = Vector128.Create(value);
        return new(all, all, all, all, all, all, all, all);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadFirst(float* source, int count) =>
        new(
            LoadPart(source, count), LoadPart(source + 4, count - 4),
            LoadPart(source + 8, count - 8), LoadPart(source + 12, count - 12),
            LoadPart(source + 16, count - 16), LoadPart(source + 20, count - 20),
            LoadPart(source + 24, count - 24), LoadPart(source + 28, count - 28));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreFirst(Lanes128 value, float* destination, int count)
    {
        StorePart(value._r0, destination, count);
        StorePart(value._r1, destination + 4, count - 4);
        StorePart(value._r2, destination + 8, count - 8);
        StorePart(value._r3, destination + 12, count - 12);
        StorePart(value._r4, destination + 16, count - 16);
        StorePart(value._r5, destination + 20, count - 20);
        StorePart(value._r6, destination + 24, count - 24);
        StorePart(value._r7, destination + 28, count - 28);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 KeepFirst(Lanes128 value, int count, float other)
    {
        Vector128<float> others = Vector128.Create(other);
        return new(
            Vector128.ConditionalSelect(First(count), value._r0, others), Vector128.ConditionalSelect(First(count - 4), value._r1, others),
            Vector128.ConditionalSelect(First(count - 8), value._r2, others), Vector128.ConditionalSelect(First(count - 12), value._r3, others),
            Vector128.ConditionalSelect(First(count - 16), value._r4, others), Vector128.ConditionalSelect(First(count - 20), value._r5, others),
            Vector128.ConditionalSelect(First(count - 24), value._r6, others), Vector128.ConditionalSelect(First(count - 28), value._r7, others));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 FusedMultiplyAdd(Lanes128 a, Lanes128 b, Lanes128 c) =>
        new(
            Vector128.FusedMultiplyAdd(a._r0, b._r0, c._r0), Vector128.FusedMultiplyAdd(a._r1, b._r1, c._r1),
            Vector128.FusedMultiplyAdd(a._r2, b._r2, c._r2), Vector128.FusedMultiplyAdd(a._r3, b._r3, c._r3),
            Vector128.FusedMultiplyAdd(a._r4, b._r4, c._r4), Vector128.FusedMultiplyAdd(a._r5, b._r5, c._r5),
            Vector128.FusedMultiplyAdd(a._r6, b._r6, c._r6), Vector128.FusedMultiplyAdd(a._r7, b._r7, c._r7));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Max(Lanes128 a, Lanes128 b) =>
        new(
            Vector128.MaxNative(a._r0, b._r0), Vector128.MaxNative(a._r1, b._r1), Vector128.MaxNative(a._r2, b._r2),
            Vector128.MaxNative(a._r3, b._r3), Vector128.MaxNative(a._r4, b._r4), Vector128.MaxNative(a._r5, b._r5),
            Vector128.MaxNative(a._r6, b._r6), Vector128.MaxNative(a._r7, b._r7));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Exp(Lanes128 x) =>
        new(
            VectorMath.Exp(x._r0), VectorMath.Exp(x._r1), VectorMath.Exp(x._r2), VectorMath.Exp(x._r3), VectorMath.Exp(x._r4),
            VectorMath.Exp(x._r5), VectorMath.Exp(x._r6), VectorMath.Exp(x._r7));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Lanes128 value) => SumTree.Sum(value._r0 + value._r4 + (value._r2 + value._r6) + (value._r1 + value._r5 + (value._r3 + value._r7)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Largest(Lanes128 value)
    {
        Vector128<float> low = Vector128.MaxNative(Vector128.MaxNative(value._r0, value._r1), Vector128.MaxNative(value._r2, value._r3));
        Vector128<float> high = Vector128.MaxNative(Vector128.MaxNative(value._r4, value._r5), Vector128.MaxNative(value._r6, value._r7));
        return SumTree.Largest(Vector128.MaxNative(low, high));
    }

    // All bits set in the lanes below count.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> First(int count) => Vector128.LessThan(Vector128<int>.Indices, Vector128.Create(count)).AsSingle();

    // Without calls: a call would push every sum that is in flight out of its register.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> LoadPart(float* source, int count) =>
        count >= 4 ? Vector128.Load(source)
        : Vector128.Create(count > 0 ? source[0] : 0, count > 1 ? source[1] : 0, count > 2 ? source[2] : 0, 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StorePart(Vector128<float> value, float* destination, int count)
    {
        if (count >= 4)
        {
            value.Store(destination);
            return;
        }

        if (count > 0)
            destination[0] = value.GetElement(0);
        if (count > 1)
            destination[1] = value.GetElement(1);
        if (count > 2)
            destination[2] = value.GetElement(2);
    }
}
