using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>Stored elements of any type to fp32. This is the definition of a weight's value everywhere else.</summary>
internal static class Dequantizer
{
    /// <summary>Converts whole blocks (or plain elements).</summary>
    /// <param name="type">Storage type; every type but Bool.</param>
    /// <param name="source">Exactly the bytes of the elements, little endian.</param>
    /// <param name="values">The elements; a multiple of the block.</param>
    /// <exception cref="ArgumentException">The lengths do not belong together.</exception>
    /// <exception cref="NotSupportedException">The type has no numeric value (Bool).</exception>
    public static void ToFloat32(DType type, ReadOnlySpan<byte> source, Span<float> values)
    {
        if (type.ByteSize(values.Length) != source.Length)
            throw new ArgumentException($"{values.Length} {type} elements take {type.ByteSize(values.Length)} bytes, not {source.Length}.", nameof(source));
        switch (type)
        {
            case DType.F32: CopyF32(source, values); break;
            case DType.F16: Float16.ToFloat32(source, values); break;
            case DType.BF16: BFloat16.ToFloat32(source, values); break;
            case DType.F8E4M3: Float8.E4M3ToFloat32(source, values); break;
            case DType.F8E5M2: Float8.E5M2ToFloat32(source, values); break;
            case DType.Q4_0: Q4_0.Dequantize(source, values); break;
            case DType.Q4_1: Q4_1.Dequantize(source, values); break;
            case DType.Q5_0: Q5_0.Dequantize(source, values); break;
            case DType.Q5_1: Q5_1.Dequantize(source, values); break;
            case DType.Q8_0: Q8_0.Dequantize(source, values); break;
            case DType.Q2_K: Q2_K.Dequantize(source, values); break;
            case DType.Q3_K: Q3_K.Dequantize(source, values); break;
            case DType.Q4_K: Q4_K.Dequantize(source, values); break;
            case DType.Q5_K: Q5_K.Dequantize(source, values); break;
            case DType.Q6_K: Q6_K.Dequantize(source, values); break;
            case DType.IQ1_S: IQ1_S.Dequantize(source, values); break;
            case DType.IQ1_M: IQ1_M.Dequantize(source, values); break;
            case DType.IQ2_XXS: IQ2_XXS.Dequantize(source, values); break;
            case DType.IQ2_XS: IQ2_XS.Dequantize(source, values); break;
            case DType.IQ2_S: IQ2_S.Dequantize(source, values); break;
            case DType.IQ3_XXS: IQ3_XXS.Dequantize(source, values); break;
            case DType.IQ3_S: IQ3_S.Dequantize(source, values); break;
            case DType.IQ4_NL: IQ4_NL.Dequantize(source, values); break;
            case DType.IQ4_XS: IQ4_XS.Dequantize(source, values); break;
            case DType.TQ1_0: TQ1_0.Dequantize(source, values); break;
            case DType.TQ2_0: TQ2_0.Dequantize(source, values); break;
            case DType.Mxfp4: Mxfp4.Dequantize(source, values); break;
            case DType.Nvfp4: Nvfp4.Dequantize(source, values); break;
            case DType.F8Blocks: F8Blocks.Dequantize(source, values); break;
            default: ConvertNumbers(type, source, values); break;
        }
    }

    private static void CopyF32(ReadOnlySpan<byte> source, Span<float> values)
    {
        if (BitConverter.IsLittleEndian)
        {
            source.CopyTo(MemoryMarshal.AsBytes(values));
            return;
        }

        for (int i = 0; i < values.Length; i++)
            values[i] = BinaryPrimitives.ReadSingleLittleEndian(source[(4 * i)..]);
    }

    // Integers and F64 are rounded to the nearest fp32.
    private static void ConvertNumbers(DType type, ReadOnlySpan<byte> source, Span<float> values)
    {
        int size = type.BlockBytes();
        for (int i = 0; i < values.Length; i++)
        {
            ReadOnlySpan<byte> element = source[(i * size)..];
            values[i] = type switch
            {
                DType.F64 => (float)BinaryPrimitives.ReadDoubleLittleEndian(element),
                DType.I8 => (sbyte)element[0],
                DType.I16 => BinaryPrimitives.ReadInt16LittleEndian(element),
                DType.I32 => BinaryPrimitives.ReadInt32LittleEndian(element),
                DType.I64 => BinaryPrimitives.ReadInt64LittleEndian(element),
                DType.U8 => element[0],
                DType.U16 => BinaryPrimitives.ReadUInt16LittleEndian(element),
                DType.U32 => BinaryPrimitives.ReadUInt32LittleEndian(element),
                DType.U64 => BinaryPrimitives.ReadUInt64LittleEndian(element),
                _ => throw new NotSupportedException($"{type} elements have no numeric value."),
            };
        }
    }
}
