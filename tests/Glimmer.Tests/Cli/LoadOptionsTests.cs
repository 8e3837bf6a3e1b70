using Glimmer.Cli;

namespace Glimmer.Tests.Cli;

public class LoadOptionsTests
{
    private static readonly string[] s_generate = ["generate", "--model", "base", "--prompt", "The capital of France is", "-n", "2", "--json"];

    [Fact]
    public void A_pack_cache_and_shorter_pages_are_used()
    {
        using var folder = new TemporaryFolder();
        string expected = CommandRun.Of(s_generate).Succeeded().Json.GetProperty("tokens").GetRawText();
        for (int start = 0; start < 2; start++)
        {
            string[] args = [.. s_generate, "--pack-cache", folder["packed"], .. start == 1 ? ["--verify-pack-cache"] : Array.Empty<string>()];
            Assert.Equal(expected, CommandRun.Of(args).Succeeded().Json.GetProperty("tokens").GetRawText());
            Assert.Single(Directory.GetFiles(folder["packed"]));
        }

        foreach (string type in new[] { "bf16", "int8" })
            Assert.Equal(expected, CommandRun.Of([.. s_generate, "--kv-cache-type", type]).Succeeded().Json.GetProperty("tokens").GetRawText());
    }

    [Fact]
    public void A_dense_model_beyond_the_budget_is_refused_before_it_is_loaded()
    {
        using var folder = new TemporaryFolder();
        CommandRun.Of([.. s_generate, "--pack-cache", folder["packed"], "--memory-budget", "10M"]).Failed(ExitCodes.Failure, "has no experts");
        Assert.False(Directory.Exists(folder["packed"]));
    }

    [Theory]
    [InlineData("--memory-budget", "2G", "needs --pack-cache")]
    [InlineData("--memory-budget", "much", "expected a size")]
    [InlineData("--memory-budget", "0", "expected a size")]
    [InlineData("--kv-cache-type", "q4", "q4")]
    public void Options_that_cannot_work_are_usage_errors(string option, string value, string text) =>
        CommandRun.Of([.. s_generate, option, value, .. text.StartsWith("needs", StringComparison.Ordinal) ? Array.Empty<string>() : ["--pack-cache", "unused"]])
            .Failed(ExitCodes.Usage, text);

    [Theory]
    [InlineData("1", 1)]
    [InlineData("10b", 10)]
    [InlineData("1.5K", 1536)]
    [InlineData("800M", 800L << 20)]
    [InlineData("6GiB", 6L << 30)]
    [InlineData("2gb", 2L << 30)]
    [InlineData("1T", 1L << 40)]
    public void Sizes_have_binary_units(string text, long bytes)
    {
        Assert.True(SizeOption.TryParse(text, out long parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("G")]
    [InlineData("-1G")]
    [InlineData("1e9")]
    [InlineData("NaN")]
    [InlineData("99999999T")]
    public void What_is_no_size_is_refused(string text) => Assert.False(SizeOption.TryParse(text, out _));
}
