using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Batching;

namespace Glimmer.Training.Objectives;

/// <summary>What a step minimises beside MTP and router losses: a function of the trunk's hidden states.</summary>
public abstract class TrainingObjective
{
    private protected TrainingObjective()
    {
    }

    /// <summary>Cross-entropy of the targets, weighted, as a mean over the step.</summary>
    public static TrainingObjective CrossEntropy { get; } = new CrossEntropyObjective();

    /// <summary>Dynamic fine-tuning (DFT): each target's loss times its probability, which is taken as a constant.</summary>
    public static TrainingObjective DynamicFineTuning { get; } = new DynamicFineTuningObjective();

    /// <summary>Whether every target has a log-probability of its own, which losses by source need.</summary>
    internal virtual bool HasTokenLosses => false;

    /// <summary>A step over these micro-batches begins.</summary>
    internal virtual void Begin(IReadOnlyList<MicroBatch> batch)
    {
    }

    /// <summary>Adds the loss of a micro-batch to the tape.</summary>
    /// <param name="c">Context with a tape.</param>
    /// <param name="hidden">Hidden states after the final norm, [T, D].</param>
    /// <param name="head">Output matrix, [V, D].</param>
    /// <param name="micro">The micro-batch.</param>
    /// <param name="scale">1 / sum of the target weights of the step.</param>
    /// <param name="channels">Receives the losses by source; null where they are not wanted.</param>
    /// <returns>The micro-batch's share of the step's loss.</returns>
    internal abstract double Loss(Compute c, Tensor hidden, Parameter head, MicroBatch micro, double scale, ChannelLosses? channels);

    private sealed class CrossEntropyObjective : TrainingObjective
    {
        internal override bool HasTokenLosses => true;

        internal override double Loss(Compute c, Tensor hidden, Parameter head, MicroBatch micro, double scale, ChannelLosses? channels)
        {
            (int[] targets, float[] weights) = micro.TargetsOf(0, scale);
            float[] logProbabilities = channels is null ? [] : new float[targets.Length];
            double loss = CrossEntropyLoss.Forward(c, hidden, head, targets, weights, logProbabilities);
            channels?.Add(micro, logProbabilities);
            return loss;
        }
    }
}
