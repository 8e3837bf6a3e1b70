using Glimmer.Tensors;

namespace Glimmer.Tests.Tensors;

public unsafe class NativeBufferTests
{
    [Theory]
    [InlineData(0, 64)]
    [InlineData(100, 64)]
    [InlineData((2 << 20) - 1, 64)]
    [InlineData(2 << 20, 64)]
    [InlineData((9 << 20) + 3, 64)]
    public void Memory_is_zeroed_and_aligned(int bytes, int alignment)
    {
        // Twice, so that recycled memory shows.
        for (int i = 0; i < 2; i++)
        {
            using var buffer = new NativeBuffer(bytes);
            Assert.Equal(0, (nint)buffer.Pointer % alignment);
            var span = new Span<byte>(buffer.Pointer, bytes);
            Assert.False(span.ContainsAnyExcept((byte)0));
            span.Fill(0xA5);
        }
    }

    [Fact]
    public void Disposed_memory_cannot_be_reached()
    {
        var buffer = new NativeBuffer(5 << 20);
        buffer.Dispose();
        buffer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => (nint)buffer.Pointer);
    }

    [Fact]
    public void A_matrix_without_memory_says_so_until_it_gets_some()
    {
        using var matrix = new PackedF32(3, 5);
        float value = 1.5f;
        *(float*)matrix.Data = value;
        matrix.Release();
        Assert.Throws<InvalidOperationException>(() => (nint)matrix.Data);
        using var buffer = new NativeBuffer(matrix.Bytes);
        *(float*)buffer.Pointer = value;
        matrix.Attach(buffer.Pointer, buffer);
        Assert.Equal((nint)buffer.Pointer, (nint)matrix.Data);
        matrix.MoveToOwnMemory();
        Assert.NotEqual((nint)buffer.Pointer, (nint)matrix.Data);
        Assert.Equal(value, *(float*)matrix.Data);
    }
}
