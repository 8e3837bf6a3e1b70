using System.Security.Cryptography;
using System.Text;

namespace Glimmer.Chat;

/// <summary>What a parser needs to know about the request.</summary>
public sealed record MessageParserOptions
{
    /// <summary>What the text is made of.</summary>
    public MessageGrammar Grammar { get; init; } = MessageGrammar.Glm47;

    /// <summary>True when the prompt ended in an open think block (<see cref="GlmMessageParser.EndsInOpenThinking"/>).</summary>
    public bool StartsInReasoning { get; init; }

    /// <summary>Tools offered; without any, or when the request forbids calls, leave it empty: the markers are then plain text.</summary>
    public IReadOnlyList<ToolDefinition> Tools { get; init; } = [];

    /// <summary>Makes the identifier of a call.</summary>
    public Func<string> NewCallId { get; init; } = () => "call_" + RandomNumberGenerator.GetHexString(24, lowercase: true);
}

/// <summary>Splits a model's output into reasoning, visible text and tool calls, as it arrives or all at once, with the same result for any cut of the text.</summary>
/// <remarks>
/// One state machine for all layouts that GLM models write. A call that names no tool offered, or never completes, is ordinary text: nothing the model
/// wrote is lost except what stands between the arguments of a call. Every text is accepted. Time and memory are linear in the text.
/// The text is what the detokenizer gives, without the token that ended the generation.
/// </remarks>
public sealed class GlmMessageParser
{
    private static readonly string[] s_nameMarkers = [Markers.KeyOpen, Markers.CallClose, Markers.KeyClose, Markers.CallOpen];
    private static readonly string[] s_betweenMarkers = [Markers.KeyOpen, Markers.CallClose, Markers.CallOpen];
    private static readonly string[] s_keyMarkers = [Markers.KeyClose, Markers.ValueOpen, Markers.KeyOpen, Markers.CallClose];
    private static readonly string[] s_afterKeyMarkers = [Markers.ValueOpen, Markers.KeyClose, Markers.KeyOpen, Markers.CallClose];
    private static readonly string[] s_valueMarkers = [Markers.ValueClose, Markers.CallClose];

    private readonly MessageParserOptions _options;
    private readonly Dictionary<string, ToolDefinition> _tools = new(StringComparer.Ordinal);
    private readonly string[] _textMarkers;
    private readonly TextWindow _window = new();
    private readonly EventSink _sink;
    private readonly StringBuilder _key = new();
    private readonly StringBuilder _raw = new();
    private readonly List<ToolCall> _calls = [];
    private State _state;
    private State _origin;
    private ToolCallWriter? _call;
    private NameReader? _name;
    private int _lookedAt;
    private ParsedMessage? _message;

    /// <summary>Creates a parser for one message.</summary>
    public GlmMessageParser(MessageParserOptions options)
    {
        _options = options;
        _sink = new EventSink(options.Grammar);
        _state = options.StartsInReasoning ? State.Reasoning : State.Content;
        if (options.Grammar.ToolCalls)
        {
            foreach (ToolDefinition tool in options.Tools.Where(tool => tool.Name.Length > 0))
                _tools.TryAdd(tool.Name, tool);
        }

        _textMarkers = [.. options.Grammar.Thinking ? [Markers.ThinkOpen, Markers.ThinkClose] : (string[])[], .. _tools.Count > 0 ? [Markers.CallOpen] : (string[])[]];
    }

    private enum State
    {
        Content,
        Reasoning,
        Name,
        Between,
        Key,
        AfterKey,
        Value,
    }

    /// <summary>The whole message; available after <see cref="Complete"/>.</summary>
    /// <exception cref="InvalidOperationException">The text is not complete yet.</exception>
    public ParsedMessage Message => _message ?? throw new InvalidOperationException("The message is not complete; call Complete first.");

    /// <summary>Parses a whole output.</summary>
    public static ParsedMessage Parse(ReadOnlySpan<char> text, MessageParserOptions options)
    {
        var parser = new GlmMessageParser(options);
        parser.Append(text);
        parser.Complete();
        return parser.Message;
    }

