using Glimmer.Training.Balance;

namespace Glimmer.Training;

/// <summary>What one training step did.</summary>
public sealed record StepReport
{
    /// <summary>Number of the step, from 0.</summary>
    public required long Step { get; init; }

    /// <summary>Tokens that went through the model before this step.</summary>
    public required long TokensSeen { get; init; }

    /// <summary>Tokens of this step.</summary>
    public required long Tokens { get; init; }

    /// <summary>Sum of the weights of all targets: the normaliser of the loss.</summary>
    public required double TargetWeight { get; init; }

    /// <summary>Mean cross-entropy of the next token over the global batch.</summary>
    public required double Loss { get; init; }

    /// <summary>Mean cross-entropy of each MTP depth.</summary>
    public required IReadOnlyList<double> NextTokenLosses { get; init; }

    /// <summary>Weight of the MTP loss.</summary>
    public required double NextTokenWeight { get; init; }

    /// <summary>Balance loss of each router, unweighted: the mean over the rows.</summary>
    public required IReadOnlyList<double> BalanceLosses { get; init; }

    /// <summary>Loss of each indexer that learns, unweighted: the mean over the tokens, in the order of the layers.</summary>
    public IReadOnlyList<double> IndexerLosses { get; init; } = [];

    /// <summary>Mean cross-entropy of each source that has a name, when that was asked for; those without a target in this step are missing.</summary>
    public IReadOnlyDictionary<string, double> ChannelLosses { get; init; } = new Dictionary<string, double>();

    /// <summary>Everything that was minimised: loss, MTP, balance, z-loss, indexers, with their weights.</summary>
    public required double Objective { get; init; }

    /// <summary>Global norm of the gradients before clipping.</summary>
    public required double GradientNorm { get; init; }

    /// <summary>Factor that the gradients were multiplied by.</summary>
    public required double ClipFactor { get; init; }

    /// <summary>Learning rate.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Tokens of each expert, a router each, in the order of the layers.</summary>
    public required IReadOnlyList<ExpertLoad> Experts { get; init; }

    /// <summary>What was not finite, so that the step was skipped: the parameter whose gradient it was, or, when a router or indexer met NaN, the first such weight or else <c>forward pass</c>. Null after an ordinary step.</summary>
    public string? SkippedBecauseOf { get; init; }
}
