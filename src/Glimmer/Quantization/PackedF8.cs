using System.Runtime.CompilerServices;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>A packed weight of <see cref="F8Blocks"/>: 128 columns are 32 scales in fp32, times 2^120, then 32 times 4 columns of 32 codes.</summary>
internal sealed unsafe class PackedF8(int rows, int columns) : PackedMatrix(DType.F8Blocks, rows, columns, ScaleBytes, PanelRows)
{
    /// <summary>Bytes of the scales of a block.</summary>
    public const int ScaleBytes = PanelRows * sizeof(float);

    private const int BlockBytes = ScaleBytes + (F8Blocks.Columns * PanelRows);

    /// <inheritdoc/>
    /// <exception cref="ModelFormatException">A weight is not a number.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void PackPanel(int panel, ReadOnlySpan<RowSource> sources)
    {
        if (sources[0].Type != DType.F8Blocks)
            throw new ArgumentException($"A packed FP8 matrix takes rows of FP8 blocks, not {sources[0].Type}.");
        byte** rows = stackalloc byte*[PanelRows];
        RowSource.Locate(sources, panel * PanelRows, rows);
        byte* output = Panel(panel);
        for (int block = 0; block < Columns / F8Blocks.Columns; block++, output += BlockBytes)
        {
            for (int i = 0; i < PanelRows; i++)
            {
                // The memory of absent rows stays zero.
                if (rows[i] == null)
                    continue;
                byte* source = rows[i] + ((long)block * F8Blocks.Bytes);
                ((float*)output)[i] = Unsafe.ReadUnaligned<float>(source) * F8Blocks.Shift;
                source += sizeof(float);
                for (int k = 0; k < F8Blocks.Columns; k++)
                {
                    if ((source[k] & 0x7F) == 0x7F)
                        throw new ModelFormatException($"Row {(panel * PanelRows) + i}, column {(block * F8Blocks.Columns) + k} of an FP8 tensor is not a number. The file is damaged.");
                    output[ScaleBytes + (k / 4 * 4 * PanelRows) + (4 * i) + (k % 4)] = source[k];
                }
            }
        }
    }

    /// <inheritdoc/>
    protected override void ReadRow(byte* panel, int lane, Span<float> values)
    {
        for (int k = 0; k < values.Length; k++)
        {
            byte* block = panel + ((long)(k / F8Blocks.Columns) * BlockBytes);
            int within = k % F8Blocks.Columns;
            values[k] = Float8.E4M3[block[ScaleBytes + (within / 4 * 4 * PanelRows) + (4 * lane) + (within % 4)]] * (((float*)block)[lane] / F8Blocks.Shift);
        }
    }
}
