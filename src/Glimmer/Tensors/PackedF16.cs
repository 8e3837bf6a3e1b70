namespace Glimmer.Tensors;

/// <summary>A packed weight of fp16 numbers. Takes F16 rows.</summary>
internal sealed unsafe class PackedF16(int rows, int columns) : PackedMatrix(DType.F16, rows, columns, 0, 2 * PanelRows)
{
    /// <inheritdoc/>
    /// <exception cref="ModelFormatException">A weight is not finite.</exception>
    public override void PackPanel(int panel, ReadOnlySpan<RowSource> sources)
    {
        if (sources[0].Type != DType.F16)
            throw new ArgumentException($"A packed F16 matrix takes F16 rows, not {sources[0].Type}.");
        byte** rows = stackalloc byte*[PanelRows];
        RowSource.Locate(sources, panel * PanelRows, rows);
        ushort* output = (ushort*)Panel(panel);
        // Eight columns at a time: each row's cache line is read once and the output is written as it lies.
        for (int k = 0; k < Columns; k += 8)
        {
            int count = Math.Min(8, Columns - k);
            for (int r = 0; r < PanelRows; r++)
            {
                for (int i = k; i < k + count; i++)
                {
                    ushort bits = rows[r] == null ? (ushort)0 : ((ushort*)rows[r])[i];
                    if ((bits & 0x7C00) == 0x7C00)
                        throw new ModelFormatException($"Row {(panel * PanelRows) + r}, column {i} of an F16 tensor is not finite. The file is damaged.");
                    output[(i * PanelRows) + r] = bits;
                }
            }
        }
    }

    /// <inheritdoc/>
    protected override void ReadRow(byte* panel, int lane, Span<float> values)
    {
        ushort* from = (ushort*)panel + lane;
        for (int k = 0; k < values.Length; k++)
            values[k] = (float)BitConverter.UInt16BitsToHalf(from[(long)k * PanelRows]);
    }
}
