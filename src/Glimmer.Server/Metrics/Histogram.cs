namespace Glimmer.Server.Metrics;

/// <summary>Counts values by upper bounds, as Prometheus does.</summary>
/// <param name="bounds">Upper bounds, ascending; values above the last one count in none of them.</param>
internal sealed class Histogram(double[] bounds)
{
    private readonly Lock _lock = new();
    private readonly long[] _counts = new long[bounds.Length + 1];
    private double _sum;

    /// <summary>Upper bounds.</summary>
    public IReadOnlyList<double> Bounds => bounds;

    /// <summary>Adds a value.</summary>
    public void Observe(double value)
    {
        int bucket = 0;
        while (bucket < bounds.Length && value > bounds[bucket])
            bucket++;
        lock (_lock)
        {
            _counts[bucket]++;
            _sum += value;
        }
    }

    /// <summary>The counts up to each bound, all values last, and their sum.</summary>
    public (long[] UpTo, double Sum) Read()
    {
        lock (_lock)
        {
            var upTo = new long[_counts.Length];
            long count = 0;
            for (int i = 0; i < upTo.Length; i++)
                upTo[i] = count += _counts[i];
            return (upTo, _sum);
        }
    }
}
