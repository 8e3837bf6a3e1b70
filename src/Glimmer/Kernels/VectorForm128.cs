using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>Portable: registers of 4 floats by <see cref="Vector128"/>, on any processor.</summary>
internal readonly unsafe struct VectorForm128 : IVectorForm<Vector128<float>>
{
    public static int Width => 4;

    public static int TileRows => 6;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load(float* source) => Vector128.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector128<float> value, float* destination) => value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Broadcast(float value) => Vector128.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Add(Vector128<float> a, Vector128<float> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Multiply(Vector128<float> a, Vector128<float> b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> FusedMultiplyAdd(Vector128<float> a, Vector128<float> b, Vector128<float> c) => Vector128.FusedMultiplyAdd(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadBF16(ushort* source) =>
        Vector128.ShiftLeft(Vector128.WidenLower(Vector128.CreateScalar(Unsafe.ReadUnaligned<ulong>(source)).AsUInt16()), 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadF16(ushort* source)
    {
        Vector128<int> halves = Vector128.WidenLower(Vector128.CreateScalar(Unsafe.ReadUnaligned<ulong>(source)).AsInt16());
        return (Vector128.ShiftLeft(halves, 13) & Vector128.Create(Float16.Mask)).AsSingle() * Vector128.Create(Float16.Scale);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadHalf(ushort* source)
    {
        Vector128<int> bits = Vector128.WidenLower(Vector128.CreateScalar(Unsafe.ReadUnaligned<ulong>(source)).AsUInt16()).AsInt32(), magnitude = Vector128.ShiftLeft(bits & Vector128.Create(0x7FFF), 13), least = Vector128.Create(113 << 23);
        Vector128<float> small = (magnitude + least).AsSingle() - least.AsSingle();
        Vector128<int> normal = magnitude + Vector128.Create(112 << 23);
        Vector128<int> value = Vector128.ConditionalSelect(Vector128.LessThan(magnitude, Vector128.Create(1 << 23)), small.AsInt32(), normal);
        return (value | Vector128.ShiftLeft(bits & Vector128.Create(0x8000), 16)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadFloat8(uint* words, int shift)
    {
        Vector128<int> top = Vector128.ShiftLeft(Vector128.Load(words), 24 - shift).AsInt32();
        return (Vector128.ShiftRightArithmetic(top, 4) & Vector128.Create(unchecked((int)0x87F00000))).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadBytes(uint* words, int shift)
    {
        Vector128<int> centred = (Vector128.Load(words) ^ Vector128.Create(0x80808080u)).AsInt32();
        return Vector128.ConvertToSingle(Vector128.ShiftRightArithmetic(Vector128.ShiftLeft(centred, 24 - shift), 24));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadNibbles(uint* words, int shift) =>
        Vector128.ConvertToSingle((Vector128.ShiftRightLogical(Vector128.Load(words), shift) & Vector128.Create(15u)).AsInt32());
}
