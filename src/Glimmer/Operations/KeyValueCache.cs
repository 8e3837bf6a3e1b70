using System.Runtime.InteropServices;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>What one layer stores for a position: keys and values of grouped-query attention, the MLA latent, or index keys.</summary>
/// <param name="Heads">Key/value heads.</param>
/// <param name="KeyDim">Width of a key.</param>
/// <param name="ValueDim">Width of a value; 0 for index keys.</param>
public readonly record struct CacheSlot(int Heads, int KeyDim, int ValueDim);

/// <summary>Blocks of 64 positions over all slots of a model, handed out to sequences and taken back.</summary>
/// <remarks>A block holds one page (<see cref="KeyValueLayout"/>) a slot. Blocks are kept when they come back. Not thread-safe: the engine thread owns it.</remarks>
public sealed unsafe class KeyValueCache : IDisposable
{
    private readonly Stack<NativeBuffer> _free = new();
    private readonly long[] _offsets;
    private readonly long _blockBytes;

    /// <summary>Creates an empty cache for a model's slots (<c>CausalLm.CacheSlots</c>).</summary>
    public KeyValueCache(IReadOnlyList<CacheSlot> slots)
    {
        Slots = slots;
        _offsets = new long[slots.Count];
        long floats = 0;
        for (int i = 0; i < slots.Count; i++)
        {
            _offsets[i] = floats;
            long page = new KeyValueLayout(slots[i].Heads, slots[i].KeyDim, slots[i].ValueDim).PageFloats;
            floats += (page + 15) & ~15L;
        }

        _blockBytes = floats * sizeof(float);
    }

    /// <summary>What each slot stores.</summary>
    public IReadOnlyList<CacheSlot> Slots { get; }

    /// <summary>Bytes of one block of 64 positions.</summary>
    public long BlockBytes => _blockBytes;

    /// <summary>Blocks that sequences hold now.</summary>
    public int BlocksInUse { get; private set; }

    /// <summary>Starts an empty sequence.</summary>
    public CachedSequence NewSequence() => new(this);

    /// <inheritdoc/>
    public void Dispose()
    {
        while (_free.TryPop(out NativeBuffer? block))
            block.Dispose();
    }

    internal long Offset(int slot) => _offsets[slot];

    internal NativeBuffer Rent()
    {
        BlocksInUse++;
        return _free.TryPop(out NativeBuffer? block) ? block : new NativeBuffer(_blockBytes);
    }

    internal void Return(NativeBuffer block)
    {
        BlocksInUse--;
        _free.Push(block);
    }
}

/// <summary>The cached keys and values of one sequence: a page table a slot.</summary>
public sealed unsafe class CachedSequence : IDisposable
{
    private readonly KeyValueCache _cache;
    private readonly List<NativeBuffer> _blocks = [];
    private float** _tables;
    private int _tableCapacity;

    internal CachedSequence(KeyValueCache cache) => _cache = cache;

    /// <summary>Positions whose keys and values are final.</summary>
    public int Length { get; private set; }

    /// <summary>Positions there is room for.</summary>
    public int Capacity => _blocks.Count * KeyValueLayout.PagePositions;

    /// <summary>Makes room for positions 0 to <paramref name="positions"/> - 1.</summary>
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
        int keep = (length + KeyValueLayout.PagePositions - 1) / KeyValueLayout.PagePositions;
        while (_blocks.Count > keep)
        {
            _cache.Return(_blocks[^1]);
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

    /// <summary>Page table of a slot: entry i holds positions 64 i to 64 i + 63. Valid until the next <see cref="EnsureCapacity"/>.</summary>
    internal float** Pages(int slot) => _tables + (long)slot * _tableCapacity;

    private void Append(NativeBuffer block)
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
            Pages(slot)[_blocks.Count] = (float*)block.Pointer + _cache.Offset(slot);
        _blocks.Add(block);
    }
}
