using System.Text.Json;
using Glimmer.Cli;

namespace Glimmer.Tests.Cli;

public class ScoreCommandTests
{
    private const string Text = "The quick brown fox jumps over the lazy dog.";

    [Fact]
    public void Sum_perplexity_and_bits_per_byte_belong_together()
    {
        JsonElement json = CommandRun.Of("score", "--model", "base", "--text", Text, "--json").Succeeded().Json;
        double[] values = [.. json.GetProperty("logprobs").EnumerateArray().Select(value => value.GetDouble())];
        Assert.Equal(json.GetProperty("tokens").GetArrayLength() - 1, values.Length);
        double sum = json.GetProperty("logprob_sum").GetDouble();
        Assert.Equal(values.Sum(), sum, 1e-4);
        Assert.Equal(Math.Exp(-sum / values.Length), json.GetProperty("perplexity").GetDouble(), 1e-6);
        Assert.Equal(Text.Length - "The".Length, json.GetProperty("scored_bytes").GetInt32());
        Assert.Equal(-sum / Math.Log(2) / (Text.Length - 3), json.GetProperty("bits_per_byte").GetDouble(), 1e-9);
    }

    [Fact]
    public void The_table_has_a_row_a_token_and_the_summary_has_none()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["text.txt"], Text);
        CommandRun table = CommandRun.Of("score", "--model", "base", "--file", folder["text.txt"]).Succeeded();
        CommandRun summary = CommandRun.With(Text, "score", "--model", "base", "--summary").Succeeded();
        Assert.Contains("\" quick\"", table.Output, StringComparison.Ordinal);
        Assert.Equal(5, summary.Lines.Length);
        Assert.Equal(summary.Lines, table.Lines[^5..]);
    }

    [Fact]
    public void A_text_of_one_token_cannot_be_scored() => CommandRun.Of("score", "--model", "base", "--text", "a").Failed(ExitCodes.Failure, "at least two");
}
