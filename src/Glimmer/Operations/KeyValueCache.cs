using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>What one layer stores for a position: keys and values of grouped-query attention, the MLA latent, or index keys.</summary>
/// <param name="Heads">Key/value heads.</param>
/// <param name="KeyDim">Width of a key.</param>
/// <param name="ValueDim">Width of a value; 0 for index keys.</param>
/// <param name="ValueIsKeyPrefix">Whether a value is the first part of its key (MLA) and so not stored again.</param>
public readonly record struct CacheSlot(int Heads, int KeyDim, int ValueDim, bool ValueIsKeyPrefix = false);

/// <summary>Blocks of 64 positions over all slots of a model, handed out to sequences, shared by them, and taken back.</summary>
/// <remarks>
/// A block holds one page (<see cref="KeyValueLayout"/>) a slot. Full blocks may be shared: they are never written again. Memory of blocks is kept when they come
/// back. Not thread-safe: the engine thread owns it.
/// </remarks>
public sealed unsafe class KeyValueCache : IDisposable
{
    private readonly Stack<CacheBlock> _free = new();
    private readonly long[] _offsets;
    private readonly long _blockBytes;

    /// <summary>Creates an empty cache for a model's slots (<c>CausalLm.CacheSlots</c>).</summary>
    /// <param name="slots">What each slot stores.</param>
    /// <param name="maxBlocks">Most blocks in use at a time.</param>
    /// <param name="type">How keys and values are kept. Index keys are kept as F32 with F32, else as 8-bit integers, as the published models keep them in FP8.</param>
    public KeyValueCache(IReadOnlyList<CacheSlot> slots, int maxBlocks = int.MaxValue, KeyValueType type = KeyValueType.F32)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxBlocks);
        Slots = slots;
        Type = type;
        MaxBlocks = maxBlocks;
        _offsets = new long[slots.Count];
        for (int i = 0; i < slots.Count; i++)
        {
            _offsets[i] = _blockBytes;
            _blockBytes += (PageBytes(i) + 63) & ~63L;
        }
    }

    /// <summary>What each slot stores.</summary>
    public IReadOnlyList<CacheSlot> Slots { get; }

    /// <summary>How keys and values are kept.</summary>
    public KeyValueType Type { get; }

    /// <summary>Bytes of one block of 64 positions.</summary>
    public long BlockBytes => _blockBytes;

    /// <summary>Most blocks in use at a time.</summary>
    public int MaxBlocks { get; }

    /// <summary>Blocks that sequences and prefix trees hold now.</summary>
    public int BlocksInUse { get; private set; }

    /// <summary>Blocks that only a prefix tree holds, so that they can be had by evicting them.</summary>
    internal int EvictableBlocks { get; private set; }

    /// <summary>Blocks that can be had: unused ones and evictable ones.</summary>
    internal int AvailableBlocks => MaxBlocks - BlocksInUse + EvictableBlocks;

    /// <summary>Starts an empty sequence.</summary>
    public CachedSequence NewSequence() => new(this);

    /// <summary>Gives the memory of blocks that nobody holds back to the system.</summary>
    /// <returns>Bytes given back.</returns>
    public long Trim()
    {
        long bytes = _free.Count * _blockBytes;
        while (_free.TryPop(out CacheBlock? block))
            block.Memory.Dispose();
        return bytes;
    }

    /// <inheritdoc/>
    public void Dispose() => Trim();

    /// <summary>Whether a slot holds index keys as bytes, in <see cref="IndexPages"/>; else <see cref="Layout"/> says how its pages lie.</summary>
    internal bool HasByteKeys(int slot) => Slots[slot].ValueDim == 0 && Type != KeyValueType.F32;

    /// <summary>The layout of a slot's pages.</summary>
    internal KeyValueLayout Layout(int slot)
    {
        CacheSlot stored = Slots[slot];
        return new KeyValueLayout(stored.Heads, stored.KeyDim, stored.ValueDim, stored.ValueDim == 0 ? KeyValueType.F32 : Type, stored.ValueIsKeyPrefix);
    }

    /// <summary>Stores rows into pages of a slot, as keys and where it has them as values too.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="slot">The slot.</param>
    /// <param name="sequence">Which positions, with the pages of that slot.</param>
    /// <param name="rows">Rows of the larger of both widths times the heads.</param>
    /// <param name="stride">Floats from one row to the next; 0 stores the same row everywhere.</param>
    internal void Write(ThreadTeam team, int slot, in AttentionSequence sequence, float* rows, int stride)
    {
        var sequences = new ReadOnlySpan<AttentionSequence>(in sequence);
        if (HasByteKeys(slot))
            IndexKeys.WriteBytes(sequences, rows, stride, Slots[slot].KeyDim);
        else
            Layout(slot).Write(team, sequences, rows, stride, rows, stride);
    }

    private long PageBytes(int slot) => HasByteKeys(slot) ? IndexPages.PageBytes(Slots[slot].KeyDim) : Layout(slot).PageBytes;

    // Of the page of a slot in a block, in bytes.
    internal long Offset(int slot) => _offsets[slot];

    /// <summary>Hands out a block with one holder.</summary>
    internal CacheBlock Rent()
    {
        if (BlocksInUse == MaxBlocks)
            throw new InvalidOperationException($"All {MaxBlocks} blocks of the key/value cache are in use. Release sequences or evict prefixes before making room.");
        BlocksInUse++;
        CacheBlock block = _free.TryPop(out CacheBlock? old) ? old : new CacheBlock(new NativeBuffer(_blockBytes));
        block.Holders = 1;
        return block;
    }

    /// <summary>Adds a holder.</summary>
    internal void Hold(CacheBlock block)
    {
        if (block.InTree && block.Holders == 1)
            EvictableBlocks--;
        block.Holders++;
    }

    /// <summary>Takes a holder away; the block returns when it was the last.</summary>
    internal void Drop(CacheBlock block)
    {
        block.Holders--;
        if (block.InTree && block.Holders == 1)
            EvictableBlocks++;
        if (block.Holders > 0)
            return;
        BlocksInUse--;
        _free.Push(block);
    }

    /// <summary>A prefix tree becomes a holder of a sequence's block.</summary>
    internal void EnterTree(CacheBlock block)
    {
        block.Holders++;
        block.InTree = true;
    }

    /// <summary>The prefix tree gives up a block.</summary>
    internal void LeaveTree(CacheBlock block)
    {
        if (block.Holders == 1)
            EvictableBlocks--;
        block.InTree = false;
        Drop(block);
    }
}

/// <summary>Memory of 64 positions over all slots, with the number of those who hold it.</summary>
internal sealed class CacheBlock(NativeBuffer memory)
{
    public NativeBuffer Memory { get; } = memory;

    /// <summary>Sequences and prefix trees that hold the block.</summary>
    public int Holders { get; set; }

    /// <summary>Whether a prefix tree is one of the holders.</summary>
    public bool InTree { get; set; }
}
