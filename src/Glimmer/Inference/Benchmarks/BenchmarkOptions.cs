using Glimmer.Operations;

namespace Glimmer.Inference.Benchmarks;

/// <summary>How a model is measured.</summary>
public sealed record BenchmarkOptions
{
    /// <summary>The tests, in order.</summary>
    public IReadOnlyList<BenchmarkTest> Tests { get; init; } = [BenchmarkTest.Parse("pp512"), BenchmarkTest.Parse("tg32"), BenchmarkTest.Parse("tg32b8")];

    /// <summary>Measurements of each test after a warm-up.</summary>
    public int Repetitions { get; init; } = 5;

    /// <summary>Tokens in the cache before a test of kind pp or tg begins; each number is measured.</summary>
    public IReadOnlyList<int> Depths { get; init; } = [0];

    /// <summary>Kinds of activations; they are measured in turns.</summary>
    public IReadOnlyList<ActivationType> Activations { get; init; } = [ActivationType.F32];

    /// <summary>Seed of tokens, of cache contents and of the oracle that decides which drafts are right.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Most drafts of a step in tests with drafts.</summary>
    public int MaxDrafts { get; init; } = 3;

    /// <summary>Throws when a value makes no sense.</summary>
    /// <exception cref="ArgumentException">Names the option.</exception>
    public void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Repetitions);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxDrafts);
        if (Tests.Count == 0 || Depths.Count == 0 || Activations.Count == 0)
            throw new ArgumentException("There is nothing to measure: tests, depths and kinds of activations each need an entry.");
        if (Depths.Any(depth => depth < 0))
            throw new ArgumentException("A depth is negative.");
        BenchmarkTest? wide = Tests.FirstOrDefault(test => test.Sequences > 1 && test.Kind == BenchmarkKind.Decode);
        if (wide is not null && Depths.Any(depth => depth > 0))
            throw new ArgumentException($"{wide.Name} has {wide.Sequences} sequences; a depth goes with one sequence.");
    }
}
