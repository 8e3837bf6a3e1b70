using Glimmer.Tensors;

namespace Glimmer.Tests.Tensors;

public class DTypeTests
{
    [Theory]
    [InlineData(DType.F32, 1, 4)]
    [InlineData(DType.Bool, 1, 1)]
    [InlineData(DType.Q4_0, 32, 18)]
    [InlineData(DType.Q8_0, 32, 34)]
    [InlineData(DType.Q6_K, 256, 210)]
    [InlineData(DType.IQ1_M, 256, 56)]
    [InlineData(DType.IQ4_NL, 32, 18)]
    [InlineData(DType.IQ4_XS, 256, 136)]
    [InlineData(DType.TQ2_0, 256, 66)]
    [InlineData(DType.Mxfp4, 32, 17)]
    [InlineData(DType.Nvfp4, 64, 36)]
    public void Block_sizes_are_those_of_the_format(DType type, int elements, int bytes)
    {
        Assert.Equal(elements, type.BlockElements());
        Assert.Equal(bytes, type.BlockBytes());
    }

    [Fact]
    public void Part_of_a_block_is_refused() => Assert.Throws<ArgumentException>(() => DType.Q4_0.ByteSize(33));
}
