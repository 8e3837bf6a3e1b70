using Glimmer.Cli;

namespace Glimmer.Tests.Cli;

public class GlimmerCommandTests
{
    [Fact]
    public void Help_names_the_program_and_every_command()
    {
        CommandRun run = CommandRun.Of("--help").Succeeded();
        Assert.Contains("glimmer [command]", run.Output, StringComparison.Ordinal);
        foreach (string command in (string[])["chat", "generate", "score", "eval", "tokenize", "tokenizer", "inspect", "verify", "convert", "completion"])
        {
            Assert.Contains($"  {command} ", run.Output, StringComparison.Ordinal);
            Assert.Contains("Usage:", CommandRun.Of(command, "--help").Succeeded().Output, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("'nonsense'", "nonsense")]
    [InlineData("--temperature is '-1'", "generate", "--prompt", "a", "--temperature", "-1")]
    [InlineData("--temperature is 'nan'", "generate", "--prompt", "a", "--temperature", "nan")]
    [InlineData("--top-p is '0'", "chat", "a", "--top-p", "0")]
    [InlineData("--top-k is '1.5'", "chat", "a", "--top-k", "1.5")]
    [InlineData("--max-tokens is '0'", "generate", "--prompt", "a", "--max-tokens", "0")]
    [InlineData("--threads is '0'", "generate", "--prompt", "a", "--threads", "0")]
    [InlineData("--seed is '-3'", "generate", "--prompt", "a", "--seed", "-3")]
    [InlineData("exclude each other", "generate", "--prompt", "a", "--file", "b")]
    [InlineData("exclude each other", "generate", "--prompt", "a", "--chat", "--raw")]
    [InlineData("exclude each other", "chat", "a", "--think", "--no-think")]
    [InlineData("--strength lies between 0 and 1", "nano", "--out", "x", "--strength", "1.5")]
    [InlineData("Give one of", "tokenize", "a", "--jsonl", "b")]
    [InlineData("--type is 'q9_9'", "convert", "a", "b", "--type", "q9_9")]
    [InlineData("--type", "convert", "a", "b")]
    [InlineData("--vocab-size", "tokenizer", "train", "a", "--output", "b")]
    [InlineData("dir", "verify")]
    [InlineData("'csh'", "completion", "csh")]
    public void A_wrong_command_line_exits_with_2_and_says_why(string message, params string[] args) => CommandRun.Of(args).Failed(ExitCodes.Usage, message);

    [Theory]
    [InlineData("generate", "--prompt", "a", "--model", "no/such/model")]
    [InlineData("chat", "a", "--model", "no/such/model.gguf")]
    [InlineData("score", "no/such/model.safetensors", "--text", "a b c")]
    [InlineData("tokenize", "a", "--model", "no/such/model")]
    [InlineData("inspect", "no/such/model")]
    [InlineData("verify", "no/such/model")]
    [InlineData("convert", "no/such/model", "out.gguf", "--type", "f32")]
    [InlineData("tokenizer", "train", "no/such/model", "--vocab-size", "300", "--output", "out")]
    public void A_missing_file_is_one_line_and_exit_code_1(params string[] args) => CommandRun.Of(args).Failed(ExitCodes.Failure, "no/such/model");

    [Fact]
    public void An_unsupported_architecture_is_one_line()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["config.json"], """{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 8}""");
        File.WriteAllBytes(folder["model.safetensors"], [2, 0, 0, 0, 0, 0, 0, 0, (byte)'{', (byte)'}']);
        CommandRun.Of("generate", "--prompt", "a", "--model", folder.ToString()).Failed(ExitCodes.Failure, "Qwen3ForCausalLM");
        CommandRun run = CommandRun.Of("inspect", folder.ToString());
        Assert.Equal(ExitCodes.Failure, run.ExitCode);
        Assert.Contains("Qwen3ForCausalLM (not supported)", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Verbose_adds_the_stack() =>
        Assert.Contains("   at Glimmer.", CommandRun.Of("inspect", "no/such/model", "--verbose").Error, StringComparison.Ordinal);

    [Theory]
    [InlineData("bash", "complete -o default -F _glimmer glimmer")]
    [InlineData("zsh", "compdef _glimmer glimmer")]
    [InlineData("fish", "complete -c glimmer")]
    [InlineData("pwsh", "Register-ArgumentCompleter")]
    public void Completion_scripts_ask_for_suggestions(string shell, string registration)
    {
        CommandRun run = CommandRun.Of("completion", shell).Succeeded();
        Assert.Contains(registration, run.Output, StringComparison.Ordinal);
        Assert.Contains("[suggest:", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("glimmer gen", "generate")]
    [InlineData("glimmer generate --temp", "--temperature")]
    [InlineData("glimmer convert --type q8", "q8_0")]
    [InlineData("glimmer completion f", "fish")]
    public void Suggestions_complete_a_line(string line, string expected) =>
        Assert.Contains(expected, CommandRun.Of($"[suggest:{line.Length}]", line).Succeeded().Lines);
}
