using Glimmer.Chat;

namespace Glimmer.Cli;

/// <summary>Shows a message as it arrives: text as it is, thinking dimmed and apart, tool calls on lines of their own.</summary>
internal sealed class MessageWriter
{
    private readonly Terminal _terminal;
    private readonly TextWriter? _reasoning;
    private readonly bool _interactive;
    private Part _part;
    private bool _endsLine = true;

    /// <summary>Creates a writer for one message.</summary>
    /// <param name="terminal">Where to write.</param>
    /// <param name="interactive">Whether thinking belongs to the output. Without, the answer alone is the result, and thinking goes to the error stream if that is a screen.</param>
    public MessageWriter(Terminal terminal, bool interactive)
    {
        (_terminal, _interactive) = (terminal, interactive);
        _reasoning = interactive ? terminal.Output : terminal.ErrorIsTerminal ? terminal.Error : null;
    }

    private enum Part
    {
        None,
        Reasoning,
        Text,
        Call,
    }

    /// <summary>Writes events until the message ends, and ends its last line.</summary>
    public void Write(IEnumerable<MessageEvent> events)
    {
        try
        {
            foreach (MessageEvent item in events)
                Write(item);
        }
        finally
        {
            if (_part == Part.Reasoning)
                EndReasoning();
            else if (!_endsLine)
                _terminal.Output.WriteLine();
        }
    }

    private void Write(MessageEvent item)
    {
        switch (item)
        {
            case ReasoningDelta delta:
                Enter(Part.Reasoning);
                _reasoning?.Write(delta.Text);
                _endsLine = delta.Text.EndsWith('\n');
                break;
            case TextDelta delta:
                Text(delta.Text);
                break;
            case ToolCallCut cut: // not shown so far, and no call after all
                Text(cut.RawText);
                break;
            case ToolCallEnd end:
                Enter(Part.Call);
                _terminal.Output.WriteLine(_terminal.Styled("33", $"[tool call] {end.Call.Name} {end.Call.ArgumentsJson}"));
                break;
        }
    }

    private void Text(string text)
    {
        Enter(Part.Text);
        _terminal.Output.Write(text);
        _endsLine = text.EndsWith('\n');
    }

    private void Enter(Part next)
    {
        if (_part == next)
            return;
        if (_part == Part.Reasoning)
        {
            EndReasoning();
            _reasoning?.WriteLine();
            if (_interactive && !_terminal.Color)
                _terminal.Output.WriteLine("Answer:");
        }
        else if (!_endsLine)
        {
            _terminal.Output.WriteLine();
        }

        if (next == Part.Reasoning)
            _reasoning?.Write(_terminal.Color ? "\e[2mThinking:\n" : "Thinking:\n");
        _part = next;
        _endsLine = true;
    }

    private void EndReasoning()
    {
        if (!_endsLine)
            _reasoning?.WriteLine();
        if (_terminal.Color)
            _reasoning?.Write("\e[0m");
        _endsLine = true;
    }
}
