using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>A packed weight of Q4_1 blocks: an element is <c>fma((float)d, q, (float)m)</c>. Takes Q4_1 rows.</summary>
/// <remarks>
/// GGUF's block is fp16 <c>d</c>, fp16 <c>m</c>, then 16 bytes: byte j holds element j in its low and element j + 16 in its high half. A packed block
/// holds 32 columns of 32 rows: 32 fp16 <c>d</c>, 32 fp16 <c>m</c>, then 16 bytes a column: byte i holds row i in its low and row i + 16 in its
/// high half; 640 bytes.
/// </remarks>
internal sealed unsafe class PackedQ4_1(int rows, int columns) : PackedMatrix(DType.Q4_1, rows, columns, ScaleBytes, ColumnBytes)
{
    private const int Columns32 = 32;
    private const int ScaleBytes = 4 * PanelRows;
    private const int ColumnBytes = PanelRows / 2;
    private const int BlockBytes = ScaleBytes + Columns32 * ColumnBytes;
    private const int SourceBytes = 20;

    /// <inheritdoc/>
    /// <exception cref="ModelFormatException">A scale or minimum is not finite.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void PackPanel(int panel, ReadOnlySpan<RowSource> sources)
    {
        if (sources[0].Type != DType.Q4_1)
            throw new ArgumentException($"A packed Q4_1 matrix takes Q4_1 rows, not {sources[0].Type}.");
        byte** rows = stackalloc byte*[PanelRows];
        RowSource.Locate(sources, panel * PanelRows, rows);
        byte* zeros = stackalloc byte[SourceBytes];
        Vector128<byte>* upper = stackalloc Vector128<byte>[16];
        Vector128<byte>* lower = stackalloc Vector128<byte>[16];
        Vector128<byte> low = Vector128.Create((byte)0x0F), high = Vector128.Create((byte)0xF0);
        byte* output = Panel(panel);
        for (int block = 0; block < Columns / Columns32; block++, output += BlockBytes)
        {
            for (int i = 0; i < PanelRows; i++)
            {
                byte* row = rows[i] == null ? zeros : rows[i] + (long)block * SourceBytes;
                ((ushort*)output)[i] = FiniteScale.Check(*(ushort*)row, DType.Q4_1, panel * PanelRows + i, block);
                ((ushort*)output)[PanelRows + i] = FiniteScale.Check(*(ushort*)(row + 2), DType.Q4_1, panel * PanelRows + i, block);
                (i < 16 ? lower : upper)[i & 15] = Vector128.Load(row + 4);
            }

            // After the transposition register j holds, for 16 rows, column j (low halves) and column j + 16 (high halves).
            ByteTransposer.Transpose16(lower);
            ByteTransposer.Transpose16(upper);
            byte* columns = output + ScaleBytes;
            for (int j = 0; j < 16; j++)
            {
                Vector128<byte> a = lower[j], b = upper[j];
                (a & low | Vector128.ShiftLeft(b & low, 4)).Store(columns + j * ColumnBytes);
                (Vector128.ShiftRightLogical(a & high, 4) | b & high).Store(columns + (j + 16) * ColumnBytes);
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
            float m = (float)BitConverter.UInt16BitsToHalf(((ushort*)block)[PanelRows + lane]);
            int q = block[ScaleBytes + k % Columns32 * ColumnBytes + (lane & 15)] >> (lane >> 4 << 2) & 15;
            values[k] = MathF.FusedMultiplyAdd(d, q, m);
        }
    }
}
