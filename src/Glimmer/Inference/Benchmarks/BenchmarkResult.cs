namespace Glimmer.Inference.Benchmarks;

/// <summary>What a test gave. Figures that a test does not have are null.</summary>
/// <param name="Test">The test.</param>
/// <param name="Activations"><c>f32</c> or <c>q8</c>.</param>
/// <param name="Depth">Tokens in the cache before it began.</param>
/// <param name="Threads">Computing threads.</param>
/// <param name="Repetitions">Measurements behind the medians.</param>
public sealed record BenchmarkResult(BenchmarkTest Test, string Activations, int Depth, int Threads, int Repetitions)
{
    /// <summary>Tokens a second, all sequences together: the median.</summary>
    public double TokensPerSecond { get; init; }

    /// <summary>The slowest repetition.</summary>
    public double Least { get; init; }

    /// <summary>The fastest repetition.</summary>
    public double Most { get; init; }

    /// <summary>Packed weight bytes that the steps read, a second, in units of 10^9.</summary>
    public double? WeightGigabytesPerSecond { get; init; }

    /// <summary>2 x active parameters x tokens a second, in units of 10^9.</summary>
    public double GigaflopsPerSecond { get; init; }

    /// <summary>A plain read loop over memory in the same minutes, in 10^9 bytes a second: the median.</summary>
    public double ReadGigabytesPerSecond { get; init; }

    /// <summary>Share of the plain read that the weights reached.</summary>
    public double? ReadShare => WeightGigabytesPerSecond / ReadGigabytesPerSecond;

    /// <summary>Milliseconds from the prompt to the first token's logits.</summary>
    public double? FirstTokenMilliseconds { get; init; }

    /// <summary>Managed bytes allocated a token on the thread that drives the steps.</summary>
    public double AllocatedBytesPerToken { get; init; }

    /// <summary>Different experts that a MoE layer read in a pass of the trunk, on average.</summary>
    public double? ExpertUnion { get; init; }

    /// <summary>A model whose experts stay on disk: share of their uses that found them in memory.</summary>
    public double? ExpertHitRate { get; init; }

    /// <summary>A model whose experts stay on disk: bytes read a token.</summary>
    public double? ExpertBytesPerToken { get; init; }

    /// <summary>What a test with drafts found.</summary>
    public SpeculationFigures? Speculation { get; init; }

    /// <summary>Prefix hit: time to the first token, as a share of that of the same conversation without a cached prefix.</summary>
    public double? HitShare { get; init; }

    /// <summary>Arrival: milliseconds between two tokens of the sequences that write, median and 99th percentile, while the prompt is computed.</summary>
    public (double Median, double P99)? Gap { get; init; }
}

/// <summary>What drafts gained, and what the bytes that were read allow.</summary>
/// <param name="Speedup">Tokens a second with drafts, over those without in the same run.</param>
/// <param name="TokensPerStep">Tokens that a pass of the trunk gave.</param>
/// <param name="Acceptance">Share of the drafts that were right.</param>
/// <param name="BestPredicted">The best speed-up over all numbers of drafts, from the measured unions of experts and the acceptance asked for.</param>
/// <param name="BestDrafts">That number of drafts.</param>
/// <param name="AsRunPredicted">The speed-up that the bytes really read would give.</param>
/// <param name="Unions">Different experts of a MoE layer in a pass over 1, 2, 3 and 4 tokens.</param>
public sealed record SpeculationFigures(
    double Speedup, double TokensPerStep, double Acceptance, double BestPredicted, int BestDrafts, double AsRunPredicted, IReadOnlyList<double> Unions);
