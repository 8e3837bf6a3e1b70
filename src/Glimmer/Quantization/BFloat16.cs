using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Quantization;

/// <summary>bfloat16, the upper half of a binary32: conversion of spans.</summary>
internal static class BFloat16
{
    /// <summary>Widens, exactly: <c>bits &lt;&lt; 16</c>.</summary>
    /// <param name="source">2n bytes.</param>
    /// <param name="values">n values.</param>
    public static void ToFloat32(ReadOnlySpan<byte> source, Span<float> values)
    {
        ReadOnlySpan<ushort> bits = MemoryMarshal.Cast<byte, ushort>(source)[..values.Length];
        ref ushort from = ref MemoryMarshal.GetReference(bits);
        ref float to = ref MemoryMarshal.GetReference(values);
        int i = 0;
        if (BitConverter.IsLittleEndian)
        {
            for (; i <= values.Length - 16; i += 16)
            {
                (Vector256<uint> low, Vector256<uint> high) = Vector256.Widen(Vector256.LoadUnsafe(ref from, (nuint)i));
                (low << 16).AsSingle().StoreUnsafe(ref to, (nuint)i);
                (high << 16).AsSingle().StoreUnsafe(ref to, (nuint)i + 8);
            }
        }

        for (; i < values.Length; i++)
            values[i] = BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(source[(2 * i)..]) << 16);
    }

    /// <summary>Rounds half to even; NaN stays a (quiet) NaN.</summary>
    public static void FromFloat32(ReadOnlySpan<float> values, Span<byte> destination)
    {
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteUInt16LittleEndian(destination[(2 * i)..], Round(values[i]));
    }

    /// <summary>The bits of the nearest bfloat16, ties to even.</summary>
    public static ushort Round(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value))
            return (ushort)((bits >> 16) | 0x40);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
