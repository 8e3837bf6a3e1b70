using Glimmer.Kernels;

namespace Glimmer.Training.Balance;

/// <summary>How a router turns logits into scores.</summary>
internal enum RouterScore
{
    /// <summary>Sigmoid, normalised over all experts: GLM.</summary>
    Sigmoid,

    /// <summary>Softmax.</summary>
    Softmax,
}

/// <summary>Losses of a router's logits with their gradients, in fp64.</summary>
internal static class RouterLosses
{
    /// <summary>Balance loss of one sequence (or of a whole batch taken as one): <c>weight * sum_e f_e P_e</c>.</summary>
    /// <param name="logits">[T, E], without padding.</param>
    /// <param name="experts">E.</param>
    /// <param name="topK">K.</param>
    /// <param name="score">How logits become scores.</param>
    /// <param name="weight">Factor of the loss; 1 / sequences of the global batch is part of it.</param>
    /// <param name="length">
    /// n of the formulas, usually T. (Megatron-core uses one average length for all sequences of a padded batch.)
    /// </param>
    /// <param name="gradient">The gradient is added, [T, E]; may be empty.</param>
    /// <returns>The loss, weighted.</returns>
    /// <remarks>
    /// <para><c>f_e = E / (K n) count of e</c> in the top K of the scores without bias; <c>P_e = 1 / n sum_t s_te / (sum_j s_tj + 1e-20)</c>. The counts carry no gradient.</para>
    /// <para>DeepSeek-V3 (arXiv 2412.19437), eq. 17-20; equals <c>switch_load_balancing_loss_func</c> of Megatron-core a sequence. Ties: the lower expert.</para>
    /// </remarks>
    public static double Balance(
        ReadOnlySpan<float> logits, int experts, int topK, RouterScore score, double weight, double length, Span<float> gradient = default)
    {
        int tokens = logits.Length / experts;
        var scores = new double[experts];
        var counts = new long[experts];
        var probabilities = new double[experts];
        var single = new float[experts];
        Span<int> chosen = stackalloc int[topK];
        for (int t = 0; t < tokens; t++)
        {
            double sum = Scores(logits.Slice(t * experts, experts), score, scores);
            for (int e = 0; e < experts; e++)
            {
                probabilities[e] += scores[e] / sum;
                single[e] = (float)scores[e];
            }

            TopK.Select(single, chosen);
            foreach (int e in chosen)
                counts[e]++;
        }

        double loss = 0;
        var shares = new double[experts];
        for (int e = 0; e < experts; e++)
        {
            shares[e] = experts * counts[e] / (topK * length);
            loss += shares[e] * probabilities[e] / length;
        }

        for (int t = 0; t < tokens && !gradient.IsEmpty; t++)
        {
            double sum = Scores(logits.Slice(t * experts, experts), score, scores), mean = 0;
            for (int e = 0; e < experts; e++)
                mean += shares[e] * scores[e] / sum;
            for (int e = 0; e < experts; e++)
            {
                double slope = score == RouterScore.Sigmoid ? scores[e] * (1 - scores[e]) / sum : scores[e];
                gradient[(t * experts) + e] += (float)(weight / length * (shares[e] - mean) * slope);
            }
        }

        return weight * loss;
    }

    /// <summary>z-loss: <c>weight * sum_t logsumexp(logits_t)^2</c>; the weight holds 1 / tokens.</summary>
    /// <param name="logits">[T, E], without padding.</param>
    /// <param name="experts">E.</param>
    /// <param name="weight">Factor of the loss.</param>
    /// <param name="gradient">The gradient is added, [T, E]; may be empty.</param>
    /// <returns>The loss, weighted.</returns>
    /// <remarks>ST-MoE (arXiv 2202.08906), eq. 5. GLM does not use it.</remarks>
    public static double LogSumExp(ReadOnlySpan<float> logits, int experts, double weight, Span<float> gradient = default)
    {
        var scores = new double[experts];
        double loss = 0;
        for (int first = 0; first < logits.Length; first += experts)
        {
            double lse = Softmax(logits.Slice(first, experts), scores);
            loss += lse * lse;
            for (int e = 0; e < experts && !gradient.IsEmpty; e++)
                gradient[first + e] += (float)(weight * 2 * lse * scores[e]);
        }

        return weight * loss;
    }

    // Scores and their sum.
    private static double Scores(ReadOnlySpan<float> logits, RouterScore score, Span<double> scores)
    {
        if (score == RouterScore.Softmax)
        {
            Softmax(logits, scores);
            return 1;
        }

        double sum = 1e-20;
        for (int e = 0; e < logits.Length; e++)
            sum += scores[e] = 1 / (1 + Math.Exp(-(double)logits[e]));
        return sum;
    }

    private static double Softmax(ReadOnlySpan<float> logits, Span<double> probabilities)
    {
        double max = double.NegativeInfinity, sum = 0;
        foreach (float logit in logits)
            max = Math.Max(max, logit);
        for (int e = 0; e < logits.Length; e++)
            sum += probabilities[e] = Math.Exp(logits[e] - max);
        for (int e = 0; e < logits.Length; e++)
            probabilities[e] /= sum;
        return max + Math.Log(sum);
    }
}
