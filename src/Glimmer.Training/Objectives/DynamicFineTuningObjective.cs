using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Batching;
using Glimmer.Training.Losses;

namespace Glimmer.Training.Objectives;

/// <summary>
/// Dynamic fine-tuning: <c>-p log p</c> of each target, its probability p taken as a constant, so that tokens the model thinks unlikely pull less. Weighted, as a mean over the step.
/// </summary>
/// <remarks>Wu et al. 2025 (arXiv 2508.05629), eq. 9; ms-swift <c>enable_dft_loss</c>. In fp64, a row at a time.</remarks>
internal sealed class DynamicFineTuningObjective : TrainingObjective
{
    internal override bool HasTokenLosses => true;

    internal override double Loss(Compute c, Tensor hidden, Parameter head, MicroBatch micro, double scale, ChannelLosses? channels)
    {
        (int[] targets, float[] weights) = micro.TargetsOf(0, scale);
        var loss = new Rows(targets, weights, head.AllRows);
        double sum = LogitsLoss.Forward(c, hidden, head, [.. Enumerable.Range(0, targets.Length).Where(i => targets[i] >= 0 && weights[i] != 0)], loss);
        channels?.Add(micro, loss.LogProbabilities);
        return sum;
    }

    private sealed class Rows(int[] targets, float[] weights, int vocabulary) : RowLoss
    {
        private readonly double[] _row = new double[vocabulary];

        public float[] LogProbabilities { get; } = new float[targets.Length];

        public override double Of(int index, int row, ReadOnlySpan<float> logits, Span<float> gradient)
        {
            LogSoftmax.Forward(logits, 1, _row);
            double logProbability = _row[targets[row]], factor = weights[row] * Math.Exp(logProbability);
            for (int i = 0; i < gradient.Length; i++)
                gradient[i] += (float)(factor * Math.Exp(_row[i]));
            gradient[targets[row]] -= (float)factor;
            LogProbabilities[row] = (float)logProbability;
            return -factor * logProbability;
        }
    }
}
