using System.CommandLine;
using Glimmer.Chat;
using Glimmer.Inference;

namespace Glimmer.Cli;

/// <summary><c>glimmer chat</c>: talks with a model.</summary>
internal sealed class ChatCommand : Command
{
    private readonly Terminal _terminal;
    private readonly ModelOptions _model;
    private readonly SamplingArguments _sampling;
    private readonly Argument<string?> _message = new("message") { Arity = ArgumentArity.ZeroOrOne, Description = "Ask this one message and leave. Piped input is such a message too, all of it. Then only the answer is printed; thinking goes to the error stream if that is a terminal." };
    private readonly Option<string?> _system = new("--system") { Description = "System message.", HelpName = "text" };
    private readonly Option<bool> _think = new("--think") { Description = "Let the model think first, where its template has the switch." };
    private readonly Option<bool> _noThink = new("--no-think") { Description = "Answer without thinking." };
    private readonly Option<string?> _tools = new("--tools") { Description = "JSON file with tool definitions to offer to the model; its calls are shown, /tool gives their results.", HelpName = "path" };
    private readonly Option<string?> _load = new("--load") { Description = "Go on with a conversation that /save wrote.", HelpName = "path" };
    private readonly Option<bool> _interactive = new("--interactive", "-i") { Description = "Read messages and /commands line by line although input is piped." };
    private readonly Option<bool> _stats = new("--stats") { Description = "Print counts and times after each answer, on the error stream." };

    public ChatCommand(Terminal terminal)
        : base("chat", "Talk with a model. Without a message it asks for them; /help lists the commands there.")
    {
        _terminal = terminal;
        Add(_message);
        Add(_system);
        Add(_think);
        Add(_noThink);
        _sampling = new SamplingArguments(1024).AddTo(this);
        Add(_tools);
        Add(_load);
        Add(_interactive);
        Add(_stats);
        _model = new ModelOptions().AddTo(this);
        Validators.Add(result =>
        {
            if (result.GetValue(_think) && result.GetValue(_noThink))
                result.AddError("--think and --no-think exclude each other.");
            if (result.GetValue(_message) is not null && result.GetValue(_interactive))
                result.AddError("A message and --interactive exclude each other.");
        });
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        string? message = parsed.GetValue(_message);
        bool interactive = message is null && (_terminal.InputIsTerminal || parsed.GetValue(_interactive));
        if (!interactive)
        {
            message ??= TextInput.WithoutLastLineBreak(_terminal.Input.ReadToEnd());
            if (string.IsNullOrWhiteSpace(message))
                throw new UsageException("no message: standard input is empty.");
        }

        IReadOnlyList<ToolDefinition> tools = parsed.GetValue(_tools) is { } path ? ConversationFile.ReadTools(path) : [];
        IReadOnlyList<ChatMessage> earlier = parsed.GetValue(_load) is { } file ? ConversationFile.Read(file) : [];
        using LoadedModel model = _model.Open(parsed, _terminal);
        using var session = new ChatSession(model, _sampling.Options(parsed, model.Generation), _sampling.Context(parsed, model), tools);
        session.Load(earlier);
        session.System = parsed.GetValue(_system) ?? session.System;
        if (parsed.GetValue(_think) || parsed.GetValue(_noThink))
        {
            session.EnableThinking = parsed.GetValue(_think);
            if (!session.HasThinkingSwitch)
                _terminal.Notice("the template of this model has no thinking switch.");
        }

        var answers = new AnswerWriter(_terminal, session, interactive, parsed.GetValue(_stats));
        if (interactive)
            new ChatLoop(_terminal, session, answers).Run(Path.GetFileName(Path.TrimEndingDirectorySeparator(model.Path)));
        else
            answers.Answer(ChatMessage.User(message!));
        return ExitCodes.Success;
    }
}
