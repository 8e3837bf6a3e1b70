namespace Glimmer.Environments.Evaluation;

/// <summary>What an answer adds to one metric: <paramref name="Hits"/> of <paramref name="Count"/> are right.</summary>
/// <param name="Metric">Name of the metric.</param>
/// <param name="Hits">How many are right.</param>
/// <param name="Count">How many there are: 1, or the number of instructions of a prompt.</param>
public readonly record struct Tally(string Metric, int Hits, int Count);

/// <summary>A grader's judgement on one answer.</summary>
/// <param name="Tallies">Its part of each metric, the main one first; the same metrics for every sample of a task.</param>
/// <param name="Explanation">What was wrong or found, in a few words.</param>
public sealed record SampleGrade(IReadOnlyList<Tally> Tallies, string? Explanation = null);
