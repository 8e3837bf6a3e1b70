namespace Glimmer.Tensors;

/// <summary>The arena of one run: tensors are handed out one after another and all taken back at once.</summary>
/// <remarks>
/// Memory comes in large blocks that are kept, and the tensor objects are reused, so a run that repeats the shapes of the one before
/// allocates nothing. A tensor is valid until <see cref="Reset"/>, or <see cref="Release"/> of an earlier mark. Contents start undefined.
/// Not thread-safe: one run uses one workspace.
/// </remarks>
public sealed unsafe class Workspace : IDisposable
{
    private const long MinimumBlock = 1L << 20;

    private readonly List<NativeBuffer> _blocks = [];
    private readonly List<Tensor> _tensors = [];
    private int _block;
    private long _offset;
    private int _tensor;

    /// <summary>A point to which <see cref="Release"/> can return.</summary>
    public readonly record struct Mark(int Block, long Offset, int Tensor, long Used);

    /// <summary>Hands out a tensor, 64-byte aligned, with undefined contents.</summary>
    public Tensor Allocate(DType type, params ReadOnlySpan<int> shape) => Next(type, shape, Take(type.ByteSize(Tensor.CountOf(shape))));

    /// <summary>Hands out a tensor in the memory of another one of this workspace, whose contents nobody needs any more; its gradient is its own.</summary>
    internal Tensor InPlaceOf(Tensor other) => Next(other.Type, other.Shape, (byte*)other.Data);

    /// <summary>Hands out an F32 tensor with undefined contents.</summary>
    public Tensor F32(params ReadOnlySpan<int> shape) => Allocate(DType.F32, shape);

    /// <summary>Hands out an F32 tensor of zeros.</summary>
    public Tensor Zeros(params ReadOnlySpan<int> shape)
    {
        Tensor tensor = Allocate(DType.F32, shape);
        tensor.Clear();
        return tensor;
    }

    /// <summary>The current fill, to release everything handed out later.</summary>
    public Mark Save() => new(_block, _offset, _tensor, UsedBytes);

    /// <summary>Takes back every tensor handed out since <paramref name="mark"/>.</summary>
    public void Release(Mark mark) => (_block, _offset, _tensor, UsedBytes) = (mark.Block, mark.Offset, mark.Tensor, mark.Used);

    /// <summary>Takes back every tensor.</summary>
    public void Reset() => Release(default);

    /// <summary>Bytes of memory held, used or not.</summary>
    public long Bytes => _blocks.Sum(block => block.Bytes);

    /// <summary>Bytes of the tensors that are handed out now.</summary>
    internal long UsedBytes { get; private set; }

    /// <summary>The most bytes of tensors that were handed out at the same time.</summary>
    internal long PeakBytes { get; private set; }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (NativeBuffer block in _blocks)
            block.Dispose();
        _blocks.Clear();
    }

    private Tensor Next(DType type, ReadOnlySpan<int> shape, byte* data)
    {
        if (_tensor == _tensors.Count)
            _tensors.Add(new Tensor(type, shape, data, this));
        else
            _tensors[_tensor].Rebind(type, shape, data);
        return _tensors[_tensor++];
    }

    private byte* Take(long bytes)
    {
        long size = (bytes + 63) & ~63L;
        while (_block < _blocks.Count && _offset + size > _blocks[_block].Bytes)
        {
            _block++;
            _offset = 0;
        }

        if (_block == _blocks.Count)
        {
            long largest = _blocks.Count == 0 ? MinimumBlock : _blocks[^1].Bytes;
            _blocks.Add(new NativeBuffer(Math.Max(size, Math.Min(largest * 2, 256L << 20))));
            _offset = 0;
        }

        byte* data = _blocks[_block].Pointer + _offset;
        _offset += size;
        UsedBytes += size;
        PeakBytes = Math.Max(PeakBytes, UsedBytes);
        return data;
    }
}
