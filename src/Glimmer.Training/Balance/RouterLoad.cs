using Glimmer.Operations;

namespace Glimmer.Training.Balance;

/// <summary>What one router did during a micro-batch or a step.</summary>
/// <param name="bias">Its <c>e_score_correction_bias</c>.</param>
internal sealed class RouterLoad(Parameter bias)
{
    /// <summary>Its <c>e_score_correction_bias</c>.</summary>
    public Parameter Bias { get; } = bias;

    /// <summary>Tokens of each expert.</summary>
    public long[] Counts { get; } = new long[bias.Count];

    /// <summary>Balance loss, unweighted: the mean over the rows of the step.</summary>
    public double BalanceLoss { get; set; }

    /// <summary>z-loss, unweighted: the mean over the tokens of the step.</summary>
    public double ZLoss { get; set; }

    /// <summary>Adds what the same router did in the next micro-batch.</summary>
    public void Add(RouterLoad next)
    {
        for (int e = 0; e < Counts.Length; e++)
            Counts[e] += next.Counts[e];
        (BalanceLoss, ZLoss) = (BalanceLoss + next.BalanceLoss, ZLoss + next.ZLoss);
    }
}
