namespace Glimmer.Environments.Evaluation;

/// <summary>The 95 % interval of a proportion.</summary>
/// <param name="Low">Lower end, 0 to 1.</param>
/// <param name="High">Upper end, 0 to 1.</param>
public readonly record struct WilsonInterval(double Low, double High)
{
    // The 97.5 % quantile of the normal distribution.
    private const double Z = 1.959963984540054;

    /// <summary>
    /// Wilson's score interval: centre <c>(p + z²/2n) / (1 + z²/n)</c>, half-width <c>z sqrt(p(1-p)/n + z²/4n²) / (1 + z²/n)</c>. Its lower end is 0 without hits, its upper end 1 when all hit.
    /// </summary>
    /// <param name="hits">Number of hits.</param>
    /// <param name="count">Number of trials, assumed independent; without any the interval is 0 to 1.</param>
    public static WilsonInterval Of(int hits, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(hits);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(hits, count);
        if (count == 0)
            return new WilsonInterval(0, 1);
        double n = count, p = hits / n, scale = 1 + (Z * Z / n);
        double centre = (p + (Z * Z / (2 * n))) / scale, half = Z * Math.Sqrt((p * (1 - p) / n) + (Z * Z / (4 * n * n))) / scale;
        return new WilsonInterval(hits == 0 ? 0 : centre - half, hits == count ? 1 : centre + half);
    }
}
