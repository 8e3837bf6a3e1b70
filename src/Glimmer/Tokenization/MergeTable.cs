using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Glimmer.Tokenization;

/// <summary>From a pair of neighbouring ids to the rank of their merge: open addressing, one 64-bit word a slot.</summary>
/// <remarks>
/// A word is left id (22 bits), right id (22 bits), rank plus one (20 bits); zero is an empty slot. 320,000 merges take 8 MB, 49,000 one.
/// </remarks>
internal sealed class MergeTable
{
    /// <summary>The rank of a pair that does not merge.</summary>
    public const int NoMerge = -1;

    /// <summary>The most merges there can be.</summary>
    public const int MaxMerges = (1 << RankBits) - 2;

    private const int RankBits = 20;
    private const int IdBits = 22;

    private readonly ulong[] _slots;
    private readonly int _shift;
    private readonly int[] _results;
    private readonly int[] _byteRanks = new int[1 << 16]; // rank plus one

    /// <summary>Builds the table.</summary>
    /// <param name="merges">Rank is the position. A pair that occurs twice has its last rank, as in the reference.</param>
    /// <param name="byteIds">Id of each byte's own token, -1 where the vocabulary lacks it.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public MergeTable(Merge[] merges, int[] byteIds)
    {
        _slots = new ulong[BitOperations.RoundUpToPowerOf2((uint)Math.Max(4, 2 * merges.Length))];
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
            while (_slots[at] != 0 && _slots[at] >> RankBits != key)
                at = (at + 1) & (uint)(_slots.Length - 1);
            _slots[at] = key << RankBits | (uint)(rank + 1);
        }

        for (int pair = 0; pair < _byteRanks.Length; pair++)
        {
            (int left, int right) = (byteIds[pair >> 8], byteIds[pair & 0xFF]);
            if ((left | right) >= 0)
                _byteRanks[pair] = Rank(left, right) + 1;
        }
    }

    /// <summary>Rank of the merge of two bytes' own tokens, or <see cref="NoMerge"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int ByteRank(byte left, byte right) =>
        // Invariant: two bytes index 65,536 entries.
        Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_byteRanks), left << 8 | right) - 1;

    /// <summary>Rank of the merge of two ids, or <see cref="NoMerge"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Rank(int left, int right)
    {
        ref ulong slots = ref MemoryMarshal.GetArrayDataReference(_slots);
        ulong key = Key(left, right);
        uint at = Home(key);
        while (true)
        {
            // Invariant: Home and the mask keep the index inside the table, half of which is empty. Whether the pair merges cannot be
            // predicted, whether the first slot answers can: one branch for found and empty, and an empty word gives -1 like any other.
            ulong word = Unsafe.Add(ref slots, at);
            if ((word >> RankBits == key) | (word == 0))
                return (int)(word & ((1 << RankBits) - 1)) - 1;
            at = (at + 1) & (uint)(_slots.Length - 1);
        }
    }

    /// <summary>The id a merge makes; <paramref name="rank"/> is one that <see cref="Rank"/> returned.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Result(int rank) => _results[rank];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Key(int left, int right) => (ulong)(uint)left << IdBits | (uint)right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint Home(ulong key) => (uint)(key * 0x9E3779B97F4A7C15UL >> _shift);
}

/// <summary>One merge; its rank is its position. A negative result leaves the rank unused.</summary>
internal readonly record struct Merge(int Left, int Right, int Result);
