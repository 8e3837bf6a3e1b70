using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Cli;

namespace Glimmer.Tests.Cli;

public class ChatCommandTests
{
    private const string Question = "What is the capital of France?";
    private const string Answer = "The capital of France is Paris.\n";

    [Fact]
    public void Piped_input_is_one_message_and_only_the_answer_is_printed()
    {
        CommandRun run = CommandRun.With(Question + "\n", "chat", "--model", "base").Succeeded();
        Assert.Equal(Answer, run.Output);
        Assert.Equal("", run.Error);
    }

    [Fact]
    public void A_message_on_the_command_line_is_answered_without_reading_input()
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var terminal = new Terminal { Output = output, Error = error, OpenInput = () => throw new InvalidOperationException("the input is read") };
        Assert.Equal(ExitCodes.Success, GlimmerCommand.Run(["chat", "--model", "base", Question, "--stats"], terminal));
        Assert.Equal(Answer, output.ToString());
        Assert.Contains("0 of them reused", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void No_message_is_a_usage_error()
    {
        CommandRun run = CommandRun.With(" \n", "chat", "--model", "base");
        Assert.Equal(ExitCodes.Usage, run.ExitCode);
        Assert.Contains("standard input is empty", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_conversation_is_saved_loaded_and_computed_only_where_it_is_new()
    {
        using var folder = new TemporaryFolder();
        string path = folder["talk.json"];
        string[] lines = [Question, "And of \\", "Italy?", $"/save {path}", "/reset", "/save " + folder["empty.json"], $"/load {path}", "/system Be brief.", "/system", "/help", "/nonsense", "/think", "/tool 1", "/exit", "never read"];
        CommandRun run = CommandRun.With(string.Join('\n', lines), "chat", "--model", "base", "--interactive", "--stats", "-n", "16").Succeeded();
        Assert.StartsWith(Answer, run.Output, StringComparison.Ordinal);
        Assert.Contains("Be brief.\n", run.Output, StringComparison.Ordinal);
        Assert.Contains("/nothink", run.Output, StringComparison.Ordinal);
        foreach (string notice in (string[])["unknown command '/nonsense'", "no thinking switch", "called no tool"])
            Assert.Contains(notice, run.Error, StringComparison.Ordinal);
        string second = run.Error.Split('\n').Last(line => line.Contains("reused", StringComparison.Ordinal));
        Assert.Matches("prompt [0-9]+ tokens, [3-9][0-9] of them reused", second);
        JsonElement messages = JsonDocument.Parse(File.ReadAllText(path)).RootElement.GetProperty("messages");
        Assert.Equal(["user", "assistant", "user", "assistant"], messages.EnumerateArray().Select(message => message.GetProperty("role").GetString()));
        Assert.Equal("And of \nItaly?", messages[2].GetProperty("content").GetString());
        Assert.Equal(0, JsonDocument.Parse(File.ReadAllText(folder["empty.json"])).RootElement.GetProperty("messages").GetArrayLength());

        CommandRun more = CommandRun.Of("chat", "--model", "base", "Thanks.", "--load", path, "--stats", "-n", "2").Succeeded();
        Assert.Contains("cut after 2 tokens", more.Error, StringComparison.Ordinal);
        Assert.DoesNotContain(".partial", string.Concat(Directory.GetFiles(folder.ToString())), StringComparison.Ordinal);
    }

    [Fact]
    public void What_goes_wrong_with_a_command_does_not_end_the_chat()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["bad.json"], "{");
        File.WriteAllText(folder["worse.json"], """{"messages": [{"content": "x"}]}""");
        string[] lines = ["/load " + folder["none.json"], "/load " + folder["bad.json"], "/load " + folder["worse.json"], "/save", "/save " + folder["no/such/folder.json"], Question];
        CommandRun run = CommandRun.With(string.Join('\n', lines), "chat", "--model", "base", "-i").Succeeded();
        Assert.Equal(Answer, run.Output);
        string[] errors = run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(5, errors.Length);
        Assert.Contains("none.json", errors[0], StringComparison.Ordinal);
        Assert.Contains("not valid JSON", errors[1], StringComparison.Ordinal);
        Assert.Contains("messages[0].role", errors[2], StringComparison.Ordinal);
        Assert.Contains("needs the name of a file", errors[3], StringComparison.Ordinal);
    }

    [Fact]
    public void A_full_context_drops_the_oldest_turns_with_a_notice()
    {
        string[] lines = ["Say one.", "Say two.", "Say three.", string.Concat(Enumerable.Repeat("word ", 200)), "Say four."];
        CommandRun run = CommandRun.With(string.Join('\n', lines), "chat", "--model", "base", "-i", "--context", "96", "-n", "24").Succeeded();
        Assert.Contains("the oldest 2 messages are left out", run.Error, StringComparison.Ordinal);
        Assert.Contains("The message does not fit", run.Error, StringComparison.Ordinal);
        Assert.True(run.Lines.Length >= 4, run.Output);
    }

    [Fact]
    public void Thinking_is_shown_apart_and_left_out_of_piped_output()
    {
        MessageEvent[] events =
        [
            new ReasoningDelta("Let me "), new ReasoningDelta("see."), new TextDelta("It is "), new TextDelta("warm."), new ToolCallStart(0, "c", "weather"),
            new ToolCallEnd(0, new ToolCall { Id = "c", Name = "weather", Arguments = new DataObject { { "city", "Köln" } } }),
        ];
        Assert.Equal("Thinking:\nLet me see.\n\nAnswer:\nIt is warm.\n[tool call] weather {\"city\": \"Köln\"}\n", Shown(interactive: true, color: false));
        Assert.Equal("\e[2mThinking:\nLet me see.\n\e[0m\nIt is warm.\n\e[33m[tool call] weather {\"city\": \"Köln\"}\e[0m\n", Shown(interactive: true, color: true));
        Assert.Equal("It is warm.\n[tool call] weather {\"city\": \"Köln\"}\n", Shown(interactive: false, color: false));

        string Shown(bool interactive, bool color)
        {
            using var output = new StringWriter();
            var terminal = new Terminal { Output = output, Error = TextWriter.Null, OpenInput = () => TextReader.Null, OutputIsTerminal = color, Color = color };
            new MessageWriter(terminal, interactive).Write(events);
            return output.ToString();
        }
    }
}
