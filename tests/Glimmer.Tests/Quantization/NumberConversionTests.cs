using System.Buffers.Binary;
using System.Runtime.InteropServices;
using CsCheck;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Tests.Quantization;

public class NumberConversionTests
{
    [Fact]
    public void Every_half_widens_like_the_scalar_conversion()
    {
        ushort[] codes = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];
        var values = new float[codes.Length];
        Dequantizer.ToFloat32(DType.F16, MemoryMarshal.AsBytes<ushort>(codes), values);
        for (int i = 0; i < codes.Length; i++)
            AssertSame((float)BitConverter.UInt16BitsToHalf(codes[i]), values[i], $"half 0x{i:X4}");
    }

    [Theory]
    [InlineData(DType.BF16, 65536)]
    [InlineData(DType.F16, 65536)]
    [InlineData(DType.F8E4M3, 256)]
    [InlineData(DType.F8E5M2, 256)]
    public void Every_code_survives_widening_and_rounding(DType type, int count)
    {
        int size = type.BlockBytes();
        var codes = new byte[count * size];
        for (int i = 0; i < count; i++)
        {
            if (size == 2)
                BinaryPrimitives.WriteUInt16LittleEndian(codes.AsSpan(2 * i), (ushort)i);
            else
                codes[i] = (byte)i;
        }

        var values = new float[count];
        var again = new byte[codes.Length];
        Dequantizer.ToFloat32(type, codes, values);
        Quantizer.FromFloat32(type, values, again);
        for (int i = 0; i < count; i++)
        {
            // E4M3 has no infinity; NaN may change its bits.
            if (!float.IsNaN(values[i]))
                Assert.True(codes.AsSpan(i * size, size).SequenceEqual(again.AsSpan(i * size, size)), $"{type} 0x{i:X}: {values[i]:R}");
        }
    }

    [Fact]
    public void Bfloat16_rounds_to_the_nearest_and_ties_to_even() => Gen.Float.Sample(value =>
    {
        if (!float.IsFinite(value))
            return;
        double rounded = BitConverter.UInt32BitsToSingle((uint)BFloat16.Round(value) << 16);
        uint below = BitConverter.SingleToUInt32Bits(value) & 0xFFFF0000;
        double low = BitConverter.UInt32BitsToSingle(below);
        double high = double.IsFinite(BitConverter.UInt32BitsToSingle(below + 0x10000)) ? BitConverter.UInt32BitsToSingle(below + 0x10000)
            : low + (low - BitConverter.UInt32BitsToSingle(below - 0x10000));
        double distance = Math.Abs((double.IsFinite(rounded) ? rounded : high) - value);
        Assert.True(distance <= Math.Abs(value - low) && distance <= Math.Abs(high - value), $"{value:R} became {rounded:R}");
    });

    [Theory]
    [InlineData(DType.Q4_0)]
    [InlineData(DType.Q4_1)]
    [InlineData(DType.Q5_0)]
    [InlineData(DType.Q5_1)]
    [InlineData(DType.Q8_0)]
    [InlineData(DType.IQ4_NL)]
    [InlineData(DType.Mxfp4)]
    public void Vector_forms_equal_the_formula_element_by_element(DType type) => Gen.Byte.Array[type.BlockBytes() * 3].Sample(blocks =>
    {
        var values = new float[3 * 32];
        Dequantizer.ToFloat32(type, blocks, values);
        for (int i = 0; i < values.Length; i++)
            AssertSame(Formula(type, blocks.AsSpan(i / 32 * type.BlockBytes()), i % 32), values[i], $"{type} element {i}");
    });

    [Fact]
    public void Lengths_that_do_not_belong_together_are_refused()
    {
        Assert.Throws<ArgumentException>(() => Dequantizer.ToFloat32(DType.Q8_0, new byte[34], new float[64]));
        Assert.Throws<ArgumentException>(() => Dequantizer.ToFloat32(DType.Q8_0, new byte[34], new float[33]));
        Assert.Throws<ArgumentException>(() => Quantizer.FromFloat32(DType.F16, new float[2], new byte[3]));
        Assert.Throws<NotSupportedException>(() => Quantizer.FromFloat32(DType.IQ2_XS, new float[256], new byte[74]));
        Assert.Throws<NotSupportedException>(() => Dequantizer.ToFloat32(DType.Bool, new byte[1], new float[1]));
    }

    // The definition, one element at a time.
    private static float Formula(DType type, Span<byte> block, int j)
    {
        float d = (float)BinaryPrimitives.ReadHalfLittleEndian(block);
        int nibbles = type switch
        {
            DType.Mxfp4 => 1,
            DType.Q4_1 => 4,
            DType.Q5_0 => 6,
            DType.Q5_1 => 8,
            _ => 2,
        };
        int code = (block[nibbles + j % 16] >> (j < 16 ? 0 : 4)) & 15;
        float second = (float)BinaryPrimitives.ReadHalfLittleEndian(block[2..]);
        return type switch
        {
            DType.Q4_0 => d * (code - 8),
            DType.Q4_1 => d * code + second,
            DType.Q5_0 => d * ((code | (int)((BinaryPrimitives.ReadUInt32LittleEndian(block[2..]) >> j) & 1) << 4) - 16),
            DType.Q5_1 => d * (code | (int)((BinaryPrimitives.ReadUInt32LittleEndian(block[4..]) >> j) & 1) << 4) + second,
            DType.Q8_0 => d * (sbyte)block[2 + j],
            DType.IQ4_NL => d * Iq4Table.Values[code],
            _ => BitConverter.UInt32BitsToSingle(block[0] < 2 ? 0x00200000u << block[0] : (uint)(block[0] - 1) << 23) * Mxfp4.Table[code],
        };
    }

    private static void AssertSame(float expected, float actual, string what) => Assert.True(
        BitConverter.SingleToInt32Bits(expected) == BitConverter.SingleToInt32Bits(actual)
            || (float.IsNaN(expected) && float.IsNaN(actual)), $"{what}: {actual:R}, expected {expected:R}");
}
