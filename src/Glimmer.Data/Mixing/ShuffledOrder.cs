using Glimmer.Inference;

namespace Glimmer.Data.Mixing;

/// <summary>A permutation of 0 to count - 1 for each epoch, computed item by item: nothing has to be stored to go on where a run stopped.</summary>
/// <remarks>
/// A Feistel network of four rounds over the smallest even number of bits that holds <c>count</c>; values outside the range are put through again until they
/// fall inside (cycle walking), which keeps it a permutation.
/// The round function is the counter-based generator keyed by (seed, epoch, round).
/// </remarks>
public sealed class ShuffledOrder
{
    private const int Rounds = 4;

    private readonly ulong _seed;
    private readonly int _halfBits;

    /// <summary>Creates the order.</summary>
    /// <param name="count">Number of items, from 1 to 2^62.</param>
    /// <param name="seed">Seed.</param>
    public ShuffledOrder(long count, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, 1L << 62);
        (Count, _seed) = (count, seed);
        while (1L << (2 * _halfBits) < count)
            _halfBits++;
    }

    /// <summary>Number of items.</summary>
    public long Count { get; }

    /// <summary>The item at a place of an epoch.</summary>
    public long At(long epoch, long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        ulong value = (ulong)index;
        do
            value = Permute(value, epoch);
        while (value >= (ulong)Count);
        return (long)value;
    }

    private ulong Permute(ulong value, long epoch)
    {
        ulong mask = (1UL << _halfBits) - 1;
        ulong left = value >> _halfBits, right = value & mask;
        for (int round = 0; round < Rounds; round++)
            (left, right) = (right, left ^ (Draw((uint)right, epoch, round) & mask));
        return (left << _halfBits) | right;
    }

    private uint Draw(uint value, long epoch, int round) =>
        CounterRandom.Philox(new CounterRandom.Words(value, (uint)epoch, (uint)round, (uint)DrawPurpose.Shuffling), (uint)_seed, (uint)(_seed >> 32)).X;
}
