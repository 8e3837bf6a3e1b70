using System.Runtime.InteropServices;

namespace Glimmer.Tensors;

/// <summary>A packed weight of fp32 numbers. Takes F32, BF16 and F16 rows.</summary>
internal sealed unsafe class PackedF32(int rows, int columns) : PackedMatrix(DType.F32, rows, columns, 0, 4 * PanelRows)
{
    private const int Chunk = 64;

    /// <inheritdoc/>
    public override void PackPanel(int panel, ReadOnlySpan<RowSource> sources)
    {
        byte** rows = stackalloc byte*[PanelRows];
        RowSource.Locate(sources, panel * PanelRows, rows);
        float* output = (float*)Panel(panel);
        DType type = sources[0].Type;
        if (type == DType.F32)
        {
            RowInterleaver.Interleave((float**)rows, PanelRows, Columns, output, PanelRows);
            return;
        }

        float* widened = stackalloc float[PanelRows * Chunk];
        float** wide = stackalloc float*[PanelRows];
        for (int k = 0; k < Columns; k += Chunk)
        {
            int count = Math.Min(Chunk, Columns - k);
            for (int r = 0; r < PanelRows; r++)
            {
                wide[r] = rows[r] == null ? null : widened + r * Chunk;
                if (rows[r] != null)
                    Widen(type, (ushort*)rows[r] + k, count, wide[r]);
            }

            RowInterleaver.Interleave(wide, PanelRows, count, output + k * PanelRows, PanelRows);
        }
    }

    /// <inheritdoc/>
    public override void PackPanelTransposed(int panel, ReadOnlySpan<RowSource> sources)
    {
        float* output = (float*)Panel(panel);
        int first = panel * PanelRows, count = Math.Min(PanelRows, Rows - first);
        foreach (RowSource source in sources)
        {
            for (int r = 0; r < source.Rows; r++, output += PanelRows)
            {
                if (source.Type == DType.F32)
                    NativeMemory.Copy((float*)source.Row(r) + first, output, (nuint)count * sizeof(float));
                else
                    Widen(source.Type, (ushort*)source.Row(r) + first, count, output);
                new Span<float>(output + count, PanelRows - count).Clear();
            }
        }
    }

    /// <inheritdoc/>
    protected override void ReadRow(byte* panel, int lane, Span<float> values)
    {
        float* from = (float*)panel + lane;
        for (int k = 0; k < values.Length; k++)
            values[k] = from[(long)k * PanelRows];
    }

    private static void Widen(DType type, ushort* from, int count, float* to)
    {
        switch (type)
        {
            case DType.BF16:
                for (int i = 0; i < count; i++)
                    to[i] = BitConverter.UInt32BitsToSingle((uint)from[i] << 16);
                break;
            case DType.F16:
                for (int i = 0; i < count; i++)
                    to[i] = (float)BitConverter.UInt16BitsToHalf(from[i]);
                break;
            default:
                throw new ArgumentException($"A packed F32 matrix takes F32, BF16 or F16 rows, not {type}. Convert them to F32 first.");
        }
    }
}
