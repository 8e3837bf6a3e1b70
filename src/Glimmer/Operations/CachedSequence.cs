using System.Runtime.InteropServices;
using Glimmer.Kernels;

namespace Glimmer.Operations;

/// <summary>The cached keys and values of one sequence: a page table a slot.</summary>
public sealed unsafe class CachedSequence : IDisposable
{
    private readonly KeyValueCache _cache;
    private readonly List<CacheBlock> _blocks = [];
    private float** _tables;
    private int _tableCapacity;

    internal CachedSequence(KeyValueCache cache) => _cache = cache;

    /// <summary>Positions whose keys and values are final.</summary>
    public int Length { get; private set; }

    /// <summary>Positions there is room for.</summary>
    public int Capacity => _blocks.Count * KeyValueLayout.PagePositions;

    /// <summary>How its keys and values are kept.</summary>
    public KeyValueType Type => _cache.Type;

    /// <summary>Number of blocks.</summary>
    internal int BlockCount => _blocks.Count;

    /// <summary>Makes room for positions 0 to <paramref name="positions"/> - 1.</summary>
    /// <exception cref="InvalidOperationException">The cache has no block left.</exception>
    public void EnsureCapacity(int positions)
    {
        while (Capacity < positions)
            Append(_cache.Rent());
    }

    /// <summary>Counts the first <paramref name="length"/> positions as final.</summary>
    public void Commit(int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Capacity);
        Length = length;
    }

    /// <summary>Drops the positions from <paramref name="length"/> on and gives their blocks back.</summary>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        int keep = KeyValueLayout.PagesFor(length);
        while (_blocks.Count > keep)
        {
            _cache.Drop(_blocks[^1]);
            _blocks.RemoveAt(_blocks.Count - 1);
        }

        Length = Math.Min(Length, length);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Truncate(0);
        NativeMemory.Free(_tables);
        _tables = null;
        _tableCapacity = 0;
    }

    /// <summary>A block by its index.</summary>
    internal CacheBlock Block(int index) => _blocks[index];

    /// <summary>Appends a full block that others hold too; its positions count as final.</summary>
    internal void AttachShared(CacheBlock block)
    {
        if (Length != Capacity)
            throw new InvalidOperationException("A shared block can only follow full blocks.");
        _cache.Hold(block);
        Append(block);
        Length = Capacity;
    }

    /// <summary>Replaces a full block by another one with the same contents.</summary>
    internal void ReplaceBlock(int index, CacheBlock block)
    {
        if (ReferenceEquals(_blocks[index], block))
            return;
        _cache.Hold(block);
        _cache.Drop(_blocks[index]);
        _blocks[index] = block;
        for (int slot = 0; slot < _cache.Slots.Count; slot++)
            Pages(slot)[index] = (float*)(block.Memory.Pointer + _cache.Offset(slot));
    }

    /// <summary>A sequence with the same final positions: the block of the last position is copied, those before it are shared.</summary>
    /// <remarks>A full last block is copied too: the MTP layer has yet to write its last position, with the token that follows in this sequence.</remarks>
    /// <exception cref="InvalidOperationException">The cache has no block left for the copy.</exception>
    internal CachedSequence Fork()
    {
        var fork = new CachedSequence(_cache);
        int full = Math.Max(Length - 1, 0) / KeyValueLayout.PagePositions;
        for (int i = 0; i < full; i++)
            fork.AttachShared(_blocks[i]);
        if (Length > fork.Capacity)
        {
            CacheBlock copy = _cache.Rent();
            Buffer.MemoryCopy(_blocks[full].Memory.Pointer, copy.Memory.Pointer, _cache.BlockBytes, _cache.BlockBytes);
            fork.Append(copy);
            fork.Length = Length;
        }

        return fork;
    }

    /// <summary>Stores keys and values of zero at some positions of a slot. A zero key has the score 0, a zero value adds nothing.</summary>
    internal void Clear(ThreadTeam team, int slot, int from, int to)
    {
        CacheSlot stored = _cache.Slots[slot];
        Span<float> zeros = stackalloc float[stored.Heads * Math.Max(stored.KeyDim, stored.ValueDim)];
        zeros.Clear();
        fixed (float* row = zeros)
            _cache.Write(team, slot, new AttentionSequence(0, to - from, from, Pages(slot)), row, 0);
    }

    /// <summary>Page table of a slot: entry i holds positions 64 i to 64 i + 63. Valid until the next <see cref="EnsureCapacity"/>.</summary>
    internal float** Pages(int slot) => _tables + (long)slot * _tableCapacity;

    private void Append(CacheBlock block)
    {
        int slots = _cache.Slots.Count;
        if (_blocks.Count == _tableCapacity)
        {
            int capacity = Math.Max(16, _tableCapacity * 2);
            var tables = (float**)NativeMemory.Alloc((nuint)slots * (nuint)capacity, (nuint)sizeof(float*));
            for (int slot = 0; slot < slots; slot++)
            {
                for (int i = 0; i < _blocks.Count; i++)
                    tables[(long)slot * capacity + i] = Pages(slot)[i];
            }

            NativeMemory.Free(_tables);
            _tables = tables;
            _tableCapacity = capacity;
        }

        for (int slot = 0; slot < slots; slot++)
            Pages(slot)[_blocks.Count] = (float*)(block.Memory.Pointer + _cache.Offset(slot));
        _blocks.Add(block);
    }
}
