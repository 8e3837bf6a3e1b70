using Glimmer.Chat;
using Glimmer.Inference;

namespace Glimmer.Cli;

/// <summary>The interactive chat: reads messages and commands until the end of the input.</summary>
internal sealed class ChatLoop(Terminal terminal, ChatSession session, AnswerWriter answers)
{
    private const string Help = """
        /think          let the model think before it answers
        /nothink        answer without thinking
        /system [TEXT]  set the system message; without text show it
        /reset          forget the conversation, keep the system message
        /save FILE      write the conversation as JSON
        /load FILE      go on with a conversation that /save wrote
        /tool TEXT      give the result of the tool the model called
        /help           this list
        /exit           leave; so do Ctrl-D and Ctrl-C
        A line that ends in \ goes on in the next one. A message that begins with / is written with //.
        """;

    /// <summary>Runs until <c>/exit</c> or the end of the input.</summary>
    public void Run(string modelName)
    {
        if (terminal.InputIsTerminal)
            terminal.Output.WriteLine($"{terminal.Styled("1", modelName)}, context {session.ContextLength:n0} tokens. /help lists the commands, /exit leaves.");
        while (ReadMessage() is { } line)
        {
            if (line.StartsWith('/') && !line.StartsWith("//", StringComparison.Ordinal))
            {
                (string name, string argument) = line.Split(' ', 2, StringSplitOptions.TrimEntries) is [var first, var rest] ? (first, rest) : (line.Trim(), "");
                if (name is "/exit" or "/quit" or "/bye")
                    return;
                Guarded(() => Execute(name, argument));
            }
            else if (!string.IsNullOrWhiteSpace(line))
            {
                Guarded(() => answers.Answer(ChatMessage.User(line.StartsWith("//", StringComparison.Ordinal) ? line[1..] : line)));
            }
        }

        if (terminal.InputIsTerminal)
            terminal.Output.WriteLine();
    }

    private string? ReadMessage()
    {
        Prompt("> ");
        string? line = terminal.ReadLine();
        while (line is not null && line.EndsWith('\\'))
        {
            Prompt("  ");
            string? more = terminal.ReadLine();
            line = line[..^1] + (more is null ? "" : "\n" + more);
        }

        return line;
    }

    private void Prompt(string text)
    {
        if (terminal.InputIsTerminal)
            terminal.Output.Write(terminal.Styled("1;36", text));
    }

    // What goes wrong with one message or command does not end the conversation.
    private void Guarded(Action action)
    {
        try
        {
            action();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or FormatException or ArgumentException or JinjaException)
        {
            terminal.Notice(GlimmerCommand.OneLine(error));
        }
    }

    private void Execute(string name, string argument)
    {
        switch (name)
        {
            case "/think":
                SetThinking(true);
                break;
            case "/nothink":
                SetThinking(false);
                break;
            case "/system" when argument.Length == 0:
                terminal.Output.WriteLine(session.System ?? "There is no system message.");
                break;
            case "/system":
                session.System = argument;
                Say("The system message is set.");
                break;
            case "/reset":
                session.Reset();
                Say("The conversation is forgotten.");
                break;
            case "/save":
                ConversationFile.Write(FileName(name, argument), session.ToMessages());
                Say($"{session.ToMessages().Count} messages are in '{argument}'.");
                break;
            case "/load":
                session.Load(ConversationFile.Read(FileName(name, argument)));
                Say($"{session.ToMessages().Count} messages are loaded.");
                break;
            case "/tool":
                Answer(argument);
                break;
            case "/help":
                terminal.Output.WriteLine(Help);
                break;
            default:
                terminal.Notice($"unknown command '{name}'; /help lists the commands.");
                break;
        }
    }

    private static string FileName(string command, string argument) => argument.Length > 0 ? argument : throw new ArgumentException($"{command} needs the name of a file.");

    private void SetThinking(bool enabled)
    {
        session.EnableThinking = enabled;
        if (!session.HasThinkingSwitch)
            terminal.Notice("the template of this model has no thinking switch.");
        else
            Say(enabled ? "The model thinks before it answers." : "The model answers without thinking.");
    }

    private void Answer(string result)
    {
        if (session.Messages is not [.., { Role: "assistant", ToolCalls: [var call, ..] }])
            throw new ArgumentException("The model called no tool; /tool answers a call.");
        answers.Answer(ChatMessage.Tool(result, call.Id));
    }

    private void Say(string text) => terminal.Output.WriteLine(terminal.Styled("2", text));
}
