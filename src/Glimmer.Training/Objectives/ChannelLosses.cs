using Glimmer.Training.Batching;

namespace Glimmer.Training.Objectives;

/// <summary>The cross-entropy of each named source over a step.</summary>
internal sealed class ChannelLosses
{
    private readonly SortedDictionary<string, (double Loss, double Weight)> _sums = new(StringComparer.Ordinal);

    /// <summary>Weighted means so far, by name; sources without a target are missing.</summary>
    public IReadOnlyDictionary<string, double> Means => _sums.Where(sum => sum.Value.Weight > 0).ToDictionary(sum => sum.Key, sum => sum.Value.Loss / sum.Value.Weight, StringComparer.Ordinal);

    /// <summary>Adds a micro-batch.</summary>
    /// <param name="micro">The micro-batch.</param>
    /// <param name="logProbabilities">Of the target of each of its tokens, [T].</param>
    public void Add(MicroBatch micro, ReadOnlySpan<float> logProbabilities)
    {
        int row = 0;
        foreach (TrainingDocument document in micro.Documents)
        {
            for (int i = 0; i < document.Tokens.Length; i++, row++)
            {
                if (document.Channel is not { } channel || document.Targets[i] < 0 || document.Weights[i] == 0)
                    continue;
                (double loss, double weight) = _sums.GetValueOrDefault(channel);
                _sums[channel] = (loss - (document.Weights[i] * (double)logProbabilities[row]), weight + document.Weights[i]);
            }
        }
    }
}
