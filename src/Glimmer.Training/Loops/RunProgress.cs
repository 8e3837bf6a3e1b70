namespace Glimmer.Training.Loops;

/// <summary>Where a run stands after a step.</summary>
/// <param name="Report">What the step did.</param>
/// <param name="TokensPerSecond">Speed of the steps of the last half minute or so.</param>
/// <param name="Share">Share of the run that is done, 0 to 1; NaN when its end is not known.</param>
/// <param name="Remaining">Time that the rest takes at this speed; null when the end is not known.</param>
/// <param name="Evaluation">Figures on held-out rows, after a step that was followed by an evaluation.</param>
/// <param name="Saved">Folder of the checkpoint of this step; being written still when checkpoints are saved asynchronously.</param>
public sealed record RunProgress(StepReport Report, double TokensPerSecond, double Share, TimeSpan? Remaining, HeldOutLoss? Evaluation, string? Saved)
{
    /// <summary>Steps of the whole run; null when it ends by tokens.</summary>
    public long? Steps { get; init; }

    /// <summary>Floating-point operations of the model at this speed over those of the best matrix product on the same threads (of the root, times the ranks); null where the work of a token is not known.</summary>
    public double? ShareOfPeak { get; init; }
}

/// <summary>How a run ended.</summary>
public enum RunEnd
{
    /// <summary>The tokens or steps that were asked for are done.</summary>
    Complete,

    /// <summary>The data has come to its end.</summary>
    DataEnded,

    /// <summary>The loss on held-out rows did not become better any more.</summary>
    EarlyStop,

    /// <summary>It was asked to stop; the last checkpoint goes on from there.</summary>
    Interrupted,
}

/// <summary>What is left of a run.</summary>
/// <param name="End">Why it ended.</param>
/// <param name="Steps">Steps taken in all.</param>
/// <param name="TokensSeen">Tokens in all.</param>
/// <param name="ResumedAt">The step that the run went on from; null when it began.</param>
/// <param name="Checkpoint">The last checkpoint.</param>
/// <param name="Evaluation">The last figures on held-out rows, or null.</param>
public sealed record RunResult(RunEnd End, long Steps, long TokensSeen, long? ResumedAt, string Checkpoint, HeldOutLoss? Evaluation);
