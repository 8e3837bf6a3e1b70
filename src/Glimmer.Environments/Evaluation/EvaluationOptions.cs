namespace Glimmer.Environments.Evaluation;

/// <summary>How an evaluation runs.</summary>
public sealed record EvaluationOptions
{
    /// <summary>Only so many samples, from the first; 0 for all.</summary>
    public int Limit { get; init; }

    /// <summary>Most tokens of an answer; 0 for the task's default.</summary>
    public int MaxTokens { get; init; }

    /// <summary>The thinking switch; null leaves it to the template.</summary>
    public bool? Thinking { get; init; }

    /// <summary>Samples that generate at the same time. Changes no answer.</summary>
    public int Concurrency { get; init; } = 16;

    /// <summary>Where results are kept, so that an interrupted run goes on; null for nowhere.</summary>
    public string? ResultsPath { get; init; }

    /// <summary>More of what the results depend on, for example a hash of the data: recorded, and compared when a run goes on.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();
}

/// <summary>How far an evaluation is.</summary>
/// <param name="Done">Samples that are graded.</param>
/// <param name="Count">All samples.</param>
/// <param name="Hits">Hits of the main metric so far.</param>
/// <param name="OutputTokens">Tokens generated in this run.</param>
public readonly record struct EvaluationProgress(int Done, int Count, int Hits, long OutputTokens);
