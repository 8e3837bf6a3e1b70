namespace Glimmer.Tests.Kernels;

/// <summary>Checks an analytic gradient in fp64 against <c>(f(x + h) - f(x - h)) / 2h</c>.</summary>
internal static class CentralDifferences
{
    public static void Assert(Func<double> loss, double[] input, double[] gradient, string name, double tolerance = 1e-6)
    {
        const double H = 1e-5;
        double worst = 0;
        for (int i = 0; i < input.Length; i++)
        {
            double value = input[i];
            input[i] = value + H;
            double up = loss();
            input[i] = value - H;
            double down = loss();
            input[i] = value;
            double expected = (up - down) / (2 * H);
            worst = Math.Max(worst, Math.Abs(expected - gradient[i]) / Math.Max(1, Math.Abs(expected)));
        }

        Xunit.Assert.True(worst <= tolerance, $"{name}: largest difference from central differences is {worst:E2}");
    }
}
