namespace Glimmer.Inference.Quality;

/// <summary>How close a model is to the one it was made from, over the tokens of a text.</summary>
/// <param name="Tokens">Tokens that are predicted.</param>
/// <param name="SourcePerplexity">Perplexity of the source with fp32 activations.</param>
/// <param name="F32">The model with fp32 activations.</param>
/// <param name="Q8">The model with 8-bit activations.</param>
public sealed record QualityReport(int Tokens, double SourcePerplexity, QualityFigures F32, QualityFigures Q8)
{
    /// <summary>
    /// Whether 8-bit activations are good enough to be the default: perplexity at most 0.5 % above that with fp32 activations, and the share of positions where the most likely token is the
    /// source's at most one percent point lower.
    /// </summary>
    public bool PrefersQ8 => Q8.Perplexity <= 1.005 * F32.Perplexity && Q8.SameTop >= F32.SameTop - 0.01;
}

/// <summary>Figures of one kind of activations.</summary>
/// <param name="Perplexity"><c>exp</c> of the mean negative log-probability of the text's tokens.</param>
/// <param name="MeanDivergence">Mean of KL(source || model) over the positions, in nats.</param>
/// <param name="P99Divergence">Its 99th percentile.</param>
/// <param name="SameTop">Share of positions where both have the same most likely token.</param>
public sealed record QualityFigures(double Perplexity, double MeanDivergence, double P99Divergence, double SameTop);
