using System.Buffers.Binary;

namespace Glimmer.Quantization;

/// <summary>
/// INT4 weights as compressed-tensors packs them ("pack-quantized"): 8 consecutive columns in one I32, column 8w+i in bits 4i..4i+3, stored as value + 8,
/// with a scale for each row and group of columns: <c>value = (nibble - 8 - zero) * scale</c>. The same weights serve W4A8 products (int8 activations).
/// </summary>
internal static class PackedInt4
{
    /// <summary>Bytes of a packed row.</summary>
    public static int RowBytes(int columns) => (columns + 7) / 8 * 4;

    /// <summary>The stored integer of a column, -8..7, before any zero point.</summary>
    public static int Code(ReadOnlySpan<byte> row, int column) => ((row[column / 2] >> (4 * (column & 1))) & 15) - 8;

    /// <summary>The zero point of a row: packed along the rows, I32 [ceil(rows / 8), groups], row 8w+i in bits 4i..4i+3, stored as value + 8.</summary>
    public static int ZeroPoint(ReadOnlySpan<byte> packed, int groups, long row, int group) =>
        (int)((BinaryPrimitives.ReadUInt32LittleEndian(packed[(int)((row / 8 * groups + group) * 4)..]) >> (int)(4 * (row % 8))) & 15) - 8;

    /// <summary>One row to fp32.</summary>
    /// <param name="row">The packed row.</param>
    /// <param name="scales">One a group.</param>
    /// <param name="zeros">One a group; empty when symmetric.</param>
    /// <param name="groupSize">Columns of a group.</param>
    /// <param name="values">The columns.</param>
    public static void Dequantize(ReadOnlySpan<byte> row, ReadOnlySpan<float> scales, ReadOnlySpan<int> zeros, int groupSize, Span<float> values)
    {
        for (int c = 0; c < values.Length; c++)
        {
            int group = c / groupSize;
            int zero = zeros.IsEmpty ? 0 : zeros[group];
            values[c] = (Code(row, c) - zero) * scales[group];
        }
    }
}
