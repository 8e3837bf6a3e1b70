using System.Text;
using Glimmer.Chat;

namespace Glimmer.Tests.Chat;

/// <summary>What a streaming client holds at the end: the deltas joined, calls read from their JSON.</summary>
internal sealed class StreamedMessage
{
    private readonly StringBuilder _reasoning = new();
    private readonly StringBuilder _content = new();

    public string? Reasoning => _reasoning.Length == 0 ? null : _reasoning.ToString();

    public string? Content => _content.Length == 0 ? null : _content.ToString();

    public List<(string Name, DataValue Arguments)> Calls { get; } = [];

    public (string Name, string Json)? OpenCall { get; private set; }

    public static StreamedMessage Collect(IEnumerable<MessageEvent> events)
    {
        var message = new StreamedMessage();
        foreach (MessageEvent item in events)
            message.Take(item);
        return message;
    }

    private void Take(MessageEvent item)
    {
        switch (item)
        {
            case ReasoningDelta reasoning:
                Assert.NotEmpty(reasoning.Text);
                _reasoning.Append(reasoning.Text);
                break;
            case TextDelta text:
                Assert.NotEmpty(text.Text);
                _content.Append(text.Text);
                break;
            case ToolCallStart start:
                Assert.Null(OpenCall);
                Assert.Equal(Calls.Count, start.Index);
                Assert.NotEmpty(start.Id);
                OpenCall = (start.Name, "");
                break;
            case ToolCallArguments arguments:
                Assert.NotEmpty(arguments.Json);
                OpenCall = (OpenCall!.Value.Name, OpenCall.Value.Json + arguments.Json);
                break;
            case ToolCallEnd end:
                DataValue streamed = DataValue.Parse(OpenCall!.Value.Json);
                Assert.Equal(end.Call.ArgumentsJson, streamed.ToJson());
                Calls.Add((OpenCall.Value.Name, streamed));
                OpenCall = null;
                break;
            case ToolCallCut cut:
                Assert.StartsWith("<tool_call>", cut.RawText, StringComparison.Ordinal);
                break;
        }
    }
}
