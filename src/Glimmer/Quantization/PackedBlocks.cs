using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>A packed weight of a quantised type in the layout of <typeparamref name="TFormat"/>. Takes rows of that type.</summary>
internal sealed unsafe class PackedBlocks<TFormat>(int rows, int columns)
    : PackedMatrix(TFormat.Type, rows, columns, TFormat.HeaderBytes + TFormat.Type.BlockElements() / BlockColumns * TFormat.BlockBytes, 0)
    where TFormat : struct, IBlockFormat
{
    private const int BlockColumns = 32;

    private static int BlocksOfSuper => TFormat.Type.BlockElements() / BlockColumns;

    private static int SuperBytes => TFormat.HeaderBytes + BlocksOfSuper * TFormat.BlockBytes;

    /// <inheritdoc/>
    /// <exception cref="ModelFormatException">A scale is not finite.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void PackPanel(int panel, ReadOnlySpan<RowSource> sources)
    {
        if (sources[0].Type != TFormat.Type)
            throw new ArgumentException($"A packed {TFormat.Type} matrix takes {TFormat.Type} rows, not {sources[0].Type}.");
        byte** rows = stackalloc byte*[PanelRows];
        RowSource.Locate(sources, panel * PanelRows, rows);
        int sourceBytes = TFormat.Type.BlockBytes();
        byte* output = Panel(panel);
        for (int block = 0; block < Columns / TFormat.Type.BlockElements(); block++, output += SuperBytes)
        {
            for (int i = 0; i < PanelRows; i++)
            {
                // The memory of absent rows stays zero: their scales are zero.
                if (rows[i] != null && !TFormat.Pack(rows[i] + (long)block * sourceBytes, output, i))
                {
                    throw new ModelFormatException(
                        $"Row {panel * PanelRows + i}, block {block} of a {TFormat.Type} tensor has a scale that is not finite. The file is damaged.");
                }
            }
        }
    }

    /// <inheritdoc/>
    protected override void ReadRow(byte* panel, int lane, Span<float> values)
    {
        int* codes = stackalloc int[BlockColumns];
        float* scales = stackalloc float[4];
        fixed (float* output = values)
        {
            for (int block = 0; block < values.Length / BlockColumns; block++)
            {
                ReadBlock(panel, lane, block, codes, scales);
                float* to = output + block * BlockColumns;
                for (int k = 0; k < BlockColumns; k++)
                {
                    float scale = scales[k / 16], minimum = scales[2 + k / 16];
                    to[k] = TFormat.HasMinimum ? MathF.FusedMultiplyAdd(scale, codes[k], minimum) : scale * codes[k];
                }
            }
        }
    }

    /// <inheritdoc/>
    public override void ReadBlock(int row, int block, Span<int> codes, Span<float> scales)
    {
        fixed (int* toCodes = codes)
        fixed (float* toScales = scales)
            ReadBlock(Panel(row / PanelRows), row % PanelRows, block, toCodes, toScales);
    }

    // 32 integers of a row, then the scales and the minima of its two halves.
    private static void ReadBlock(byte* panel, int lane, int block, int* codes, float* scales)
    {
        int register = lane / 8, within = lane % 8;
        byte* header = panel + (long)(block / BlocksOfSuper) * SuperBytes;
        byte* at = header + TFormat.HeaderBytes + block % BlocksOfSuper * TFormat.BlockBytes;
        TFormat.Header(header, register, out Vector256<float> headerScale, out Vector256<float> headerMinimum);
        for (int half = 0; half < 2; half++)
        {
            TFormat.Scales(at, TFormat.HasHalves ? half : 0, register, headerScale, headerMinimum, out Vector256<float> scale, out Vector256<float> minimum);
            (scales[half], scales[2 + half]) = (scale[within], minimum[within]);
        }

        for (int pair = 0; pair < 4; pair++)
        {
            TFormat.Codes(at + TFormat.CodesAt, pair, register, out Vector256<byte> even, out Vector256<byte> odd);
            uint first = even.AsUInt32()[within], second = odd.AsUInt32()[within];
            for (int b = 0; b < 4; b++)
            {
                codes[8 * pair + b] = (int)(first >> (8 * b) & 255) - TFormat.Offset;
                codes[8 * pair + 4 + b] = (int)(second >> (8 * b) & 255) - TFormat.Offset;
            }
        }
    }
}
