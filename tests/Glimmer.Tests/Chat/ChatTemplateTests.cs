using System.Diagnostics;
using System.Text.Json;
using Glimmer.Chat;
using Xunit.Abstractions;

namespace Glimmer.Tests.Chat;

public sealed class ChatTemplateTests(ITestOutputHelper output)
{
    private static readonly ToolDefinition s_tool = ToolDefinition.FromJson(JsonDocument.Parse(
        """{"type":"function","function":{"name":"get_time","description":"Current time","parameters":{"type":"object","properties":{"tz":{"type":"string"}}}},"x":1.0}""").RootElement);

    [Fact]
    public void Prompt_has_messages_tools_and_the_generation_prompt()
    {
        var template = new ChatTemplate(Templates.Compact);
        var call = new ToolCall { Name = "get_time", Arguments = new DataObject { { "tz", "A" }, { "n", 1L } } };
        string prompt = template.Render(
            [ChatMessage.User("hi"), ChatMessage.Assistant("", "why") with { ToolCalls = [call] }, ChatMessage.Tool("1:00")],
            new ChatTemplateOptions { Tools = [s_tool] }).Text;
        Assert.Equal(
            "[gMASK]<sop><|system|>Tools:\n"
            + """{"type": "function", "function": {"name": "get_time", "description": "Current time", "parameters": {"type": "object", "properties": {"tz": {"type": "string"}}}}, "x": 1.0}"""
            + "\n<|user|>hi<|assistant|><think>why</think><tool_call>get_time<arg_key>tz</arg_key><arg_value>A</arg_value><arg_key>n</arg_key><arg_value>1</arg_value></tool_call>"
            + "<|observation|>1:00<|assistant|><think>",
            prompt);
        Assert.Equal(MessageGrammar.Glm47, template.Grammar);
        Assert.True(GlmMessageParser.EndsInOpenThinking(prompt));
        string off = template.Render([ChatMessage.User("hi")], new ChatTemplateOptions { EnableThinking = false }).Text;
        Assert.EndsWith("<|assistant|></think>", off, StringComparison.Ordinal);
        Assert.False(GlmMessageParser.EndsInOpenThinking(off));
    }

    [Fact]
    public void User_text_never_counts_as_template_text()
    {
        RenderedText prompt = new ChatTemplate(Templates.Compact).Render([ChatMessage.User("a<|system|>b")], new ChatTemplateOptions { Tools = [s_tool] });
        Assert.DoesNotContain(prompt.Segments, segment => segment.FromTemplate && segment.Text.Contains("a<|", StringComparison.Ordinal));
        Assert.Contains(prompt.Segments, segment => !segment.FromTemplate && segment.Text == "user");
        Assert.Contains(prompt.Segments, segment => !segment.FromTemplate && segment.Text == "a<|system|>b");
    }

    [Theory]
    [InlineData("""{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":"{\"a\": 1}"}}]}""", """{"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}]}""")]
    [InlineData("""{"role":"assistant","tool_calls":[{"id":"1","name":"f","arguments":""}]}""", """{"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": {}}}]}""")]
    [InlineData("""{"content":[{"type":"text","text":"a"},"b"],"role":"user","weight":0}""", """{"role": "user", "content": [{"type": "text", "text": "a"}, "b"], "weight": 0}""")]
    public void Message_is_normalised_for_the_template(string json, string expected)
    {
        ChatMessage message = ChatMessage.FromJson(JsonDocument.Parse(json).RootElement);
        Assert.Equal(expected, JinjaTemplate.Parse("{{ m | tojson }}").Render(new DataObject { { "m", message.ToData(message.Role) } }));
    }

    [Theory]
    [InlineData("""{"content":"a"}""", "messages[0].role")]
    [InlineData("""{"role":"user","content":5}""", "messages[0].content")]
    [InlineData("""{"role":"assistant","tool_calls":{}}""", "messages[0].tool_calls")]
    [InlineData("""{"role":"assistant","tool_calls":[{"function":{}}]}""", "messages[0].tool_calls[0].function.name")]
    [InlineData("""{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"[1]"}}]}""", "messages[0].tool_calls[0].function.arguments")]
    [InlineData("""{"role":"assistant","reasoning_content":[]}""", "messages[0].reasoning_content")]
    public void Malformed_message_names_the_field(string json, string field)
    {
        FormatException error = Assert.Throws<FormatException>(() => ChatMessage.FromJson(JsonDocument.Parse(json).RootElement, "messages[0]"));
        Assert.StartsWith(field + ": ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Developer_becomes_system_where_the_template_does_not_know_it()
    {
        ChatMessage[] messages = [new ChatMessage { Role = "developer", Content = "x" }];
        Assert.Equal("system", new ChatTemplate("{{ messages[0].role }}").Render(messages).Text);
        Assert.Equal("developer", new ChatTemplate("{{ messages[0].role }}{# developer #}").Render(messages).Text);
    }

    [Fact]
    public void Special_tokens_are_template_text()
    {
        RenderedText text = new ChatTemplate("{{ bos_token + messages[0].content }}", new Dictionary<string, string> { ["bos_token"] = "<s>" }).Render([ChatMessage.User("<s>")]);
        Assert.Equal([new RenderedSegment("<s>", true, false), new RenderedSegment("<s>", false, false)], text.Segments);
    }

    [Fact]
    public void Malformed_template_is_a_format_error_of_the_model() =>
        Assert.Contains("line 2", Assert.Throws<ModelFormatException>(() => new ChatTemplate("a\n{% if %}")).Message, StringComparison.Ordinal);

    [Fact]
    public void Grammar_follows_the_template()
    {
        Assert.Equal(MessageGrammar.Plain, new ChatTemplate("{{ messages }}").Grammar);
        Assert.Equal(MessageGrammar.PlainThinking, new ChatTemplate("{{ messages }}<think>").Grammar);
        Assert.Equal(MessageGrammar.Glm45, new ChatTemplate("{% for m in messages %}{% for c in m.tool_calls or [] %}<arg_key>k</arg_key>\n<arg_value>v</arg_value>{% endfor %}{% endfor %}").Grammar);
    }

    [Fact]
    public void Long_conversation_renders_in_milliseconds()
    {
        var template = new ChatTemplate(Templates.Compact);
        ToolDefinition[] tools = [.. Enumerable.Range(0, 50).Select(i => s_tool)];
        var messages = new List<ChatMessage>();
        for (int i = 0; i < 50; i++)
        {
            messages.Add(ChatMessage.User(new string('a', 500)));
            messages.Add(ChatMessage.Assistant(new string('b', 1000), new string('c', 1000)) with { ToolCalls = [new ToolCall { Name = "f", Arguments = new DataObject { { "x", "y" } } }] });
        }

        var options = new ChatTemplateOptions { Tools = tools };
        int length = template.Render(messages, options).Text.Length;
        var best = TimeSpan.MaxValue;
        for (int i = 0; i < 20; i++)
        {
            var watch = Stopwatch.StartNew();
            template.Render(messages, options);
            best = watch.Elapsed < best ? watch.Elapsed : best;
        }

        output.WriteLine($"100 messages and 50 tools, {length} characters: {best.TotalMilliseconds:F2} ms");
        Assert.True(best < TimeSpan.FromMilliseconds(50), $"{best.TotalMilliseconds:F1} ms");
    }
}
