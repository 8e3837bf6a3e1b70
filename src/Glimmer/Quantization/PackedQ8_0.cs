using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>A packed weight of Q8_0 blocks: an element is <c>(float)d * q</c>. Takes Q8_0 rows.</summary>
/// <remarks>
/// GGUF's block is fp16 <c>d</c>, then 32 signed bytes. A packed block holds 32 columns of 32 rows: 32 fp16 scales, then column after
/// column the 32 signed bytes; 1,088 bytes.
/// </remarks>
internal sealed unsafe class PackedQ8_0(int rows, int columns) : PackedMatrix(DType.Q8_0, rows, columns, ScaleBytes, PanelRows)
{
    private const int Columns32 = 32;
    private const int ScaleBytes = 2 * PanelRows;
    private const int BlockBytes = ScaleBytes + Columns32 * PanelRows;
    private const int SourceBytes = 34;

    /// <inheritdoc/>
    /// <exception cref="ModelFormatException">A scale is not finite.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void PackPanel(int panel, ReadOnlySpan<RowSource> sources)
    {
        if (sources[0].Type != DType.Q8_0)
            throw new ArgumentException($"A packed Q8_0 matrix takes Q8_0 rows, not {sources[0].Type}.");
        byte** rows = stackalloc byte*[PanelRows];
        RowSource.Locate(sources, panel * PanelRows, rows);
        byte* zeros = stackalloc byte[SourceBytes];
        Vector128<byte>* square = stackalloc Vector128<byte>[16];
        byte* output = Panel(panel);
        for (int block = 0; block < Columns / Columns32; block++, output += BlockBytes)
        {
            for (int half = 0; half < PanelRows; half += 16)
            {
                for (int part = 0; part < Columns32; part += 16)
                {
                    for (int i = 0; i < 16; i++)
                    {
                        byte* row = rows[half + i] == null ? zeros : rows[half + i] + (long)block * SourceBytes;
                        ((ushort*)output)[half + i] = FiniteScale.Check(*(ushort*)row, DType.Q8_0, panel * PanelRows + half + i, block);
                        square[i] = Vector128.Load(row + 2 + part);
                    }

                    ByteTransposer.Transpose16(square);
                    for (int j = 0; j < 16; j++)
                        square[j].Store(output + ScaleBytes + (part + j) * PanelRows + half);
                }
            }
        }
    }

    /// <inheritdoc/>
    protected override void ReadRow(byte* panel, int lane, Span<float> values)
    {
        for (int k = 0; k < values.Length; k++)
        {
            byte* block = panel + (long)(k / Columns32) * BlockBytes;
            float d = (float)BitConverter.UInt16BitsToHalf(((ushort*)block)[lane]);
            values[k] = d * (sbyte)block[ScaleBytes + k % Columns32 * PanelRows + lane];
        }
    }
}
