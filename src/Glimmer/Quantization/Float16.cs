using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>IEEE 754 binary16: conversion of spans, and the half-precision scales inside quantised blocks.</summary>
internal static class Float16
{
    /// <summary>The half at <paramref name="offset"/> of a block, widened (exact).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Read(ReadOnlySpan<byte> block, int offset) => (float)BinaryPrimitives.ReadHalfLittleEndian(block[offset..]);

    /// <summary>Rounds half to even, stores, and gives back what a reader will see.</summary>
    public static float Write(Span<byte> block, int offset, float value)
    {
        var half = (Half)value;
        BinaryPrimitives.WriteHalfLittleEndian(block[offset..], half);
        return (float)half;
    }

    /// <summary>Widens halves, exactly; NaN stays NaN.</summary>
    /// <param name="source">2n bytes.</param>
    /// <param name="values">n values.</param>
    public static void ToFloat32(ReadOnlySpan<byte> source, Span<float> values)
    {
        ReadOnlySpan<ushort> halves = MemoryMarshal.Cast<byte, ushort>(source)[..values.Length];
        ref ushort from = ref MemoryMarshal.GetReference(halves);
        ref float to = ref MemoryMarshal.GetReference(values);
        int i = 0;
        if (BitConverter.IsLittleEndian)
        {
            for (; i <= values.Length - 16; i += 16)
            {
                (Vector256<uint> low, Vector256<uint> high) = Vector256.Widen(Vector256.LoadUnsafe(ref from, (nuint)i));
                Widen(low).StoreUnsafe(ref to, (nuint)i);
                Widen(high).StoreUnsafe(ref to, (nuint)i + 8);
            }
        }

        for (; i < values.Length; i++)
            values[i] = Read(source, 2 * i);
    }

    /// <summary>Rounds half to even; values above 65504 become infinite.</summary>
    public static void FromFloat32(ReadOnlySpan<float> values, Span<byte> destination)
    {
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteHalfLittleEndian(destination[(2 * i)..], (Half)values[i]);
    }

    // Exponent and fraction move up by 13 bits and the bias grows by 112. A subnormal half gets exponent -14 with its fraction, from
    // which 2^-14 is subtracted (exact, no subnormal float appears); exponent 31 becomes 255.
    private static Vector256<float> Widen(Vector256<uint> half)
    {
        Vector256<uint> magnitude = (half & Vector256.Create(0x7FFFu)) << 13;
        Vector256<uint> sign = (half & Vector256.Create(0x8000u)) << 16;
        Vector256<uint> normal = magnitude + Vector256.Create(112u << 23);
        Vector256<float> subnormal = (magnitude + Vector256.Create(113u << 23)).AsSingle() - Vector256.Create(6.103515625e-5f);
        Vector256<uint> isSubnormal = Vector256.LessThan(magnitude.AsInt32(), Vector256.Create(1 << 23)).AsUInt32();
        Vector256<uint> bits = Vector256.ConditionalSelect(isSubnormal, subnormal.AsUInt32(), normal);
        Vector256<uint> special = Vector256.GreaterThanOrEqual(magnitude.AsInt32(), Vector256.Create(31 << 23)).AsUInt32();
        return (bits | sign | (special & Vector256.Create(0x7F800000u))).AsSingle();
    }
}
