using Glimmer.Formats;
using Glimmer.Quantization;
using Glimmer.Tensors;
using Glimmer.Tests.Kernels;

namespace Glimmer.Tests.Formats;

/// <summary>FP8 weights whose columns are whole blocks of 128 reach the kernels as blocks, whatever part of the matrix shares a scale.</summary>
public unsafe class ScaledWeightTests
{
    private const int Rows = 200;

    [Theory]
    [InlineData(128, 128, 384, 1e-3f, true)]
    [InlineData(1, 384, 384, 1e-3f, true)]
    [InlineData(Rows, 384, 384, 1e-3f, true)]
    [InlineData(128, 128, 320, 1e-3f, false)]
    [InlineData(1, 384, 384, 1e3f, false)]
    public void Blocks_hold_the_same_values(int blockRows, int blockColumns, int columns, float size, bool isBlocks)
    {
        int scaleRows = (Rows + blockRows - 1) / blockRows, scaleColumns = (columns + blockColumns - 1) / blockColumns;
        using Tensor codes = Tensor.Allocate(DType.F8E4M3, Rows, columns), scales = Tensor.Allocate(DType.F32, scaleRows, scaleColumns);
        var random = new Random(3);
        random.NextBytes(codes.Bytes);
        foreach (ref byte code in codes.Bytes)
            code = (byte)((code & 0x7F) == 0x7F ? 0 : code);
        foreach (ref float scale in scales.F32)
            scale = size * (1 + random.NextSingle());
        var weight = new ScaledWeight(Stored("w", codes), Stored("w_scale", scales), blockRows, blockColumns);
        Assert.Equal(isBlocks ? DType.F8Blocks : DType.F32, weight.Info.RowType);
        if (!isBlocks)
        {
            Assert.Throws<InvalidOperationException>(() => weight.ReadStored(0, 1, new byte[400]));
            return;
        }

        const int First = 100, Count = 60;
        var bytes = new byte[DType.F8Blocks.ByteSize(Count * columns)];
        float[] expected = new float[Count * columns], actual = new float[Count * columns];
        weight.ReadStored(First, Count, bytes);
        Dequantizer.ToFloat32(DType.F8Blocks, bytes, actual);
        weight.ReadFloat32(First, Count, expected);
        MatMulTests.AssertSameBits(expected, actual, "blocks");
    }

    private static StoredWeight Stored(string name, Tensor tensor) => new(new TensorInfo(name, tensor.Type, tensor.Shape), tensor.Data, tensor);
}
