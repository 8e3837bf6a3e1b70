using Glimmer.Training.Objectives;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;

namespace Glimmer.Training;

/// <summary>What schedules count.</summary>
public enum ScheduleUnit
{
    /// <summary>Optimizer steps taken.</summary>
    Steps,

    /// <summary>Tokens that went through the model.</summary>
    Tokens,
}

/// <summary>What to do when a gradient is not a finite number, or a router or indexer meets one in the forward pass.</summary>
public enum NotFiniteGradient
{
    /// <summary>Throw; weights and optimizer are as they were before the step.</summary>
    Stop,

    /// <summary>Leave weights and optimizer as they are and go on with the next step.</summary>
    Skip,
}

/// <summary>How DSA indexers learn.</summary>
public enum IndexerStage
{
    /// <summary>Not at all.</summary>
    Frozen,

    /// <summary>They alone, from dense attention. Everything else is frozen, so each layer's gradients are computed where it stands and no backward pass runs.</summary>
    WarmUp,

    /// <summary>From the attention over the keys they choose, beside the rest of the model, which learns from its own losses.</summary>
    Sparse,
}

/// <summary>How a model is trained. The defaults are those of GLM's pre-training where the reports state them.</summary>
public sealed record TrainerOptions
{
    /// <summary>Optimizer.</summary>
    public OptimizerOptions Optimizer { get; init; } = new();

    /// <summary>Learning rate.</summary>
    public required Schedule LearningRate { get; init; }

    /// <summary>What all schedules here count.</summary>
    public ScheduleUnit Unit { get; init; } = ScheduleUnit.Tokens;

    /// <summary>Largest global norm of the gradients; null to leave them as they are.</summary>
    public double? ClipNorm { get; init; } = 1;

    /// <summary>Depths of the MTP loss; 0 for none. More than one applies the MTP layer repeatedly, with the same weights.</summary>
    public int NextTokenDepths { get; init; }

    /// <summary>Weight of the MTP loss (the mean over its depths). GLM-4.5: 0.3, and 0.1 after 15e12 tokens.</summary>
    public Schedule NextTokenWeight { get; init; } = Schedule.Constant(0.3);

    /// <summary>Rate of loss-free balancing; 0 freezes the biases, which fine-tuning wants. GLM-4.5: 1e-3, and 0 after 15e12 tokens.</summary>
    public Schedule BiasRate { get; init; } = Schedule.Constant(0);

    /// <summary>Weight of the sequence balance loss, summed over the routers. GLM-4.5: 1e-4.</summary>
    public double BalanceWeight { get; init; }

    /// <summary>Weight of the router's z-loss. GLM does not use it.</summary>
    public double ZLossWeight { get; init; }

    /// <summary>Whether and how DSA indexers learn. Without it they are frozen.</summary>
    public IndexerStage Indexer { get; init; }

    /// <summary>Factor of the indexers' loss, a mean over the tokens, summed over the layers.</summary>
    public double IndexerWeight { get; init; } = 1;

    /// <summary>Whether decoder layers keep only their input and run again in the backward pass: less memory, a third more work, the same bits.</summary>
    public bool RecomputeBlocks { get; init; }

    /// <summary>What is minimised beside the MTP and router losses.</summary>
    public TrainingObjective Objective { get; init; } = TrainingObjective.CrossEntropy;

    /// <summary>Whether the loss of each named source (<see cref="Batching.TrainingDocument.Channel"/>) is reported too.</summary>
    public bool ChannelLosses { get; init; }

    /// <summary>
    /// Whether each of several ranks holds some of the routed experts instead of all. The model has to be loaded that way (<see cref="Glimmer.Models.LoadOptions.ExpertShare"/>). The same bits, less memory, and rows
    /// that travel in every layer. One process holds them all.
    /// </summary>
    public bool ExpertParallel { get; init; }

    /// <summary>Which parameters of the model are trained; null for all. An adapter is trained as a whole.</summary>
    public ParameterSelection? Parameters { get; init; }

    /// <summary>Seed of dropout and of the noise on embeddings.</summary>
    public ulong Seed { get; init; }

    /// <summary>Size of NEFTune's uniform noise on the embeddings, divided by the root of document length times width; 0 for none.</summary>
    public double EmbeddingNoise { get; init; }

    /// <summary>LoRA+: factor of the learning rate of the factors B of an adapter.</summary>
    public double LoraPlusRatio { get; init; } = 1;

    /// <summary>What to do when a gradient is not finite.</summary>
    public NotFiniteGradient NotFinite { get; init; } = NotFiniteGradient.Stop;
}
