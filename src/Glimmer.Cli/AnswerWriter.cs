using System.Text;
using Glimmer.Chat;
using Glimmer.Inference;

namespace Glimmer.Cli;

/// <summary>Streams answers to the terminal: text as it is, thinking dimmed and apart, tool calls as such, notices on the error stream.</summary>
internal sealed class AnswerWriter(Terminal terminal, ChatSession session, bool interactive, bool stats)
{
    private enum Part
    {
        None,
        Reasoning,
        Text,
        Call,
    }

    // In a pipe the answer alone is the result.
    private readonly TextWriter? _reasoning = interactive ? terminal.Output : terminal.ErrorIsTerminal ? terminal.Error : null;
    private int _omitted;

    /// <summary>Asks and shows the answer.</summary>
    public void Answer(ChatMessage message)
    {
        IEnumerable<MessageEvent> events = session.Ask(message, terminal.Interrupted);
        if (session.OmittedMessages > _omitted)
            terminal.Notice($"the context of {session.ContextLength} tokens is full: the oldest {session.OmittedMessages} messages are left out of the prompt.");
        _omitted = session.OmittedMessages;
        var part = Part.None;
        bool endsLine = true;
        try
        {
            foreach (MessageEvent item in events)
            {
                switch (item)
                {
                    case ReasoningDelta delta:
                        Enter(Part.Reasoning);
                        _reasoning?.Write(delta.Text);
                        endsLine = delta.Text.EndsWith('\n');
                        break;
                    case TextDelta delta:
                        Write(delta.Text);
                        break;
                    case ToolCallCut cut:
                        Write(cut.RawText);
                        break;
                    case ToolCallEnd end:
                        Enter(Part.Call);
                        terminal.Output.WriteLine(terminal.Styled("33", $"[tool call] {end.Call.Name} {end.Call.ArgumentsJson}"));
                        endsLine = true;
                        break;
                }
            }
        }
        finally
        {
            if (part == Part.Reasoning && terminal.Color)
                _reasoning?.Write("\e[0m");
            if (part != Part.None && !endsLine && (part != Part.Reasoning || _reasoning is not null))
                (part == Part.Reasoning ? _reasoning! : terminal.Output).WriteLine();
        }

        Report();

        void Write(string text)
        {
            Enter(Part.Text);
            terminal.Output.Write(text);
            endsLine = text.EndsWith('\n');
        }

        // Each part starts on a line of its own, a heading marks the thinking.
        void Enter(Part next)
        {
            if (part == next)
                return;
            if (part == Part.Reasoning)
                _reasoning?.Write((endsLine ? "" : "\n") + (terminal.Color ? "\e[0m\n" : "\n"));
            else if (part != Part.None && !endsLine)
                terminal.Output.WriteLine();
            if (next == Part.Reasoning)
                _reasoning?.Write(terminal.Color ? "\e[2mThinking\n" : "Thinking\n");
            else if (part == Part.Reasoning && interactive && !terminal.Color)
                terminal.Output.WriteLine("Answer");
            part = next;
            endsLine = true;
        }
    }

    private void Report()
    {
        GenerationMeter meter = session.Meter!;
        if (meter.Finish == FinishReason.Length)
            terminal.Notice($"the answer was cut after {meter.GeneratedTokens} tokens; --max-tokens raises the limit.");
        if (meter.Finish == FinishReason.Context)
            terminal.Notice($"the answer was cut because the context of {session.ContextLength} tokens is full.");
        if (!stats)
            return;
        var text = new StringBuilder();
        text.Append($"prompt {meter.PromptTokens} tokens, {meter.ReusedTokens} of them reused, {meter.PromptTokensPerSecond:f1} tokens/s; first token after {meter.ToFirstToken.TotalSeconds:f2} s; ");
        text.Append($"generated {meter.GeneratedTokens} tokens, {meter.TokensPerSecond:f1} tokens/s");
        terminal.Notice(text.ToString());
    }
}
