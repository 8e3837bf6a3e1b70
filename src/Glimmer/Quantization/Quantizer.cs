using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>fp32 to stored elements of any type Glimmer writes.</summary>
/// <remarks>
/// Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL, MXFP4, TQ1_0 and TQ2_0 follow ggml's reference functions byte for byte; the K types, IQ4_XS and NVFP4 search for small
/// errors. IQ1, IQ2 and IQ3 need an importance matrix and are only read.
/// </remarks>
internal static class Quantizer
{
    /// <summary>Whether <see cref="FromFloat32"/> writes the type.</summary>
    public static bool Supports(DType type) => type is DType.F32 or DType.F16 or DType.BF16 or DType.F8E4M3 or DType.F8E5M2
        or DType.Q4_0 or DType.Q4_1 or DType.Q5_0 or DType.Q5_1 or DType.Q8_0 or DType.Q2_K or DType.Q3_K or DType.Q4_K or DType.Q5_K or DType.Q6_K
        or DType.IQ4_NL or DType.IQ4_XS or DType.TQ1_0 or DType.TQ2_0 or DType.Mxfp4 or DType.Nvfp4;

    /// <summary>Converts whole blocks (or plain elements).</summary>
    /// <param name="type">A type for which <see cref="Supports"/> is true.</param>
    /// <param name="values">A multiple of the block.</param>
    /// <param name="destination">Exactly the bytes of the elements.</param>
    /// <exception cref="ArgumentException">The lengths do not belong together.</exception>
    /// <exception cref="NotSupportedException">The type is only read.</exception>
    public static void FromFloat32(DType type, ReadOnlySpan<float> values, Span<byte> destination)
    {
        if (type.ByteSize(values.Length) != destination.Length)
            throw new ArgumentException($"{values.Length} {type} elements take {type.ByteSize(values.Length)} bytes, not {destination.Length}.",
                nameof(destination));
        switch (type)
        {
            case DType.F32: CopyF32(values, destination); break;
            case DType.F16: Float16.FromFloat32(values, destination); break;
            case DType.BF16: BFloat16.FromFloat32(values, destination); break;
            case DType.F8E4M3: Float8.E4M3FromFloat32(values, destination); break;
            case DType.F8E5M2: Float8.E5M2FromFloat32(values, destination); break;
            case DType.Q4_0: Q4_0.Quantize(values, destination); break;
            case DType.Q4_1: Q4_1.Quantize(values, destination); break;
            case DType.Q5_0: Q5_0.Quantize(values, destination); break;
            case DType.Q5_1: Q5_1.Quantize(values, destination); break;
            case DType.Q8_0: Q8_0.Quantize(values, destination); break;
            case DType.Q2_K: Q2_K.Quantize(values, destination); break;
            case DType.Q3_K: Q3_K.Quantize(values, destination); break;
            case DType.Q4_K: Q4_K.Quantize(values, destination); break;
            case DType.Q5_K: Q5_K.Quantize(values, destination); break;
            case DType.Q6_K: Q6_K.Quantize(values, destination); break;
            case DType.IQ4_NL: IQ4_NL.Quantize(values, destination); break;
            case DType.IQ4_XS: IQ4_XS.Quantize(values, destination); break;
            case DType.TQ1_0: TQ1_0.Quantize(values, destination); break;
            case DType.TQ2_0: TQ2_0.Quantize(values, destination); break;
            case DType.Mxfp4: Mxfp4.Quantize(values, destination); break;
            case DType.Nvfp4: Nvfp4.Quantize(values, destination); break;
            default: throw new NotSupportedException($"{type} can be read but not written.");
        }
    }

    private static void CopyF32(ReadOnlySpan<float> values, Span<byte> destination)
    {
        if (BitConverter.IsLittleEndian)
        {
            MemoryMarshal.AsBytes(values).CopyTo(destination);
            return;
        }

        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteSingleLittleEndian(destination[(4 * i)..], values[i]);
    }
}
