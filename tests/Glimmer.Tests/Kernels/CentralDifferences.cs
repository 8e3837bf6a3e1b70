namespace Glimmer.Tests.Kernels;

/// <summary>Compares a gradient with central differences in fp64.</summary>
internal static class CentralDifferences
{
    /// <summary>Largest allowed difference, relative to the larger of 1 and the gradient.</summary>
    private const double Tolerance = 1e-6;

    public static void Assert(Func<double> loss, double[] input, double[] gradient, string name) => Check(input, gradient, loss, name);

    public static void Check(double[] x, double[] gradient, Func<double> loss, string what)
    {
        const double Step = 1e-5;
        double largest = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double original = x[i];
            x[i] = original + Step;
            double up = loss();
            x[i] = original - Step;
            double down = loss();
            x[i] = original;
            largest = Math.Max(largest, Math.Abs((up - down) / (2 * Step) - gradient[i]) / Math.Max(1, Math.Abs(gradient[i])));
        }

        Xunit.Assert.True(largest < Tolerance, $"{what}: largest difference to central differences {largest:E2}");
    }
}
