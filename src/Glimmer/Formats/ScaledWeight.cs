using System.Runtime.InteropServices;
using Glimmer.Quantization;
using Glimmer.Tensors;

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
        : base(new TensorInfo(codes.Info.Name, codes.Info.Type, codes.Info.Shape.ToArray(), codes.Info.SizeBytes + scales.Info.SizeBytes, isComputed: true, () => Blocks(codes, scales, blockColumns)))
    {
        _codes = codes;
        _blockRows = blockRows;
        _blockColumns = blockColumns;
        _scaleColumns = scales.Info.Count == 1 ? 1 : (codes.Info.RowLength - 1) / blockColumns + 1;
        _scales = new float[scales.Info.Count];
        Dequantizer.ToFloat32(scales.Info.Type, scales.All, _scales);
    }

    // Blocks of 128 columns, each with one scale that the kernels can take.
    private static DType Blocks(StoredWeight codes, StoredWeight scales, int blockColumns)
    {
        int columns = codes.Info.RowLength;
        if (codes.Info.Type != DType.F8E4M3 || columns % F8Blocks.Columns != 0 || (blockColumns < columns && blockColumns % F8Blocks.Columns != 0))
            return DType.F32;
        var values = new float[scales.Info.Count];
        Dequantizer.ToFloat32(scales.Info.Type, scales.All, values);
        return Array.TrueForAll(values, F8Blocks.Takes) ? DType.F8Blocks : DType.F32;
    }

    public override void ReadStored(long firstRow, int rows, Span<byte> bytes)
    {
        if (Info.RowType != DType.F8Blocks)
            base.ReadStored(firstRow, rows, bytes);
        for (int r = 0; r < rows; r++)
        {
            ReadOnlySpan<byte> codes = _codes.Row(firstRow + r);
            long scaleRow = (firstRow + r) / _blockRows * _scaleColumns;
            for (int c = 0; c < codes.Length; c += F8Blocks.Columns, bytes = bytes[F8Blocks.Bytes..])
            {
                MemoryMarshal.Write(bytes, _scales[scaleRow + Math.Min(c / _blockColumns, _scaleColumns - 1)]);
                codes.Slice(c, F8Blocks.Columns).CopyTo(bytes[sizeof(float)..]);
            }
        }
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
            packed.Info.SizeBytes + scales.Info.SizeBytes + (zeroPoints?.Info.SizeBytes ?? 0), isComputed: true, () => Blocks(columns, scales, zeroPoints)))
    {
        _packed = packed;
        _scales = scales;
        _zeroPoints = zeroPoints;
        _groups = scales.Info.RowLength;
    }

    // (nibble - 8) * scale is a Q4_0 weight where 32 columns share a scale that binary16 holds.
    private static DType Blocks(int columns, StoredWeight scales, StoredWeight? zeroPoints)
    {
        if (zeroPoints is not null || columns / scales.Info.RowLength % Q4_0.Elements != 0)
            return DType.F32;
        var row = new float[scales.Info.RowLength];
        for (long r = 0; r < scales.Info.Rows; r++)
        {
            scales.ReadFloat32(r, 1, row);
            if (!Array.TrueForAll(row, scale => (float)(Half)scale == scale))
                return DType.F32;
        }

        return DType.Q4_0;
    }

    public override void ReadStored(long firstRow, int rows, Span<byte> bytes)
    {
        if (Info.RowType != DType.Q4_0)
            base.ReadStored(firstRow, rows, bytes);
        var scales = new float[_groups];
        int group = Info.RowLength / _groups;
        for (int r = 0; r < rows; r++)
        {
            ReadOnlySpan<byte> row = _packed.Row(firstRow + r);
            _scales.ReadFloat32(firstRow + r, 1, scales);
            for (int c = 0; c < Info.RowLength; c += Q4_0.Elements, bytes = bytes[DType.Q4_0.BlockBytes()..])
            {
                MemoryMarshal.Write(bytes, (Half)scales[c / group]);
                // Two neighbours a byte become columns i and i + 16 a byte.
                for (int i = 0; i < Q4_0.Elements / 2; i++)
                    bytes[2 + i] = (byte)((PackedInt4.Code(row, c + i) + 8) | ((PackedInt4.Code(row, c + i + (Q4_0.Elements / 2)) + 8) << 4));
            }
        }
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
