namespace Glimmer.Training.Losses;

/// <summary>Distance of a student's distribution from a teacher's, in fp64, with the gradient for the student.</summary>
/// <remarks>
/// <para>beta 0: <c>KL(teacher || student)</c>; beta 1: <c>KL(student || teacher)</c>; between: the generalised Jensen-Shannon divergence
/// <c>beta KL(teacher || m) + (1 - beta) KL(student || m)</c> with <c>m = (1 - beta) student + beta teacher</c>. Agarwal et al. 2024 (arXiv 2306.13649).</para>
/// </remarks>
internal static class Divergence
{
    /// <summary>The divergence and its gradient.</summary>
    /// <param name="teacher">log-probabilities, [N].</param>
    /// <param name="student">log-probabilities, [N].</param>
    /// <param name="beta">0 to 1.</param>
    /// <param name="gradient">Gradient with respect to <paramref name="student"/>, [N]; overwritten.</param>
    public static double Forward(ReadOnlySpan<double> teacher, ReadOnlySpan<double> student, double beta, Span<double> gradient)
    {
        double value = 0;
        for (int i = 0; i < student.Length; i++)
        {
            double p = Math.Exp(teacher[i]), q = Math.Exp(student[i]);
            if (beta == 0)
            {
                value += p == 0 ? 0 : p * (teacher[i] - student[i]);
                gradient[i] = -p;
            }
            else if (beta == 1)
            {
                value += q == 0 ? 0 : q * (student[i] - teacher[i]);
                gradient[i] = q == 0 ? 0 : q * (student[i] - teacher[i] + 1);
            }
            else
            {
                double m = ((1 - beta) * q) + (beta * p), logM = Math.Log(m);
                value += p == 0 ? 0 : beta * p * (teacher[i] - logM);
                value += q == 0 ? 0 : (1 - beta) * q * (student[i] - logM);

                // The derivatives of m in both terms cancel the 1 of d(q log q).
                gradient[i] = q == 0 ? 0 : (1 - beta) * q * (student[i] - logM);
            }
        }

        return value;
    }
}
