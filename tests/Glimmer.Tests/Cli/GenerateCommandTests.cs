using System.Text;
using System.Text.Json;
using Glimmer.Cli;

namespace Glimmer.Tests.Cli;

public class GenerateCommandTests
{
    private const string Prompt = "The capital of France is";

    [Fact]
    public void A_prompt_is_continued_from_option_file_or_input_alike()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["prompt.txt"], Prompt + "\n");
        string fromOption = CommandRun.Of("generate", "--model", "base", "--prompt", Prompt, "-n", "3").Succeeded().Output;
        Assert.StartsWith(" Paris", fromOption, StringComparison.Ordinal);
        Assert.Equal(fromOption, CommandRun.Of("generate", "--model", "base", "--file", folder["prompt.txt"], "-n", "3").Succeeded().Output);
        Assert.Equal(fromOption, CommandRun.With(Prompt + "\n", "generate", "--model", "base", "-n", "3").Succeeded().Output);
    }

    [Fact]
    public void Json_holds_tokens_log_probabilities_reason_usage_and_timings()
    {
        JsonElement json = CommandRun.Of("generate", "--model", "base", "--prompt", "What is the capital of France?", "--chat", "--json", "--stats").Succeeded().Json;
        Assert.Equal("The capital of France is Paris.", json.GetProperty("text").GetString());
        Assert.Equal("stop", json.GetProperty("finish_reason").GetString());
        int[] tokens = [.. json.GetProperty("tokens").EnumerateArray().Select(token => token.GetInt32())];
        Assert.Equal(tokens.Length, json.GetProperty("logprobs").EnumerateArray().Count(value => value.GetDouble() <= 0));
        JsonElement usage = json.GetProperty("usage");
        Assert.Equal(tokens.Length, usage.GetProperty("completion_tokens").GetInt32());
        Assert.Equal(usage.GetProperty("total_tokens").GetInt32(), usage.GetProperty("prompt_tokens").GetInt32() + tokens.Length);
        Assert.True(json.GetProperty("timings").GetProperty("first_token_seconds").GetDouble() > 0);
        Assert.True(json.GetProperty("timings").GetProperty("tokens_per_second").GetDouble() > 0);
        Assert.Equal("The capital of France is Paris.<|im_end|>\n", CommandRun.Of(["tokenize", "--decode", .. tokens.Select(token => $"{token}")]).Succeeded().Output);
    }

    [Fact]
    public void A_rendered_prompt_is_taken_as_it_is_with_raw()
    {
        string[] args = ["generate", "--model", "base", "--prompt", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "-n", "2", "--json"];
        int asText = CommandRun.Of(args).Succeeded().Json.GetProperty("usage").GetProperty("prompt_tokens").GetInt32();
        int asRendered = CommandRun.Of([.. args, "--raw"]).Succeeded().Json.GetProperty("usage").GetProperty("prompt_tokens").GetInt32();
        Assert.True(asRendered < asText - 10, $"{asRendered} tokens against {asText}");
    }

    [Fact]
    public void A_seed_decides_the_text()
    {
        string[] args = ["generate", "--model", "base", "--prompt", "Once", "-n", "4", "--temperature", "1.5", "--top-k", "200", "--json"];
        Assert.Equal(Text("1"), Text("1"));
        Assert.NotEqual(Text("1"), Text("2"));

        string? Text(string seed)
        {
            JsonElement json = CommandRun.Of([.. args, "--seed", seed]).Succeeded().Json;
            Assert.Equal(seed, json.GetProperty("seed").GetRawText());
            return json.GetProperty("text").GetString();
        }
    }

    [Fact]
    public void Stats_go_to_the_error_stream()
    {
        CommandRun run = CommandRun.Of("generate", "--model", "base", "--prompt", "a", "-n", "2", "--stats").Succeeded();
        Assert.Contains("generated 2 tokens", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void An_empty_prompt_and_a_context_above_the_models_are_refused()
    {
        CommandRun.With("", "generate", "--model", "base", "--context", "8", "--prompt", string.Concat(Enumerable.Repeat("word ", 20))).Failed(ExitCodes.Failure, "context holds 8");
        CommandRun run = CommandRun.Of("generate", "--model", "base", "--prompt", "a", "--context", "8193");
        Assert.Equal(ExitCodes.Usage, run.ExitCode);
        Assert.Contains("8192", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Ctrl_C_ends_between_two_tokens_with_130()
    {
        using var interrupt = new CancellationTokenSource();
        using var output = new InterruptingWriter(interrupt, afterWrites: 5);
        using var error = new StringWriter();
        int exitCode = GlimmerCommand.Run(
            ["generate", "--model", "base", "--prompt", "Once upon a time", "-n", "500"],
            new Terminal { Output = output, Error = error, OpenInput = () => TextReader.Null, Interrupted = interrupt.Token });
        Assert.Equal(ExitCodes.Interrupted, exitCode);
        Assert.Equal("", error.ToString());
        Assert.InRange(output.ToString().Length, 1, 100);
    }

    private sealed class InterruptingWriter(CancellationTokenSource interrupt, int afterWrites) : StringWriter
    {
        private int _writes;

        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(ReadOnlySpan<char> buffer)
        {
            base.Write(buffer);
            if (++_writes == afterWrites)
                interrupt.Cancel();
        }
    }
}
