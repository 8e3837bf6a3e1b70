using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Kernels;

/// <summary>AVX2 with FMA: 16 registers of 8 floats.</summary>
internal readonly unsafe struct VectorForm256 : IVectorForm<Vector256<float>>
{
    public static int Width => 8;

    public static int TileRows => 6;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(float* source) => Vector256.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector256<float> value, float* destination) => value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Broadcast(float value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Add(Vector256<float> a, Vector256<float> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Multiply(Vector256<float> a, Vector256<float> b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> FusedMultiplyAdd(Vector256<float> a, Vector256<float> b, Vector256<float> c) => Fma.MultiplyAdd(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadBF16(ushort* source) => Vector256.ShiftLeft(Avx2.ConvertToVector256Int32(source), 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadF16(ushort* source)
    {
        Vector256<int> bits = Vector256.ShiftLeft(Avx2.ConvertToVector256Int32((short*)source), 13) & Vector256.Create(Float16.Mask);
        return bits.AsSingle() * Vector256.Create(Float16.Scale);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadHalf(ushort* source)
    {
        Vector256<int> bits = Avx2.ConvertToVector256Int32(source), magnitude = Vector256.ShiftLeft(bits & Vector256.Create(0x7FFF), 13), least = Vector256.Create(113 << 23);
        Vector256<float> small = (magnitude + least).AsSingle() - least.AsSingle();
        Vector256<int> normal = magnitude + Vector256.Create(112 << 23);
        Vector256<int> value = Vector256.ConditionalSelect(Vector256.LessThan(magnitude, Vector256.Create(1 << 23)), small.AsInt32(), normal);
        return (value | Vector256.ShiftLeft(bits & Vector256.Create(0x8000), 16)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadFloat8(uint* words, int shift)
    {
        Vector256<int> top = Vector256.ShiftLeft(Vector256.Load(words), 24 - shift).AsInt32();
        return (Vector256.ShiftRightArithmetic(top, 4) & Vector256.Create(unchecked((int)0x87F00000))).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadBytes(uint* words, int shift)
    {
        Vector256<uint> centred = Vector256.Load(words) ^ Vector256.Create(0x80808080u);
        Vector256<int> top = Vector256.ShiftLeft(centred, 24 - shift).AsInt32();
        return Avx.ConvertToVector256Single(Vector256.ShiftRightArithmetic(top, 24));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadNibbles(uint* words, int shift)
    {
        Vector256<uint> numbers = Vector256.ShiftRightLogical(Vector256.Load(words), shift) & Vector256.Create(15u);
        return Avx.ConvertToVector256Single(numbers.AsInt32());
    }
}
