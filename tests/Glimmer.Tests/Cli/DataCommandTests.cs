using Glimmer.Cli;
using Glimmer.Data.Tokens;

namespace Glimmer.Tests.Cli;

public class DataCommandTests
{
    private static readonly string s_model = Path.Combine(Fixtures.Repository, "models", "SmolLM2-135M-Instruct.Q4_1.gguf");

    [Fact]
    public void The_miniature_is_written_and_becomes_shards_with_its_tokenizer()
    {
        using var folder = new TemporaryFolder();
        CommandRun.Of("data", "miniature", "--out", folder.ToString(), "--size", "40K", "--count", "20", "--vocab-size", "400").Succeeded();
        Assert.Equal(20, File.ReadLines(folder["sft.jsonl"]).Count());
        Assert.True(File.ReadLines(folder["questions.jsonl"]).Count() > 2000);
        CommandRun.Of("tokenize-corpus", folder["general.jsonl"], folder["middle.jsonl"], "--tokenizer", folder.ToString(), "--out", folder["tokens"], "--control-tokens").Succeeded();
        using TokenShards shards = TokenShards.Open(folder["tokens"]);
        Assert.Equal(File.ReadLines(folder["general.jsonl"]).Count() + File.ReadLines(folder["middle.jsonl"]).Count(), shards.Count);
        CommandRun.Of("tokenize-corpus", folder["general.jsonl"], "--tokenizer", folder.ToString(), "--out", folder["tokens"]).Failed(ExitCodes.Failure, "holds shards already");
    }

    [Fact]
    public void Lines_that_are_no_documents_stop_or_are_left_out()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["a.jsonl"], "{\"text\": \"one\"}\nnothing\n{\"text\": \"two\"}\n");
        CommandRun.Of("tokenize-corpus", folder["a.jsonl"], "--tokenizer", s_model, "--out", folder["a"]).Failed(ExitCodes.Failure, "line 2 (byte 16)");
        Assert.Empty(Directory.GetFiles(folder["a"]));
        CommandRun.Of("tokenize-corpus", folder["a.jsonl"], "--tokenizer", s_model, "--out", folder["b"], "--skip-bad-lines").Succeeded();
        using TokenShards shards = TokenShards.Open(folder["b"]);
        Assert.Equal(2, shards.Count);
    }

    [Fact]
    public void Nano_is_written_from_the_data_of_the_recipe()
    {
        using var folder = new TemporaryFolder();
        CommandRun run = CommandRun.Of("data", "nano", "--sources", Path.Combine(Fixtures.Repository, "recipes", "nano", "data"), "--out", folder.ToString(), "--count", "40").Succeeded();
        Assert.Contains("306 functions, 3110 different prompts, 7470 problems of GSM8K", run.Output, StringComparison.Ordinal);
        Assert.Equal(40, File.ReadLines(folder["records.jsonl"]).Count());
        run = CommandRun.Of("data", "nano", "--sources", folder["none"], "--out", folder.ToString());
        Assert.Equal(ExitCodes.Usage, run.ExitCode);
        Assert.Contains("--sources", run.Error, StringComparison.Ordinal);
    }
}
