using Glimmer.Cli;

namespace Glimmer.Tests.Cli;

public class BenchCommandTests
{
    [Fact]
    public void A_slice_is_made_and_measured_without_a_tokenizer()
    {
        using var folder = new TemporaryFolder();
        string path = folder["slice.gguf"];
        CommandRun.Of("bench", "--make", "tiny-mtp", "--type", "q4_0", "--out", path).Succeeded();
        string[] lines = CommandRun.Of("bench", path, "--tests", "pp16,tg4,mtp16@0.9", "--reps", "1", "--threads", "1", "--json").Succeeded().Lines;
        Assert.Equal(5, lines.Length);
        Assert.Contains("\"params\":", lines[0], StringComparison.Ordinal);
        Assert.Contains("\"test\":\"pp16\"", lines[1], StringComparison.Ordinal);
        Assert.Contains("\"read_share\":", lines[2], StringComparison.Ordinal);
        Assert.Contains("\"predicted_best\":", lines[3], StringComparison.Ordinal);
        Assert.Contains("\"weight_bytes\":", lines[4], StringComparison.Ordinal);
        Assert.Contains("tg4", CommandRun.Of("bench", path, "--tests", "tg4", "--reps", "1").Succeeded().Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Wrong_options_are_usage_errors()
    {
        Refuses("'speed' is no test", "--tests", "speed");
        Refuses("'far'", "--depth", "far");
        Refuses("f32 and q8", "--activations", "int8");
        Refuses("--make needs --type and --out", "--make", "tiny-mtp");
        Refuses("air-mtp", "--make", "huge", "--type", "q8_0", "--out", "x.gguf");
        Refuses(".gguf", "--make", "tiny-mtp", "--type", "q8_0", "--out", "x.bin");
    }

    private static void Refuses(string message, params string[] args)
    {
        CommandRun run = CommandRun.Of(["bench", .. args]);
        Assert.Equal(ExitCodes.Usage, run.ExitCode);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
        Assert.Empty(run.Output);
    }
}
