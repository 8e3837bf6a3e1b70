namespace Glimmer.Tensors;

/// <summary>A packed weight of bf16 numbers. Takes BF16 rows, and F32 rows rounded to the nearest bf16, ties to even.</summary>
internal sealed unsafe class PackedBF16(int rows, int columns) : PackedMatrix(DType.BF16, rows, columns, 0, 2 * PanelRows)
{
    /// <inheritdoc/>
    public override void PackPanel(int panel, ReadOnlySpan<RowSource> sources)
    {
        byte** rows = stackalloc byte*[PanelRows];
        RowSource.Locate(sources, panel * PanelRows, rows);
        ushort* output = (ushort*)Panel(panel);
        DType type = Checked(sources[0].Type);
        // Eight columns at a time: each row's cache line is read once and the output is written as it lies.
        for (int k = 0; k < Columns; k += 8)
        {
            int count = Math.Min(8, Columns - k);
            for (int r = 0; r < PanelRows; r++)
            {
                for (int i = k; i < k + count; i++)
                    output[i * PanelRows + r] = rows[r] == null ? (ushort)0 : Element(type, rows[r], i);
            }
        }
    }

    /// <inheritdoc/>
    public override void PackPanelTransposed(int panel, ReadOnlySpan<RowSource> sources)
    {
        ushort* output = (ushort*)Panel(panel);
        int first = panel * PanelRows;
        foreach (RowSource source in sources)
        {
            DType type = Checked(source.Type);
            for (int r = 0; r < source.Rows; r++, output += PanelRows)
            {
                for (int i = 0; i < PanelRows; i++)
                    output[i] = first + i < Rows ? Element(type, source.Row(r), first + i) : (ushort)0;
            }
        }
    }

    /// <summary>Rounds to the nearest bf16, ties to even; NaN stays NaN.</summary>
    internal static ushort Round(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value))
            return (ushort)(bits >> 16 | 0x40);
        return (ushort)(bits + 0x7FFF + (bits >> 16 & 1) >> 16);
    }

    /// <inheritdoc/>
    protected override void ReadRow(byte* panel, int lane, Span<float> values)
    {
        ushort* from = (ushort*)panel + lane;
        for (int k = 0; k < values.Length; k++)
            values[k] = BitConverter.UInt32BitsToSingle((uint)from[(long)k * PanelRows] << 16);
    }

    private static ushort Element(DType type, byte* row, int index) => type == DType.BF16 ? ((ushort*)row)[index] : Round(((float*)row)[index]);

    private static DType Checked(DType type) => type is DType.BF16 or DType.F32
        ? type
        : throw new ArgumentException($"A packed BF16 matrix takes BF16 or F32 rows, not {type}.");
}
