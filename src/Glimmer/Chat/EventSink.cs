using System.Text;

namespace Glimmer.Chat;

/// <summary>Collects what a parser finds: the events of a stream, neighbours merged, and the texts of the whole message.</summary>
internal sealed class EventSink(MessageGrammar grammar)
{
    private readonly StringBuilder _reasoning = new();
    private readonly StringBuilder _content = new();
    private readonly StreamTrimmer _reasoningStream = new(grammar.TrimReasoning);
    private readonly StreamTrimmer _contentStream = new(grammar.TrimContent);
    private readonly StringBuilder _pending = new();
    private List<MessageEvent> _events = [];
    private bool _pendingIsReasoning;

    public void Text(bool isReasoning, ReadOnlySpan<char> text)
    {
        if (text.Length == 0)
            return;
        if (isReasoning != _pendingIsReasoning)
            FlushText();
        _pendingIsReasoning = isReasoning;
        (isReasoning ? _reasoning : _content).Append(text);
        (isReasoning ? _reasoningStream : _contentStream).Pass(text, _pending);
    }

    public void Add(MessageEvent item)
    {
        FlushText();
        _events.Add(item);
    }

    /// <summary>An unfinished call: text of the message, but not of the stream, which has announced a call already.</summary>
    public void Cut(int index, bool isReasoning, string rawText)
    {
        Add(new ToolCallCut(index, rawText));
        (isReasoning ? _reasoning : _content).Append(rawText);
    }

    public IReadOnlyList<MessageEvent> TakeEvents()
    {
        FlushText();
        if (_events.Count == 0)
            return [];
        List<MessageEvent> taken = _events;
        _events = [];
        return taken;
    }

    public ParsedMessage ToMessage(List<ToolCall> calls) => new(Text(_reasoning, grammar.TrimReasoning), Text(_content, grammar.TrimContent), calls);

    private static string? Text(StringBuilder builder, bool trims)
    {
        string text = builder.ToString();
        text = trims ? PythonText.Trim(text).ToString() : text;
        return text.Length == 0 ? null : text;
    }

    private void FlushText()
    {
        if (_pending.Length == 0)
            return;
        string text = _pending.ToString();
        _pending.Clear();
        _events.Add(_pendingIsReasoning ? new ReasoningDelta(text) : new TextDelta(text));
    }
}
