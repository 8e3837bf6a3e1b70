namespace Glimmer.Training.Losses;

/// <summary>Log-probability of tokens under rows of logits, the entropy there, and the gradient of a weighted sum.</summary>
public static class SequenceLogProbability
{
    /// <summary>log-probability of one token.</summary>
    /// <param name="logits">[V].</param>
    /// <param name="token">The token.</param>
    /// <returns>Its log-probability, and the entropy of the distribution in nats.</returns>
    public static (double LogProbability, double Entropy) Of(ReadOnlySpan<float> logits, int token)
    {
        var all = new double[logits.Length];
        LogSoftmax.Forward(logits, 1, all);
        double entropy = 0;
        foreach (double value in all)
            entropy -= double.IsNegativeInfinity(value) ? 0 : Math.Exp(value) * value;
        return (all[token], entropy);
    }

    /// <summary>Adds the gradient of <c>upstream * log p(token)</c>: <c>upstream (1[i = token] - p_i)</c>.</summary>
    /// <param name="logits">[V].</param>
    /// <param name="token">The token.</param>
    /// <param name="upstream">Gradient of the log-probability.</param>
    /// <param name="gradient">The gradient is added, [V].</param>
    public static void AddGradient(ReadOnlySpan<float> logits, int token, double upstream, Span<float> gradient)
    {
        var all = new double[logits.Length];
        LogSoftmax.Forward(logits, 1, all);
        for (int i = 0; i < all.Length; i++)
            gradient[i] += (float)(upstream * ((i == token ? 1 : 0) - Math.Exp(all[i])));
    }
}
