using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Glimmer.Tokenization;

/// <summary>From a pair of neighbouring ids to the rank of their merge: open addressing, one 64-bit word a slot.</summary>
/// <remarks>A word is left id (22 bits), right id (22 bits), rank (20 bits). 320,000 merges take 8 MB, 49,000 one.</remarks>
internal sealed class MergeTable
{
    /// <summary>The rank of a pair that does not merge; larger than every rank.</summary>
    public const int NoMerge = (1 << 20) - 1;

    private const ulong Empty = ulong.MaxValue;
    private const int RankBits = 20;
    private const int IdBits = 22;

    private readonly ulong[] _slots;
    private readonly int _shift;
    private readonly int[] _results;
    private readonly int[] _byteRanks = new int[1 << 16];

    /// <summary>Builds the table.</summary>
    /// <param name="merges">Rank is the position. A pair that occurs twice has its last rank, as in the reference.</param>
    /// <param name="byteIds">Id of each byte's own token, -1 where the vocabulary lacks it.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public MergeTable(ReadOnlySpan<Merge> merges, ReadOnlySpan<int> byteIds)
    {
        _slots = new ulong[BitOperations.RoundUpToPowerOf2((uint)Math.Max(4, 2 * merges.Length))];
        _slots.AsSpan().Fill(Empty);
        _shift = 64 - BitOperations.Log2((uint)_slots.Length);
        _results = new int[merges.Length];
        for (int rank = 0; rank < merges.Length; rank++)
        {
            Merge merge = merges[rank];
            _results[rank] = merge.Result;
            if (merge.Result < 0)
                continue;
            ulong key = Key(merge.Left, merge.Right);
            uint at = Home(key);
            while (_slots[at] != Empty && _slots[at] >> RankBits != key)
                at = (at + 1) & (uint)(_slots.Length - 1);
            _slots[at] = key << RankBits | (uint)rank;
        }

        _byteRanks.AsSpan().Fill(NoMerge);
        for (int left = 0; left < 256; left++)
        {
            if (byteIds[left] < 0)
                continue;
            for (int right = 0; right < 256; right++)
            {
                if (byteIds[right] >= 0)
                    _byteRanks[left << 8 | right] = Rank(byteIds[left], byteIds[right]);
            }
        }
    }

    /// <summary>Rank of the merge of two bytes' own tokens, <see cref="NoMerge"/> when there is none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int ByteRank(byte left, byte right) =>
        // Invariant: two bytes index 65,536 entries.
        Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_byteRanks), left << 8 | right);

    /// <summary>Rank of the merge of two ids, <see cref="NoMerge"/> when there is none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Rank(int left, int right)
    {
        ref ulong slots = ref MemoryMarshal.GetArrayDataReference(_slots);
        ulong key = Key(left, right);
        uint at = Home(key);
        while (true)
        {
            // Invariant: Home and the mask keep the index inside the table, half of which is empty.
            ulong word = Unsafe.Add(ref slots, at);
            if (word >> RankBits == key)
                return (int)(word & NoMerge);
            if (word == Empty)
                return NoMerge;
            at = (at + 1) & (uint)(_slots.Length - 1);
        }
    }

    /// <summary>The id a merge makes; <paramref name="rank"/> is one that <see cref="Rank"/> returned.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Result(int rank) => _results[rank];

    private static ulong Key(int left, int right) => (ulong)(uint)left << IdBits | (uint)right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint Home(ulong key) => (uint)(key * 0x9E3779B97F4A7C15UL >> _shift);
}

/// <summary>One merge; its rank is its position. A negative result leaves the rank unused.</summary>
internal readonly record struct Merge(int Left, int Right, int Result);
