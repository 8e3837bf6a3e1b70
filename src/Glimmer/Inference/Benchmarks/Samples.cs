namespace Glimmer.Inference.Benchmarks;

/// <summary>What the repetitions of a test gave.</summary>
internal sealed class Samples
{
    public List<double> Speeds { get; } = [];

    public List<double> Reads { get; } = [];

    /// <summary>Of the last repetition.</summary>
    public double Allocated { get; set; }

    /// <summary>Of the last repetition.</summary>
    public double? Union { get; set; }

    /// <summary>Uses of experts that stay on disk: found in memory, read, and bytes read; with the tokens of all repetitions.</summary>
    public (long Hits, long Misses, long Bytes, long Tokens) Experts { get; set; }

    /// <summary>Drafts: speed-up, tokens a step, acceptance, predicted speed-up of the bytes read.</summary>
    public List<(double Speedup, double TokensPerStep, double Acceptance, double Predicted)> Speculation { get; } = [];

    /// <summary>Prefix hits: share of the cold time, and milliseconds.</summary>
    public List<(double Share, double Milliseconds)> Hits { get; } = [];

    /// <summary>Arrivals: median and 99th percentile of the time between tokens, in milliseconds.</summary>
    public List<(double Median, double P99)> Gaps { get; } = [];

    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length == 0 ? double.NaN : sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
