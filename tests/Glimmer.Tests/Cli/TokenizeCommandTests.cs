using System.Text.Json;
using Glimmer.Cli;

namespace Glimmer.Tests.Cli;

public class TokenizeCommandTests
{
    [Theory]
    [InlineData("Hello world")]
    [InlineData("  Zwölf Boxkämpfer 😀\tjagen\n\nViktor  ")]
    [InlineData("<|im_start|>user")]
    [InlineData("@file -- [x] --special")]
    public void Ids_decode_to_the_text(string text)
    {
        string ids = CommandRun.With(text, "tokenize").Succeeded().Output;
        Assert.Equal(JsonValueKind.Array, JsonDocument.Parse(ids).RootElement.ValueKind);
        Assert.Equal(text + "\n", CommandRun.Of("tokenize", "--decode", ids).Succeeded().Output);
        Assert.Equal(text + "\n", CommandRun.With(ids, "tokenize", "--decode", "-").Succeeded().Output);
        Assert.Equal(ids, CommandRun.Of("tokenize", "--", text).Succeeded().Output);
    }

    [Fact]
    public void Special_tokens_are_text_unless_asked_for()
    {
        int asText = CommandRun.Of("tokenize", "<|im_end|>").Succeeded().Json.GetArrayLength();
        JsonElement asToken = CommandRun.Of("tokenize", "<|im_end|>", "--special").Succeeded().Json;
        Assert.True(asText > 1);
        Assert.Equal("[2]", asToken.GetRawText());
    }

    [Fact]
    public void Lines_of_json_become_lines_of_ids()
    {
        CommandRun run = CommandRun.With("{\"text\": \"Hello world\", \"id\": 1}\n\n{\"text\": \"\"}\n", "tokenize", "--jsonl", "-").Succeeded();
        Assert.Equal(["{\"ids\":[19556,905]}", "{\"ids\":[]}"], run.Lines);
        CommandRun.With("{\"text\": \"a\"}\n{\"txt\": 1}\n", "tokenize", "--jsonl", "-").Failed(ExitCodes.Failure, "line 2");
    }

    [Fact]
    public void A_terminal_gets_a_table_of_pieces()
    {
        using var output = new StringWriter();
        int exitCode = GlimmerCommand.Run(["tokenize", "Hi 😀\n"], new Terminal { Output = output, Error = TextWriter.Null, OpenInput = () => TextReader.Null, OutputIsTerminal = true });
        Assert.Equal(ExitCodes.Success, exitCode);
        Assert.Contains("\"Hi\"", output.ToString(), StringComparison.Ordinal);
        Assert.Contains("\\xF0\\x9F", output.ToString(), StringComparison.Ordinal);
        Assert.Contains("\"\\n\"", output.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("\e[", output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_no_id_is_a_usage_error()
    {
        CommandRun run = CommandRun.Of("tokenize", "--decode", "1", "x");
        Assert.Equal(ExitCodes.Usage, run.ExitCode);
        Assert.Contains("'x'", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_trained_tokenizer_encodes_its_text()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["a.txt"], string.Concat(Enumerable.Repeat("the cat sat on the mat\n", 50)));
        File.WriteAllText(folder["b.jsonl"], "{\"text\": \"the dog, the dog, the dog\"}\n");
        string[] args = ["tokenizer", "train", folder["a.txt"], folder["b.jsonl"], "--vocab-size", "280", "--special", "<|user|>", "--output", folder["out"]];
        CommandRun run = CommandRun.Of(args).Succeeded();
        Assert.Contains("tokenizer.json: ", run.Output, StringComparison.Ordinal);
        int length = CommandRun.Of("tokenize", "the cat sat", "--model", folder["out"]).Succeeded().Json.GetArrayLength();
        Assert.InRange(length, 2, 4);
        Assert.Equal(1, CommandRun.Of("tokenize", "<|user|>", "--special", "--model", folder["out"]).Succeeded().Json.GetArrayLength());
        CommandRun.Of(args).Failed(ExitCodes.Failure, "exists already");
        CommandRun few = CommandRun.Of([.. args[..^1], folder["few"], "--vocab-size", "256"]);
        Assert.Equal(ExitCodes.Usage, few.ExitCode);
    }
}
