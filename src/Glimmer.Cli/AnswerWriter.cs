using Glimmer.Chat;
using Glimmer.Inference;

namespace Glimmer.Cli;

/// <summary>Asks, streams the answer to the terminal, and says on the error stream what the user should know about it.</summary>
internal sealed class AnswerWriter(Terminal terminal, ChatSession session, bool interactive, bool stats)
{
    private int _omitted;

    /// <summary>Asks and shows the answer.</summary>
    public void Answer(ChatMessage message)
    {
        IEnumerable<MessageEvent> events = session.Ask(message, terminal.Interrupted);
        if (session.OmittedMessages > _omitted)
            terminal.Notice($"the context of {session.ContextLength} tokens is full: the oldest {session.OmittedMessages} messages are left out of the prompt.");
        _omitted = session.OmittedMessages;
        new MessageWriter(terminal, interactive).Write(events);
        GenerationMeter meter = session.Meter!;
        if (meter.Finish == FinishReason.Length)
            terminal.Notice($"the answer was cut after {meter.GeneratedTokens} tokens; --max-tokens raises the limit.");
        if (meter.Finish == FinishReason.Context)
            terminal.Notice($"the answer was cut because the context of {session.ContextLength} tokens is full.");
        if (stats)
        {
            terminal.Notice(
                $"prompt {meter.PromptTokens} tokens, {meter.ReusedTokens} of them reused, {meter.PromptTokensPerSecond:f1} tokens/s; first token after {meter.ToFirstToken.TotalSeconds:f2} s; "
                + $"generated {meter.GeneratedTokens} tokens, {meter.TokensPerSecond:f1} tokens/s");
        }
    }
}
