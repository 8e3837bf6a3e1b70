using Glimmer.Kernels;
using Glimmer.Operations;

namespace Glimmer.Inference.Benchmarks;

/// <summary>Fills the cache of a sequence with random keys and values, so that any depth is reached without computing what lies before it.</summary>
internal static unsafe class SyntheticCache
{
    private const int Pool = 1 << 20;

    /// <summary>Makes the first <paramref name="depth"/> positions of a sequence final.</summary>
    /// <param name="team">Threads that write the pages.</param>
    /// <param name="cache">The cache.</param>
    /// <param name="sequence">A sequence of it.</param>
    /// <param name="depth">Positions.</param>
    /// <param name="seed">Seed of the numbers, which are uniform with variance 1. Pages are those of the cache.</param>
    public static void Fill(ThreadTeam team, KeyValueCache cache, CachedSequence sequence, int depth, ulong seed)
    {
        var random = new Random((int)seed);
        var pool = new float[Pool];
        foreach (ref float value in pool.AsSpan())
            value = ((float)random.NextDouble() - 0.5f) * 3.464f;
        sequence.EnsureCapacity(depth);
        fixed (float* numbers = pool)
        {
            for (int slot = 0; slot < cache.Slots.Count; slot++)
            {
                CacheSlot shape = cache.Slots[slot];
                int stride = shape.Heads * Math.Max(shape.KeyDim, shape.ValueDim);
                for (int first = 0; first < depth; first += KeyValueLayout.PagePositions)
                {
                    int count = Math.Min(KeyValueLayout.PagePositions, depth - first);
                    float* rows = numbers + random.Next(Pool - (count * stride));
                    cache.Write(team, slot, new AttentionSequence(0, count, first, sequence.Pages(slot)), rows, stride);
                }
            }
        }

        sequence.Commit(depth);
    }
}
