namespace Glimmer.Environments.Evaluation;

/// <summary>A metric over all samples.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Hits">How many are right.</param>
/// <param name="Count">Of how many.</param>
public sealed record MetricResult(string Name, int Hits, int Count)
{
    /// <summary>The share that is right.</summary>
    public double Value => Count == 0 ? 0 : (double)Hits / Count;

    /// <summary>Its 95 % interval.</summary>
    public WilsonInterval Interval => WilsonInterval.Of(Hits, Count);
}

/// <summary>What an evaluation found.</summary>
/// <param name="Task">The task.</param>
/// <param name="Settings">What the results depend on: data, model, limits.</param>
/// <param name="Metrics">The metrics, the main one first.</param>
/// <param name="Results">Each sample, in the order of the data.</param>
/// <param name="Resumed">Samples whose results were there before.</param>
/// <param name="Elapsed">Time of this run.</param>
public sealed record EvaluationReport(
    string Task, IReadOnlyDictionary<string, string> Settings, IReadOnlyList<MetricResult> Metrics, IReadOnlyList<SampleResult> Results, int Resumed, TimeSpan Elapsed)
{
    /// <summary>Samples without an answer; they count as wrong.</summary>
    public int Errors => Results.Count(result => result.Error is not null);

    /// <summary>Answers that the token limit or the context cut off.</summary>
    public int CutOff => Results.Count(result => result.Finish is "length" or "context");

    /// <summary>Metrics over results.</summary>
    internal static IReadOnlyList<MetricResult> Sum(IReadOnlyList<SampleResult> results) =>
    [
        .. results.SelectMany(result => result.Tallies).GroupBy(tally => tally.Metric)
            .Select(group => new MetricResult(group.Key, group.Sum(tally => tally.Hits), group.Sum(tally => tally.Count))),
    ];
}
