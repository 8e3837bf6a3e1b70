using Glimmer.Chat;
using Glimmer.Inference;

namespace Glimmer.Tests.Inference;

public class ConversationFileTests
{
    [Fact]
    public void A_conversation_is_read_as_it_was_written()
    {
        using var folder = new TemporaryFolder();
        var call = new ToolCall { Id = "call_1", Name = "weather", Arguments = new DataObject { { "city", "Köln" }, { "days", 3 } } };
        ChatMessage[] messages =
        [
            ChatMessage.System("Be brief."), ChatMessage.User("How is the \"weather\"?\n"), ChatMessage.Assistant("", "I must look.") with { ToolCalls = [call] },
            ChatMessage.Tool("warm", "call_1"), ChatMessage.Assistant("It is warm. ☀"),
        ];
        ConversationFile.Write(folder["a.json"], messages);
        IReadOnlyList<ChatMessage> read = ConversationFile.Read(folder["a.json"]);
        ConversationFile.Write(folder["b.json"], read);
        Assert.Equal(File.ReadAllText(folder["a.json"]), File.ReadAllText(folder["b.json"]));
        Assert.Equal(messages.Select(message => message.Content?.AsString), read.Select(message => message.Content?.AsString));
        Assert.Equal("I must look.", read[2].ReasoningContent);
        Assert.Equal("""{"city": "Köln", "days": 3}""", read[2].ToolCalls[0].ArgumentsJson);
        Assert.Equal("call_1", read[3].ToolCallId);
        Assert.Equal(2, Directory.GetFiles(folder.ToString()).Length);
    }

    [Theory]
    [InlineData("[", "not valid JSON")]
    [InlineData("3", "holds no conversation")]
    [InlineData("[{\"role\": 1}]", "messages[0].role")]
    public void What_is_no_conversation_is_refused(string text, string message)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["a.json"], text);
        Assert.Contains(message, Assert.Throws<FormatException>(() => ConversationFile.Read(folder["a.json"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tools_come_from_a_list_or_an_object()
    {
        using var folder = new TemporaryFolder();
        const string Tool = """{"type": "function", "function": {"name": "weather"}}""";
        File.WriteAllText(folder["a.json"], $"[{Tool}]");
        File.WriteAllText(folder["b.json"], $"{{\"tools\": [{Tool}]}}");
        File.WriteAllText(folder["c.json"], "{}");
        foreach (string name in (string[])["a.json", "b.json"])
            Assert.Equal("weather", Assert.Single(ConversationFile.ReadTools(folder[name])).Name);
        Assert.Throws<FormatException>(() => ConversationFile.ReadTools(folder["c.json"]));
    }
}
