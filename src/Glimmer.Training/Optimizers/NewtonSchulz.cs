namespace Glimmer.Training.Optimizers;

/// <summary>One iteration of Newton-Schulz: <c>s -> A s + B s^3 + C s^5</c> on every singular value.</summary>
/// <param name="A">Factor of X.</param>
/// <param name="B">Factor of <c>X X^T X</c>.</param>
/// <param name="C">Factor of <c>X X^T X X^T X</c>.</param>
public readonly record struct NewtonSchulzStep(double A, double B, double C)
{
    /// <summary>What the iteration makes of one singular value.</summary>
    public double Apply(double s) => s * (A + (s * s * (B + (s * s * C))));
}

/// <summary>
/// Coefficient lists of the Newton-Schulz iteration, which replaces a matrix by one with the same singular vectors and singular values near 1.
/// </summary>
public static class NewtonSchulz
{
    private static readonly NewtonSchulzStep s_simple = new(3.4445, -4.7750, 2.0315);

    /// <summary>Keller Jordan's triple in each of five iterations: what GLM trains with.</summary>
    public static IReadOnlyList<NewtonSchulzStep> Simple { get; } = [.. Enumerable.Repeat(s_simple, 5)];

    /// <summary>Five different triples that end nearer to 1: the default of Emerging-Optimizers, Megatron-core and ms-swift.</summary>
    public static IReadOnlyList<NewtonSchulzStep> Quintic { get; } =
    [
        new(4.0848, -6.8946, 2.9270), new(3.9505, -6.3029, 2.6377), new(3.7418, -5.5913, 2.3037), new(2.8769, -3.1427, 1.2046),
        new(2.8366, -3.0525, 1.2012),
    ];
}
