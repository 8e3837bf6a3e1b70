using Glimmer.Kernels;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Tests.Tensors;

public unsafe class PackedMatrixTests
{
    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.BF16)]
    [InlineData(DType.F16)]
    [InlineData(DType.Q8_0)]
    [InlineData(DType.Q4_1)]
    public void Rows_of_stacked_and_reordered_sources_read_back_exactly(DType type)
    {
        using var team = new ThreadTeam(2);
        int columns = type.IsBlockType() ? 96 : 71;
        (int Rows, int Seed, int[]? Order)[] parts = [(20, 1, null), (1, 2, null), (45, 3, [.. Enumerable.Range(0, 45).Select(i => i * 7 % 45)])];
        int rowBytes = (int)type.ByteSize(columns);
        int rows = parts.Sum(part => part.Rows);
        byte[] bytes = Blocks(type, rows * columns, 5);
        using PackedMatrix matrix = PackedWeights.Create(type, rows, columns);
        var sourceRow = new List<int>();
        fixed (byte* data = bytes)
        fixed (int* order = parts[2].Order)
        {
            var sources = new RowSource[parts.Length];
            int first = 0;
            for (int i = 0; i < parts.Length; i++)
            {
                sources[i] = new RowSource(data + first * rowBytes, type, parts[i].Rows, rowBytes, parts[i].Order is null ? null : order);
                for (int r = 0; r < parts[i].Rows; r++)
                    sourceRow.Add(first + (parts[i].Order?[r] ?? r));
                first += parts[i].Rows;
            }

            MatrixPacker.Pack(team, matrix, sources);
        }

        var read = new float[columns];
        for (int row = 0; row < rows; row++)
        {
            matrix.ReadRow(row, read);
            for (int k = 0; k < columns; k++)
                Assert.Equal(Element(type, bytes.AsSpan(sourceRow[row] * rowBytes, rowBytes), k), read[k]);
        }
    }

    [Fact]
    public void Scales_that_are_not_finite_are_refused()
    {
        using var team = new ThreadTeam(2);
        foreach (DType type in new[] { DType.Q8_0, DType.Q4_1 })
        {
            byte[] bytes = Blocks(type, 40 * 64, 1);
            BitConverter.TryWriteBytes(bytes.AsSpan(type.BlockBytes() * 2 * 35), Half.NaN);
            using PackedMatrix matrix = PackedWeights.Create(type, 40, 64);
            fixed (byte* data = bytes)
            {
                var source = new RowSource(data, type, 40, type.ByteSize(64));
                string message = Assert.Throws<ModelFormatException>(() => MatrixPacker.Pack(team, matrix, [source])).Message;
                Assert.Contains("Row 35, block 0", message);
            }
        }
    }

    [Fact]
    public void Wrong_sources_are_refused()
    {
        using var team = new ThreadTeam(1);
        using var matrix = new PackedBlocks<Q8_0Blocks>(4, 32);
        var rows = new RowSource(null, DType.Q8_0, 3, 34);
        Assert.Throws<ArgumentException>(() => MatrixPacker.Pack(team, matrix, [rows]));
        Assert.Throws<ArgumentException>(() => MatrixPacker.Pack(team, matrix, [rows, new RowSource(null, DType.Q4_1, 1, 20)]));
        Assert.Throws<ArgumentException>(() => MatrixPacker.Pack(team, matrix, [new RowSource(null, DType.Q4_1, 4, 20)]));
        Assert.Throws<NotSupportedException>(() => MatrixPacker.PackTransposed(team, matrix, [new RowSource(null, DType.Q8_0, 32, 34)]));
        Assert.Throws<ArgumentException>(() => new PackedBlocks<Q8_0Blocks>(4, 33));
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.ReadRow(4, new float[32]));
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.ReadRow(0, new float[31]));
    }

    // Random elements; scales include subnormal halves.
    private static byte[] Blocks(DType type, int elements, int seed)
    {
        var random = new Random(seed);
        var bytes = new byte[type.ByteSize(elements)];
        random.NextBytes(bytes);
        if (type is DType.F16)
        {
            for (int i = 0; i < elements; i++)
                BitConverter.TryWriteBytes(bytes.AsSpan(2 * i), (Half)(random.NextSingle() - 0.5f));
        }
        else if (type is DType.F32 or DType.BF16)
        {
            // The top byte of each element keeps the exponent finite.
            for (int i = type.BlockBytes() - 1; i < bytes.Length; i += type.BlockBytes())
                bytes[i] &= 0xBE;
        }
        else
        {
            for (int i = 0; i < bytes.Length; i += type.BlockBytes())
            {
                BitConverter.TryWriteBytes(bytes.AsSpan(i), (Half)((random.NextSingle() - 0.5f) * (i % 3 == 0 ? 1e-5f : 1)));
                if (type == DType.Q4_1)
                    BitConverter.TryWriteBytes(bytes.AsSpan(i + 2), (Half)(random.NextSingle() - 0.5f));
            }
        }

        return bytes;
    }

    private static float Element(DType type, ReadOnlySpan<byte> row, int k)
    {
        switch (type)
        {
            case DType.F32:
                return BitConverter.ToSingle(row[(4 * k)..]);
            case DType.F16:
                return (float)BitConverter.ToHalf(row[(2 * k)..]);
            case DType.BF16:
                return BitConverter.Int32BitsToSingle(BitConverter.ToInt16(row[(2 * k)..]) << 16);
            case DType.Q8_0:
                row = row.Slice(k / 32 * 34, 34);
                return (float)BitConverter.ToHalf(row) * (sbyte)row[2 + k % 32];
            default:
                row = row.Slice(k / 32 * 20, 20);
                int q = k % 32 < 16 ? row[4 + k % 32] & 15 : row[4 + k % 32 - 16] >> 4;
                return MathF.FusedMultiplyAdd((float)BitConverter.ToHalf(row), q, (float)BitConverter.ToHalf(row[2..]));
        }
    }
}
