namespace Glimmer.Training.Losses;

/// <summary>What becomes of the probability outside the kept tokens in <see cref="Distillation.TopK"/>.</summary>
public enum OutsideSupport
{
    /// <summary>Both distributions are renormalised over the kept tokens.</summary>
    Renormalise,

    /// <summary>One more bucket holds the rest of each.</summary>
    Bucket,

    /// <summary>It is left out: the sum over the kept tokens of both full distributions. May be negative.</summary>
    Drop,

    /// <summary>The teacher is renormalised over the kept tokens, the student keeps its full distribution.</summary>
    RenormaliseTeacher,
}

/// <summary>Distillation losses on logits: the whole vocabulary of the teacher, or its k best tokens.</summary>
/// <remarks>
/// Logits of both are divided by the temperature; there is no factor of temperature squared. Values are sums over the positions with a weight; divide by the number of labelled positions for a mean. Everything is fp64
/// but the logits and their gradient. References: trl 1.16 <c>GKDTrainer.generalized_jsd_loss</c> and <c>sdpo.loss_utils</c>.
/// </remarks>
public static class Distillation
{
    /// <summary>The loss of one position over the whole vocabulary.</summary>
    /// <param name="student">Logits, [V].</param>
    /// <param name="teacher">Logits, [V]; no gradient reaches them.</param>
    /// <param name="beta">0 forward KL, 1 reverse KL, between a Jensen-Shannon divergence.</param>
    /// <param name="temperature">Divides both.</param>
    /// <param name="weight">Factor of the loss: 1 / number of labelled positions for a mean.</param>
    /// <param name="gradient">The gradient is added, [V].</param>
    /// <returns>The loss, weighted.</returns>
    public static double Full(ReadOnlySpan<float> student, ReadOnlySpan<float> teacher, double beta, double temperature, double weight, Span<float> gradient)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(teacher.Length, student.Length, nameof(teacher));
        ArgumentOutOfRangeException.ThrowIfNotEqual(gradient.Length, student.Length, nameof(gradient));
        var p = new double[student.Length];
        var q = new double[student.Length];
        var dq = new double[student.Length];
        LogSoftmax.Forward(teacher, temperature, p);
        LogSoftmax.Forward(student, temperature, q);
        double value = Divergence.Forward(p, q, beta, dq);
        LogSoftmax.Backward(q, temperature, dq);
        Add(dq, weight, gradient);
        return weight * value;
    }

    /// <summary>The loss of one position over some tokens.</summary>
    /// <param name="student">Logits, [V].</param>
    /// <param name="tokens">The kept tokens, [K]: the teacher's best, or the student's (no gradient passes through the choice).</param>
    /// <param name="teacher">log-probabilities of the kept tokens in the teacher's full distribution, [K].</param>
    /// <param name="outside">What becomes of the rest.</param>
    /// <param name="alpha">As beta of <see cref="Full"/>.</param>
    /// <param name="weight">Factor of the loss.</param>
    /// <param name="gradient">The gradient is added, [V].</param>
    /// <returns>The loss, weighted.</returns>
    public static double TopK(
        ReadOnlySpan<float> student, ReadOnlySpan<int> tokens, ReadOnlySpan<double> teacher, OutsideSupport outside, double alpha, double weight, Span<float> gradient)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(teacher.Length, tokens.Length, nameof(teacher));
        ArgumentOutOfRangeException.ThrowIfNotEqual(gradient.Length, student.Length, nameof(gradient));
        int kept = tokens.Length, buckets = outside == OutsideSupport.Bucket ? kept + 1 : kept;
        var full = new double[student.Length];
        LogSoftmax.Forward(student, 1, full);
        var p = new double[buckets];
        var q = new double[buckets];
        var dq = new double[buckets];
        for (int i = 0; i < kept; i++)
            (p[i], q[i]) = (teacher[i], full[tokens[i]]);
        bool studentFull = outside is OutsideSupport.Drop or OutsideSupport.RenormaliseTeacher;
        double bucketSlope = 0;
        switch (outside)
        {
            case OutsideSupport.Renormalise:
                LogSoftmax.Normalise(p);
                LogSoftmax.Normalise(q);
                break;
            case OutsideSupport.Bucket:
                (p[kept], _) = Rest(p.AsSpan(0, kept));
                (q[kept], bucketSlope) = Rest(q.AsSpan(0, kept));
                break;
            case OutsideSupport.RenormaliseTeacher:
                LogSoftmax.Normalise(p);
                break;
        }

        double value = Divergence.Forward(p, q, alpha, dq);
        if (outside == OutsideSupport.Renormalise)
            LogSoftmax.Backward(q, 1, dq);

        // The bucket is a function of the kept ones: d log(1 - sum exp q) / d q_i = -exp(q_i) / (1 - sum exp q).
        var dfull = new double[student.Length];
        for (int i = 0; i < kept; i++)
            dfull[tokens[i]] += dq[i] - (outside == OutsideSupport.Bucket ? dq[kept] * bucketSlope * Math.Exp(q[i]) : 0);
        if (studentFull || outside == OutsideSupport.Bucket)
            LogSoftmax.Backward(full, 1, dfull);
        Add(dfull, weight, gradient);
        return weight * value;
    }

    // log(1 - sum exp(x)) with the log of the sum at most -1e-7, and exp of minus it where that limit is not reached (else no gradient).
    private static (double Log, double Slope) Rest(ReadOnlySpan<double> x)
    {
        double sum = 0;
        foreach (double value in x)
            sum += Math.Exp(value);
        double log = Math.Min(Math.Log(sum), -1e-7), rest = -Math.Exp(log) + 1;
        return (Math.Log(rest), Math.Log(sum) <= -1e-7 ? 1 / rest : 0);
    }

    private static void Add(ReadOnlySpan<double> values, double weight, Span<float> gradient)
    {
        for (int i = 0; i < values.Length; i++)
            gradient[i] += (float)(weight * values[i]);
    }
}
