using Glimmer.Chat;
using Glimmer.Tokenization;

namespace Glimmer.Inference;

/// <summary>A conversation with a model: keeps the messages, renders them, generates and parses answers, and computes only what is new in each turn.</summary>
/// <remarks>
/// When the conversation no longer fits into the context, its oldest turns are left out of the prompt (never the system message); they stay in <see cref="Messages"/>.
/// Not thread-safe.
/// </remarks>
public sealed class ChatSession : IDisposable
{
    private readonly LoadedModel _model;
    private readonly GenerationOptions _options;
    private readonly GenerationSession _session;
    private readonly List<ChatMessage> _messages = [];
    private int _omitted;

    // The last prompt and answer as text and as the ids that were really seen and generated: what the next prompt repeats is not tokenised again.
    private string _spokenText = "";
    private int[] _spokenIds = [];

    /// <summary>Starts an empty conversation.</summary>
    /// <param name="model">The model; shared, not owned.</param>
    /// <param name="options">How answers are generated; the model's stop tokens are added.</param>
    /// <param name="contextLength">Most tokens of prompt and answer together; 0 for what the model was made for.</param>
    /// <param name="tools">Tools offered to the model.</param>
    /// <exception cref="UnsupportedModelException">The model has no chat template.</exception>
    public ChatSession(LoadedModel model, GenerationOptions options, int contextLength = 0, IReadOnlyList<ToolDefinition>? tools = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(options);
        if (model.Template is null)
            throw new UnsupportedModelException($"'{model.Path}' has no chat template, so it cannot chat. Use 'generate' to continue a text.");
        _model = model;
        _options = options with { StopTokens = [.. options.StopTokens, .. model.StopTokens], ForbiddenTokens = (int[])[.. options.ForbiddenTokens.Span, .. model.UnusedTokens.Span] };
        _session = new GenerationSession(model.Model, model.Compute, contextLength);
        Tools = tools ?? [];
    }

    /// <summary>The conversation without the system message, oldest first.</summary>
    public IReadOnlyList<ChatMessage> Messages => _messages;

    /// <summary>The system message; null for what the template does without one.</summary>
    public string? System { get; set; }

    /// <summary>The thinking switch; null leaves it to the template.</summary>
    public bool? EnableThinking { get; set; }

    /// <summary>Whether the model's template has a thinking switch.</summary>
    public bool HasThinkingSwitch => _model.Template!.Source.Contains("enable_thinking", StringComparison.Ordinal);

    /// <summary>Tools offered to the model.</summary>
    public IReadOnlyList<ToolDefinition> Tools { get; }

    /// <summary>Messages at the start of the conversation that the last prompt left out.</summary>
    public int OmittedMessages => _omitted;

    /// <summary>Most tokens of prompt and answer together.</summary>
    public int ContextLength => _session.ContextLength;

    /// <summary>Counts and times of the last answer; null before the first.</summary>
    public GenerationMeter? Meter { get; private set; }

    /// <summary>Forgets the conversation; the system message stays.</summary>
    public void Reset()
    {
        _messages.Clear();
        _omitted = 0;
        _spokenText = "";
    }

    /// <summary>Replaces the conversation. Its first message becomes <see cref="System"/> when it is a system message.</summary>
    public void Load(IReadOnlyList<ChatMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        Reset();
        bool hasSystem = messages is [{ Role: "system", Content.AsString: not null }, ..];
        System = hasSystem ? messages[0].Content!.AsString : null;
        _messages.AddRange(messages.Skip(hasSystem ? 1 : 0));
    }

    /// <summary>The whole conversation with its system message, as <see cref="Load"/> takes it.</summary>
    public IReadOnlyList<ChatMessage> ToMessages() => System is null ? [.. _messages] : [ChatMessage.System(System), .. _messages];

    /// <summary>Asks and streams the answer, which joins the conversation when it is complete. An answer that is not read to its end leaves the conversation as it was.</summary>
    /// <param name="message">A user message or the result of a tool.</param>
    /// <param name="cancellationToken">Ends the answer between two tokens.</param>
    /// <exception cref="ArgumentException">The message alone does not fit into the context.</exception>
    /// <exception cref="JinjaException">The template refused the conversation.</exception>
    public IEnumerable<MessageEvent> Ask(ChatMessage message, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(message);
        _messages.Add(message);
        try
        {
            (int[] prompt, string text, int omitted) = Fit();
            return Answer(prompt, text, omitted, cancellationToken);
        }
        catch
        {
            _messages.RemoveAt(_messages.Count - 1);
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _session.Dispose();

    private IEnumerable<MessageEvent> Answer(int[] prompt, string text, int omitted, CancellationToken cancellationToken)
    {
        int asked = _messages.Count;
        var generated = new List<int>();
        GlmMessageParser parser = _model.Template!.CreateParser(text, Tools);
        var detokenizer = new Detokenizer(_model.Tokenizer, skipSpecial: true);
        var meter = new GenerationMeter(prompt.Length);
        Meter = meter;
        try
        {
            foreach (GeneratedToken token in _session.Generate(prompt, _options, cancellationToken))
            {
                meter.ReusedTokens = _session.ReusedTokens;
                meter.Count(token);
                generated.Add(token.Token);
                if (token.Finish == FinishReason.Stop)
                    break;
                foreach (MessageEvent item in parser.Append(detokenizer.Append(token.Token)))
                    yield return item;
            }

            foreach (MessageEvent item in parser.Append(detokenizer.Flush()))
                yield return item;
            foreach (MessageEvent item in parser.Complete())
                yield return item;
            _messages.Add(parser.Message.ToChatMessage());
            _omitted = omitted;
            _spokenIds = [.. prompt, .. generated];
            _spokenText = text + _model.Tokenizer.Decode([.. generated]);
        }
        finally
        {
            if (_messages.Count == asked)
                _messages.RemoveAt(asked - 1);
        }
    }

    // Leaves out turns until a quarter of the context, or what the answer may take, is free.
    private (int[] Prompt, string Text, int Omitted) Fit()
    {
        int wanted = Math.Min(_options.MaxTokens, ContextLength / 4);
        for (int omitted = _omitted; ;)
        {
            IReadOnlyList<ChatMessage> kept = [.. System is null ? (ChatMessage[])[] : [ChatMessage.System(System)], .. _messages.Skip(omitted)];
            RenderedText rendered = _model.RenderChat(kept, new ChatTemplateOptions { Tools = Tools, EnableThinking = EnableThinking });
            int[] prompt = Encode(rendered);
            int next = _messages.FindIndex(omitted + 1, message => message.Role == "user");
            if (ContextLength - prompt.Length >= wanted || (next < 0 && prompt.Length < ContextLength))
                return (prompt, rendered.Text, omitted);
            if (next < 0)
                throw new ArgumentException($"The message does not fit: with it alone the prompt has {prompt.Length} tokens, and the context holds {ContextLength} with room for at least one more.");
            omitted = next;
        }
    }

    // Where the prompt goes on from the last answer, what the model produced stays as it was produced.
    private int[] Encode(RenderedText rendered) =>
        _spokenText.Length > 0 && rendered.Text.StartsWith(_spokenText, StringComparison.Ordinal)
            ? [.. _spokenIds, .. _model.Encode(rendered, _spokenText.Length)]
            : _model.Encode(rendered);
}
