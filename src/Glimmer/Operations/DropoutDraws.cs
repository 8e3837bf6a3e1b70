namespace Glimmer.Operations;

/// <summary>Which elements dropout zeroes in one micro-batch: a function of seed, step, layer, row of the global batch and column, so that recomputation and resuming repeat it.</summary>
/// <param name="Seed">Seed of the run.</param>
/// <param name="Step">Step of the run.</param>
/// <param name="FirstRow">Row of the global batch that is row 0 here: how a batch is cut into micro-batches changes no draw.</param>
internal sealed record DropoutDraws(ulong Seed, long Step, long FirstRow)
{
    /// <summary>A key for one row of one layer.</summary>
    /// <param name="layer">Number of the layer.</param>
    /// <param name="row">Row of the micro-batch.</param>
    public ulong Key(int layer, int row) => Mix(Mix(Mix(Seed ^ 0x9E3779B97F4A7C15UL) + (ulong)Step) + ((ulong)layer << 40) + (ulong)(FirstRow + row));

    /// <summary>Uniform in [0, 1), a multiple of 2^-24.</summary>
    public static float Uniform(ulong key, int column) => (Mix(key + ((ulong)column * 0x9E3779B97F4A7C15UL)) >> 40) * (1f / (1 << 24));

    // The finaliser of SplitMix64, Steele et al. 2014.
    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
