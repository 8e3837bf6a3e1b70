namespace Glimmer.Training.Balance;

/// <summary>How evenly the tokens of a step went to the experts of one layer.</summary>
/// <param name="Router">Name of the router's bias buffer.</param>
/// <param name="Counts">Tokens of each expert.</param>
public sealed record ExpertLoad(string Router, IReadOnlyList<long> Counts)
{
    /// <summary><c>max / mean - 1</c>: 0 when all experts have the same load.</summary>
    public double MaxVio => Total == 0 ? 0 : (Counts.Max() * (double)Counts.Count / Total) - 1;

    /// <summary>Entropy of the shares in nats; ln(experts) at best.</summary>
    public double Entropy => -Counts.Where(c => c > 0).Sum(c => c / (double)Total * Math.Log(c / (double)Total));

    /// <summary>Experts without a token.</summary>
    public int Dead => Counts.Count(c => c == 0);

    private long Total => Counts.Sum();

    /// <summary>Loss-free balancing: <c>bias_e += rate * sign(mean(counts) - counts_e)</c>, sign(0) = 0, in fp32.</summary>
    /// <param name="bias"><c>e_score_correction_bias</c>, [E].</param>
    /// <param name="counts">Tokens of each expert over the global batch, [E].</param>
    /// <param name="rate">Size of a move; 0 freezes. Fine-tuning uses 0.</param>
    /// <remarks>Wang et al. 2024 (arXiv 2408.15664).</remarks>
    internal static void UpdateBias(Span<float> bias, IReadOnlyList<long> counts, float rate)
    {
        double mean = counts.Sum() / (double)counts.Count;
        for (int e = 0; e < bias.Length; e++)
            bias[e] += rate * Math.Sign(mean - counts[e]);
    }
}