    /// <summary>True when a prompt ends in an open think block, so that the answer starts with reasoning. The prompt decides, never the request's switches.</summary>
    public static bool EndsInOpenThinking(ReadOnlySpan<char> prompt) => PythonText.TrimEnd(prompt).EndsWith(Markers.ThinkOpen, StringComparison.Ordinal);

    /// <summary>Takes the next piece of text (whole code points) and gives what it settles.</summary>
    /// <exception cref="InvalidOperationException">The message is already complete.</exception>
    public IReadOnlyList<MessageEvent> Append(ReadOnlySpan<char> text)
    {
        if (_message is not null)
            throw new InvalidOperationException("The message is complete; use a new parser for the next one.");
        _window.Append(text);
        while (Step())
        {
        }

        FlushArguments();
        return _sink.TakeEvents();
    }

    /// <summary>Ends the text: what was held back is decided, an unfinished call goes back to where it began as text.</summary>
    /// <exception cref="InvalidOperationException">The message is already complete.</exception>
    public IReadOnlyList<MessageEvent> Complete()
    {
        if (_message is not null)
            throw new InvalidOperationException("The message is already complete.");
        if (_state == State.Value && EndsAfterCallClose())
        {
            EndValueAndCall();
            Use(Markers.CallClose.Length);
        }

        if (_state == State.Name)
            _sink.Text(_origin == State.Reasoning, Markers.CallOpen);
        if (_state is State.Name or State.Content or State.Reasoning)
            _sink.Text((_state == State.Name ? _origin : _state) == State.Reasoning, _window.Text);
        else
        {
            _raw.Append(_window.Text);
            _sink.Cut(_calls.Count, _origin == State.Reasoning, _raw.ToString());
        }

        IReadOnlyList<MessageEvent> events = _sink.TakeEvents();
        _message = _sink.ToMessage(_calls);
        return events;
    }

    /// <summary>Goes as far as the next marker; false when more text is needed.</summary>
    private bool Step() => _state switch
    {
        State.Content or State.Reasoning => StepText(),
        State.Name => StepName(),
        State.Between => StepBetween(),
        State.Key => StepKey(),
        State.AfterKey => StepAfterKey(),
        _ => StepValue(),
    };

    private bool StepText()
    {
        ReadOnlySpan<char> text = _window.Text;
        (int index, string? marker) = Markers.Find(text, 0, _textMarkers);
        _sink.Text(_state == State.Reasoning, text[..index]);
        _window.Skip(index + (marker?.Length ?? 0));
        switch (marker)
        {
            case null:
                return false;
            case Markers.ThinkOpen:
                _state = State.Reasoning;
                return true;
            case Markers.ThinkClose:
                _state = State.Content;
                return true;
            default:
                OpenCall(_state);
                return true;
        }
    }

    private void OpenCall(State origin)
    {
        _origin = origin;
        _state = State.Name;
        (_name ??= new NameReader(_tools.Keys)).Restart();
    }

    /// <summary>The text after the opening marker stays in the window until it is a call or fails to be one.</summary>
    private bool StepName()
    {
        NameVerdict verdict = _name!.Read(_window.Text, _window.Position, s_nameMarkers);
        switch (verdict.Kind)
        {
            case NameVerdictKind.Undecided:
                return false;
            case NameVerdictKind.Named:
                StartCall(verdict.Name!);
                Use(verdict.Used);
                if (verdict.Marker == Markers.CallClose)
                    EndCall(isWhole: false);
                else
                {
                    _key.Clear().Append(verdict.Key);
                    _state = verdict.Marker == Markers.KeyClose ? State.AfterKey : State.Key;
                }

                return true;
            case NameVerdictKind.Json:
                StartCall(verdict.Name!);
                _call!.SetAll(verdict.Arguments!);
                Use(verdict.Used);
                EndCall(isWhole: true);
                return true;
            default:
                // Not a call: the marker is text, and what follows is read again as what it was before.
                _sink.Text(_origin == State.Reasoning, Markers.CallOpen);
                _state = _origin;
                return true;
        }
    }

    private void StartCall(string name)
    {
        string id = _options.NewCallId();
        _call = new ToolCallWriter(_tools[name], id);
        _raw.Clear().Append(Markers.CallOpen);
        _sink.Add(new ToolCallStart(_calls.Count, id, name));
    }

