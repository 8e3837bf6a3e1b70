using Glimmer.Environments.Evaluation;

namespace Glimmer.Tests.Environments.Evaluation;

public class WilsonIntervalTests
{
    // The wins of 52 tasks that the CC-Bench report gives, with intervals to a tenth of a percent.
    [Theory]
    [InlineData(21, 52, 0.282, 0.539)]
    [InlineData(28, 52, 0.405, 0.667)]
    [InlineData(42, 52, 0.681, 0.892)]
    public void Intervals_are_the_tabulated_ones(int hits, int count, double low, double high)
    {
        WilsonInterval interval = WilsonInterval.Of(hits, count);
        Assert.Equal(low, interval.Low, 0.0005);
        Assert.Equal(high, interval.High, 0.0005);
    }

    [Fact]
    public void The_ends_are_exact_without_hits_and_without_misses()
    {
        Assert.Equal(0, WilsonInterval.Of(0, 7).Low);
        Assert.Equal(1, WilsonInterval.Of(7, 7).High);
        Assert.Equal(new WilsonInterval(0, 1), WilsonInterval.Of(0, 0));
    }
}
