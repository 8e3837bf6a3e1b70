using Glimmer.Quantization;

namespace Glimmer.Formats;

/// <summary>
/// 8-bit codes with a scale for each block of rows and columns: <c>value = code * scale[row / blockRows, column / blockColumns]</c>, both widened to fp32
/// first.
/// </summary>
/// <remarks>
/// Block FP8 (<c>weight_scale_inv</c>, 128 x 128, the last block short) and per-channel FP8 of compressed-tensors (<c>weight_scale</c> [out, 1] or [out]) are
/// the same rule with other block sizes. The scale is multiplied, in spite of its name.
/// </remarks>
internal sealed class ScaledWeight : Weight
{
    private readonly StoredWeight _codes;
    private readonly float[] _scales;
    private readonly int _blockRows;
    private readonly int _blockColumns;
    private readonly int _scaleColumns;

    public ScaledWeight(StoredWeight codes, StoredWeight scales, int blockRows, int blockColumns)
        : base(new TensorInfo(codes.Info.Name, codes.Info.Type, codes.Info.Shape.ToArray(), codes.Info.SizeBytes + scales.Info.SizeBytes, isComputed: true))
    {
        _codes = codes;
        _blockRows = blockRows;
        _blockColumns = blockColumns;
        _scaleColumns = scales.Info.Count == 1 ? 1 : (codes.Info.RowLength - 1) / blockColumns + 1;
        _scales = new float[scales.Info.Count];
        Dequantizer.ToFloat32(scales.Info.Type, scales.All, _scales);
    }

    public override void ReadFloat32(long firstRow, int rows, Span<float> values)
    {
        _codes.ReadFloat32(firstRow, rows, values);
        for (int r = 0; r < rows; r++)
        {
            Span<float> row = values.Slice(r * Info.RowLength, Info.RowLength);
            long scaleRow = (firstRow + r) / _blockRows * _scaleColumns;
            for (int block = 0; block < _scaleColumns; block++)
            {
                float scale = _scales[scaleRow + block];
                int end = Math.Min((block + 1) * _blockColumns, row.Length);
                for (int c = block * _blockColumns; c < end; c++)
                    row[c] *= scale;
            }
        }
    }
}

/// <summary>Packed INT4 codes of compressed-tensors (<see cref="PackedInt4"/>) with their scales and optional zero points.</summary>
internal sealed class PackedInt4Weight : Weight
{
    private readonly StoredWeight _packed;
    private readonly StoredWeight _scales;
    private readonly StoredWeight? _zeroPoints;
    private readonly int _groups;

    public PackedInt4Weight(string name, int rows, int columns, StoredWeight packed, StoredWeight scales, StoredWeight? zeroPoints)
        : base(new TensorInfo(name, packed.Info.Type, [rows, columns],
            packed.Info.SizeBytes + scales.Info.SizeBytes + (zeroPoints?.Info.SizeBytes ?? 0), isComputed: true))
    {
        _packed = packed;
        _scales = scales;
        _zeroPoints = zeroPoints;
        _groups = scales.Info.RowLength;
    }

    public override void ReadFloat32(long firstRow, int rows, Span<float> values)
    {
        var scales = new float[_groups];
        int[] zeros = _zeroPoints is null ? [] : new int[_groups];
        for (int r = 0; r < rows; r++)
        {
            long row = firstRow + r;
            _scales.ReadFloat32(row, 1, scales);
            for (int g = 0; g < zeros.Length; g++)
                zeros[g] = PackedInt4.ZeroPoint(_zeroPoints!.All, _groups, row, g);
            PackedInt4.Dequantize(_packed.Row(row), scales, zeros, Info.RowLength / _groups, values.Slice(r * Info.RowLength, Info.RowLength));
        }
    }
}
