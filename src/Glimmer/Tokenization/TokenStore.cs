using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Glimmer.Tokenization;

/// <summary>What an id stands for.</summary>
[Flags]
internal enum TokenFlags : byte
{
    /// <summary>The id has no token: a hole or a padding row of the embedding. It decodes to nothing.</summary>
    None = 0,
    /// <summary>The id has a token.</summary>
    Exists = 1,
    /// <summary>The token is spelled in the byte alphabet, so its bytes can be a piece of text.</summary>
    Bytes = 2,
    /// <summary>An added token.</summary>
    Added = 4,
    /// <summary>An added token that decoding drops with <c>skipSpecial</c>.</summary>
    Special = 8,
}

/// <summary>The bytes and flags of every id, in one array of bytes.</summary>
internal sealed class TokenStore
{
    /// <summary>Ids are below this number: merges are kept in 64 bits with two ids of 22 bits (<see cref="MergeTable"/>).</summary>
    public const int MaxIds = (1 << 22) - 1;

    private Entry[] _entries;
    private byte[] _bytes;
    private int _used;

    /// <summary>Makes an empty store with room for about <paramref name="expected"/> tokens.</summary>
    public TokenStore(int expected)
    {
        _entries = new Entry[Math.Max(expected, 256)];
        _bytes = new byte[Math.Max(expected, 256) * 8 + Utf8Text.Padding];
    }

    /// <summary>One more than the largest id.</summary>
    public int Count { get; private set; }

    /// <summary>The bytes an id decodes to; empty for an id without a token.</summary>
    public ReadOnlySpan<byte> this[int id]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (uint)id < (uint)Count ? _bytes.AsSpan(_entries[id].Start, _entries[id].Length) : default;
    }

    /// <summary>The flags of an id.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public TokenFlags Flags(int id) => (uint)id < (uint)Count ? _entries[id].Flags : TokenFlags.None;

    /// <summary>Sets an id's token. The id is below <see cref="MaxIds"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Set(int id, ReadOnlySpan<byte> bytes, TokenFlags flags)
    {
        if (id >= _entries.Length)
            Array.Resize(ref _entries, Math.Min(MaxIds, Math.Max(id + 1, 2 * _entries.Length)));
        if (_used + bytes.Length > _bytes.Length - Utf8Text.Padding)
            Array.Resize(ref _bytes, 2 * (_used + bytes.Length) + Utf8Text.Padding);
        bytes.CopyTo(_bytes.AsSpan(_used));
        _entries[id] = new Entry(_used, bytes.Length, flags);
        _used += bytes.Length;
        Count = Math.Max(Count, id + 1);
    }

    /// <summary>Adds flags to an id that has a token.</summary>
    public void Mark(int id, TokenFlags flags) => _entries[id] = _entries[id] with { Flags = _entries[id].Flags | flags };

    /// <summary>Makes <see cref="Count"/> at least <paramref name="count"/>: ids up to there are known to have no token.</summary>
    public void PadTo(int count)
    {
        if (count > _entries.Length)
            Array.Resize(ref _entries, count);
        Count = Math.Max(Count, count);
    }

    /// <summary>Appends the bytes of all ids to <paramref name="buffer"/>.</summary>
    /// <param name="ids">Ids; those without a token and those outside the vocabulary add nothing.</param>
    /// <param name="skip">Ids with one of these flags add nothing.</param>
    /// <param name="buffer">Where the bytes go; replaced by a larger one of the shared pool when needed.</param>
    /// <returns>The number of bytes.</returns>
    public int Join(ReadOnlySpan<int> ids, TokenFlags skip, ref byte[] buffer)
    {
        ref Entry entries = ref MemoryMarshal.GetArrayDataReference(_entries);
        ref byte from = ref MemoryMarshal.GetArrayDataReference(_bytes);
        ref byte to = ref MemoryMarshal.GetArrayDataReference(buffer);
        int count = 0, room = buffer.Length - Utf8Text.Padding, ends = Count;
        foreach (int id in ids)
        {
            if ((uint)id >= (uint)ends)
                continue;
            Entry entry = Unsafe.Add(ref entries, id);
            if ((entry.Flags & skip) != 0)
                continue;
            if (count + entry.Length > room)
            {
                PooledBytes.Grow(ref buffer, count, count + entry.Length + Utf8Text.Padding);
                to = ref MemoryMarshal.GetArrayDataReference(buffer);
                room = buffer.Length - Utf8Text.Padding;
            }

            // Invariant: both arrays have at least 32 bytes behind what is in use, so a token of up to 16 bytes is one load and one store.
            if (entry.Length <= 16)
                Unsafe.CopyBlockUnaligned(ref Unsafe.Add(ref to, count), ref Unsafe.Add(ref from, entry.Start), 16);
            else
                _bytes.AsSpan(entry.Start, entry.Length).CopyTo(buffer.AsSpan(count));
            count += entry.Length;
        }

        return count;
    }

    private readonly record struct Entry(int Start, int Length, TokenFlags Flags);
}
