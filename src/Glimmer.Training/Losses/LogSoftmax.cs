namespace Glimmer.Training.Losses;

/// <summary>Log-softmax of one row of logits, in fp64, with its backward pass. The losses here see one position at a time.</summary>
internal static class LogSoftmax
{
    /// <summary><c>y[i] = x[i] / temperature - logsumexp(x / temperature)</c>.</summary>
    /// <param name="logits">[V].</param>
    /// <param name="temperature">Divides the logits.</param>
    /// <param name="logProbabilities">Result, [V].</param>
    public static void Forward(ReadOnlySpan<float> logits, double temperature, Span<double> logProbabilities)
    {
        for (int i = 0; i < logits.Length; i++)
            logProbabilities[i] = logits[i] / temperature;
        Normalise(logProbabilities);
    }

    /// <summary>Subtracts the log-sum-exp in place.</summary>
    public static void Normalise(Span<double> values)
    {
        double max = double.NegativeInfinity, sum = 0;
        foreach (double value in values)
            max = Math.Max(max, value);
        foreach (double value in values)
            sum += Math.Exp(value - max);
        double lse = max + Math.Log(sum);
        foreach (ref double value in values)
            value -= lse;
    }

    /// <summary><c>dx[i] = (dy[i] - exp(y[i]) sum_j dy[j]) / temperature</c>, in place on <paramref name="gradient"/>.</summary>
    /// <param name="logProbabilities">Result of the forward pass, [V].</param>
    /// <param name="temperature">As in the forward pass.</param>
    /// <param name="gradient">Gradient of the result; becomes that of the logits, [V].</param>
    public static void Backward(ReadOnlySpan<double> logProbabilities, double temperature, Span<double> gradient)
    {
        double sum = 0;
        foreach (double value in gradient)
            sum += value;
        for (int i = 0; i < gradient.Length; i++)
            gradient[i] = (gradient[i] - (Math.Exp(logProbabilities[i]) * sum)) / temperature;
    }
}
