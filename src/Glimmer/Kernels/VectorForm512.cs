using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Kernels;

/// <summary>AVX-512: 32 registers of 16 floats.</summary>
internal readonly unsafe struct VectorForm512 : IVectorForm<Vector512<float>>
{
    public static int Width => 16;

    public static int TileRows => 12;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(float* source) => Vector512.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> value, float* destination) => value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Broadcast(float value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add(Vector512<float> a, Vector512<float> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Multiply(Vector512<float> a, Vector512<float> b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> FusedMultiplyAdd(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Avx512F.FusedMultiplyAdd(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadBF16(ushort* source) =>
        Vector512.ShiftLeft(Avx512F.ConvertToVector512Int32(Vector256.Load(source)), 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadF16(ushort* source)
    {
        Vector512<int> bits = Vector512.ShiftLeft(Avx512F.ConvertToVector512Int32(Vector256.Load((short*)source)), 13) & Vector512.Create(Float16.Mask);
        return bits.AsSingle() * Vector512.Create(Float16.Scale);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadHalf(ushort* source)
    {
        Vector512<int> bits = Avx512F.ConvertToVector512Int32(Vector256.Load(source)), magnitude = Vector512.ShiftLeft(bits & Vector512.Create(0x7FFF), 13), least = Vector512.Create(113 << 23);
        Vector512<float> small = (magnitude + least).AsSingle() - least.AsSingle();
        Vector512<int> normal = magnitude + Vector512.Create(112 << 23);
        Vector512<int> value = Vector512.ConditionalSelect(Vector512.LessThan(magnitude, Vector512.Create(1 << 23)), small.AsInt32(), normal);
        return (value | Vector512.ShiftLeft(bits & Vector512.Create(0x8000), 16)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadFloat8(uint* words, int shift)
    {
        Vector512<int> top = Vector512.ShiftLeft(Vector512.Load(words), 24 - shift).AsInt32();
        return (Vector512.ShiftRightArithmetic(top, 4) & Vector512.Create(unchecked((int)0x87F00000))).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadBytes(uint* words, int shift)
    {
        Vector512<uint> centred = Vector512.Load(words) ^ Vector512.Create(0x80808080u);
        Vector512<int> top = Vector512.ShiftLeft(centred, 24 - shift).AsInt32();
        return Avx512F.ConvertToVector512Single(Vector512.ShiftRightArithmetic(top, 24));
    }

    // The permutation reads only the low four bits of each index, so it masks and converts in one instruction.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadNibbles(uint* words, int shift)
    {
        Vector512<float> numbers = Vector512.Create(0f, 1f, 2f, 3f, 4f, 5f, 6f, 7f, 8f, 9f, 10f, 11f, 12f, 13f, 14f, 15f);
        return Avx512F.PermuteVar16x32(numbers, Vector512.ShiftRightLogical(Vector512.Load(words), shift).AsInt32());
    }
}
