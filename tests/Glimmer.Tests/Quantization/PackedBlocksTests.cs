using Glimmer.Kernels;
using Glimmer.Quantization;
using Glimmer.Tensors;
using Glimmer.Tests.Kernels;

namespace Glimmer.Tests.Quantization;

public unsafe class PackedBlocksTests
{
    public static TheoryData<DType> Types()
    {
        var data = new TheoryData<DType>();
        foreach (DType type in RandomRows.BlockTypes)
            data.Add(type);
        return data;
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Packed_rows_read_back_as_the_dequantiser_gives_them(DType type)
    {
        using var team = new ThreadTeam(2);
        const int Rows = 77, Columns = 768;
        byte[] bytes = RandomRows.Create(type, Rows, Columns, 11);
        int rowBytes = (int)type.ByteSize(Columns);
        using PackedMatrix matrix = Pack(team, type, bytes, Rows, Columns);
        Assert.Equal(type, matrix.Type);
        var expected = new float[Columns];
        var read = new float[Columns];
        for (int row = 0; row < Rows; row++)
        {
            Dequantizer.ToFloat32(type, bytes.AsSpan(row * rowBytes, rowBytes), expected);
            matrix.ReadRow(row, read);
            Same.Bits(expected, read, $"{type} row {row}");
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Expanded_panels_are_the_rows_side_by_side(DType type)
    {
        using var team = new ThreadTeam(1);
        const int Rows = 45, Columns = 768, From = 256, Count = 512;
        using PackedMatrix matrix = Pack(team, type, RandomRows.Create(type, Rows, Columns, 12), Rows, Columns);
        var panel = new float[Count * PackedMatrix.PanelRows];
        var row = new float[Columns];
        for (int first = 0; first < Rows; first += PackedMatrix.PanelRows)
        {
            fixed (float* output = panel)
                BlockKernel.For(type)!.Expand(matrix.Data + first / PackedMatrix.PanelRows * matrix.PanelBytes, From, Count, output);
            for (int r = first; r < Math.Min(Rows, first + PackedMatrix.PanelRows); r++)
            {
                matrix.ReadRow(r, row);
                float[] column = [.. Enumerable.Range(0, Count).Select(k => panel[k * PackedMatrix.PanelRows + r - first])];
                Same.Bits(row.AsSpan(From, Count), column, $"{type} row {r}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Scales_that_are_not_finite_are_refused(DType type)
    {
        using var team = new ThreadTeam(2);
        int columns = 2 * type.BlockElements();
        byte[] bytes = RandomRows.Create(type, 40, columns, 1);
        Span<byte> damaged = bytes.AsSpan(type.BlockBytes() * (2 * 35 + 1), type.BlockBytes());
        if (type == DType.Mxfp4)
            damaged[0] = 255;
        else
            BitConverter.TryWriteBytes(damaged[RandomRows.Scales(type)[^1]..], Half.NegativeInfinity);
        string message = Assert.Throws<ModelFormatException>(() => Pack(team, type, bytes, 40, columns)).Message;
        Assert.Contains("Row 35, block 1", message);
    }

    private static PackedMatrix Pack(ThreadTeam team, DType type, byte[] bytes, int rows, int columns)
    {
        PackedMatrix matrix = PackedWeights.Create(type, rows, columns);
        fixed (byte* data = bytes)
            MatrixPacker.Pack(team, matrix, [new RowSource(data, type, rows, type.ByteSize(columns))]);
        return matrix;
    }
}
