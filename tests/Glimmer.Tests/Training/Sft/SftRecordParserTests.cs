using System.Text.Json;
using Glimmer.Training.Sft;

namespace Glimmer.Tests.Training.Sft;

public class SftRecordParserTests
{
    [Theory]
    [InlineData("""{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}""")]
    [InlineData("""{"conversation":[{"human":"q","assistant":"a"}]}""")]
    [InlineData("""{"query":"q","response":"a"}""")]
    [InlineData("""{"instruction":"q","input":"","output":"a"}""")]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"text","text":"q"}]},{"role":"assistant","content":[{"type":"text","text":"a"}]}]}""")]
    public void Every_format_becomes_the_same_messages(string json) => Assert.Equal("user:q assistant:a", Text(json));

    [Fact]
    public void History_and_system_come_first() =>
        Assert.Equal("system:s user:1 assistant:2 user:3 assistant:4", Text("""{"system":"s","history":[["1","2"]],"query":"3","response":"4"}"""));

    [Theory]
    [InlineData("""{"role":"tool_call","content":"{\"name\":\"f\",\"arguments\":{\"x\":1}}"},{"role":"tool_response","content":"r"}""")]
    [InlineData("""{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"1","content":"r"}""")]
    [InlineData("""{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{"x":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[{"type":"text","text":"r"}]}]}""")]
    public void Calls_and_results_of_every_api_are_the_same(string middle)
    {
        SftRecord record = Parse($$"""{"messages":[{"role":"user","content":"q"},{{middle}},{"role":"assistant","content":"a"}]}""");
        Assert.Equal(["user", "assistant", "tool", "assistant"], record.Messages.Select(message => message.Message.Role));
        Assert.Equal("f", record.Messages[1].Message.ToolCalls.Single().Name);
        Assert.Equal("""{"x": 1}""", record.Messages[1].Message.ToolCalls.Single().ArgumentsJson);
        Assert.Equal("r", record.Messages[2].Message.Content!.AsString);
    }

    [Fact]
    public void Assistant_messages_in_a_row_are_one_turn_whose_parts_keep_their_weights()
    {
        SftRecord record = Parse("""{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"ab","loss":false},{"role":"assistant","content":"cde","loss_scale":2}]}""");
        Assert.Equal(2, record.Messages.Count);
        Assert.Equal("abcde", record.Messages[1].Message.Content!.AsString);
        Assert.Equal(0, record.Messages[1].Weight);
        Assert.Equal([new LossSpan(2, 5, 2)], record.Messages[1].Spans);
    }

    [Theory]
    [InlineData("[]", "expected an object")]
    [InlineData("""{"prompt":"x"}""", "found prompt")]
    [InlineData("""{"messages":[]}""", "empty")]
    [InlineData("""{"messages":[{"role":"user","content":"q"}]}""", "last message is from 'user'")]
    [InlineData("""{"messages":[{"role":"robot","content":"q"}]}""", "'robot' is unknown")]
    [InlineData("""{"messages":[{"role":"user"},{"role":"assistant","content":"a"}]}""", "messages[0]: 'content' is missing")]
    [InlineData("""{"messages":[{"role":"user","content":"q"},{"role":"tool_call","content":"f(x)"}]}""", "must be JSON")]
    [InlineData("""{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","loss":"no"}]}""", "loss must be true or false")]
    [InlineData("""{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"abc","loss_spans":[[2,9,0]]}]}""", "<= 3 characters")]
    [InlineData("""{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"tools":[{"type":"function"}]}""", "function.name")]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"image","image":"x"}]},{"role":"assistant","content":"a"}]}""", "type 'image' cannot be trained on")]
    public void A_bad_record_says_what_is_wrong(string json, string reason) =>
        Assert.Contains(reason, Assert.Throws<FormatException>(() => Parse(json)).Message, StringComparison.Ordinal);

    private static SftRecord Parse(string json) => SftRecordParser.Parse(JsonDocument.Parse(json).RootElement, new RecordPlace("data.jsonl", 1));

    private static string Text(string json) => string.Join(' ', Parse(json).Messages.Select(message => $"{message.Message.Role}:{message.Message.Content!.AsString}"));
}