    private bool StepBetween()
    {
        (int index, string? marker) = Markers.Find(_window.Text, 0, s_betweenMarkers);
        Use(index);
        switch (marker)
        {
            case null:
                return false;
            case Markers.KeyOpen:
                Use(marker.Length);
                _key.Clear();
                _state = State.Key;
                return true;
            default:
                EndCall(isWhole: false);
                _window.Skip(marker.Length);
                if (marker == Markers.CallOpen)
                    OpenCall(State.Content);
                return true;
        }
    }

    private bool StepKey()
    {
        (int index, string? marker) = Markers.Find(_window.Text, 0, s_keyMarkers);
        _key.Append(_window.Text[..index]);
        Use(index + (marker?.Length ?? 0));
        switch (marker)
        {
            case null:
                return false;
            case Markers.KeyClose:
                _state = State.AfterKey;
                return true;
            case Markers.ValueOpen:
                BeginValue();
                return true;
            case Markers.KeyOpen:
                _key.Clear();
                return true;
            default:
                EndCall(isWhole: false);
                return true;
        }
    }

    private bool StepAfterKey()
    {
        Use(Markers.LeadingSpace(_window.Text));
        ReadOnlySpan<char> text = _window.Text;
        (bool isPartial, string? marker) = Markers.Match(text, s_afterKeyMarkers);
        if (text.Length == 0 || isPartial || text is "\\")
            return false;
        Use(marker?.Length ?? 0);
        switch (marker)
        {
            case Markers.KeyClose:
                break;
            case Markers.KeyOpen:
                _key.Clear();
                _state = State.Key;
                break;
            case Markers.CallClose:
                EndCall(isWhole: false);
                break;
            default:
                BeginValue();
                break;
        }

        return true;
    }

    private void BeginValue()
    {
        _call!.BeginValue(Markers.Trim(_key.ToString()).ToString());
        _state = State.Value;
        _lookedAt = 0;
    }

    private bool StepValue()
    {
        (int index, string? marker) = Markers.Find(_window.Text, 0, s_valueMarkers);
        _call!.AppendValue(_window.Text[..index]);
        Use(index);
        if (marker is null)
            return false;
        if (marker == Markers.ValueClose)
        {
            _call.EndValue();
            Use(marker.Length);
            _state = State.Between;
            return true;
        }

        // The end of the call, if the text ends here or another call follows; else it is text of the value.
        ReadOnlySpan<char> text = _window.Text;
        int next = index > 0 ? marker.Length : Math.Max(_lookedAt, marker.Length);
        while (next < text.Length && PythonText.IsSpace(text[next]))
            next++;
        _lookedAt = next;
        (bool isPartial, string? follower) = Markers.Match(text[next..], [Markers.CallOpen]);
        if (next == text.Length || isPartial)
            return false;
        _lookedAt = 0;
        if (follower is null)
            _call.AppendValue(marker);
        else
            EndValueAndCall();
        Use(marker.Length);
        return true;
    }

    private bool EndsAfterCallClose() =>
        _window.Text.StartsWith(Markers.CallClose, StringComparison.Ordinal) && PythonText.IsSpace(_window.Text[Markers.CallClose.Length..]);

    private void EndValueAndCall()
    {
        _call!.EndValue();
        EndCall(isWhole: false);
    }

    private void EndCall(bool isWhole)
    {
        ToolCall call = _call!.Close(isWhole);
        FlushArguments();
        _sink.Add(new ToolCallEnd(_calls.Count, call));
        _calls.Add(call);
        _call = null;
        _state = State.Content;
    }

    /// <summary>Uses up text of a call, which is kept in case the call never completes.</summary>
    private void Use(int count)
    {
        if (_call is not null)
            _raw.Append(_window.Text[..count]);
        _window.Skip(count);
    }

    private void FlushArguments()
    {
        if (_call is not { Json.Length: > 0 })
            return;
        _sink.Add(new ToolCallArguments(_calls.Count, _call.Json.ToString()));
        _call.Json.Clear();
    }
}
