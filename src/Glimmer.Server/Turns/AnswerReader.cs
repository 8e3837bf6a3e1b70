using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Server.Turns;

/// <summary>Turns the tokens of one answer into events: detokenizer, stop texts, parser.</summary>
internal sealed class AnswerReader
{
    private readonly TurnRequest _request;
    private readonly TurnPrompt _prompt;
    private readonly int _answer;
    private readonly Detokenizer _detokenizer;
    private readonly StopText _stop;
    private readonly GlmMessageParser _parser;
    private readonly int? _thinkOpen;
    private readonly int? _thinkClose;
    private readonly int? _callOpen;
    private bool _isThinking;
    private int _output;
    private int _reasoning;
    private int _calls;

    public AnswerReader(ServedModel model, TurnRequest request, TurnPrompt prompt, bool startsInReasoning, int answer)
    {
        (_request, _prompt, _answer, _isThinking) = (request, prompt, answer, startsInReasoning);
        _detokenizer = new Detokenizer(model.Tokenizer, request.SkipSpecial);
        _stop = new StopText(request.Stops);
        bool isChat = request.Messages.Count > 0;
        _parser = isChat ? model.Template!.CreateParser(prompt.Text, prompt.Tools) : new GlmMessageParser(new MessageParserOptions { Grammar = MessageGrammar.Plain });
        if (isChat && model.Template!.Grammar.Thinking)
        {
            _thinkOpen = model.Tokenizer.TokenToId("<think>");
            _thinkClose = model.Tokenizer.TokenToId("</think>");
            _callOpen = prompt.Tools.Count > 0 ? model.Tokenizer.TokenToId("<tool_call>") : null;
        }
    }

    /// <summary>Whether the answer is complete.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>Whether it was ended here, before the engine's own end.</summary>
    public bool EndedEarly { get; private set; }

    /// <summary>Tokens of the prompt that came from the prefix cache.</summary>
    public int CachedTokens { get; set; }

    /// <summary>Its tokens so far.</summary>
    public TurnUsage Usage => new(_prompt.Ids.Length, CachedTokens, _output, _reasoning);

    /// <summary>Takes the next token.</summary>
    public void Read(in EngineToken token, List<TurnEvent> events)
    {
        _output++;
        bool isEnd = token.Finish == FinishReason.Stop && token.StopString is null;
        events.Add(new TokenMade(_answer, token, isEnd ? TokenRegion.End : Region(token.Token)));
        if (!isEnd || _request.IncludeStop)
        {
            string text = _detokenizer.Append(token.Token).ToString();
            // Until the least length stop texts do not stop.
            Emit(_parser.Append(_output < _request.MinTokens ? text : Cut(text)), events);
        }

        if (token.Finish is { } finish)
            Finish(End(finish), isEnd ? token.Token : null, events);
        else if (_stop.Found is not null || (_calls > 0 && !_request.ParallelCalls))
        {
            EndedEarly = true;
            Finish(End(FinishReason.Stop), null, events);
        }
    }

    /// <summary>Ends an answer whose tokens ended without a reason: none was wanted, or the generation was aborted.</summary>
    public void Complete(TurnEnd end, List<TurnEvent> events) => Finish(end, null, events);

    private string Cut(string text)
    {
        string final = _stop.Append(text);
        return _request.IncludeStop && _stop.Found is { } found ? final + found : final;
    }

    private TokenRegion Region(int token)
    {
        if (token == _thinkOpen)
            _isThinking = true;
        bool isThinking = _isThinking;
        if (token == _thinkClose)
            _isThinking = false;
        else if (token == _callOpen)
            _isThinking = isThinking = false; // A call ends the reasoning, closed or not.
        if (isThinking)
            _reasoning++;
        return isThinking ? TokenRegion.Thinking : TokenRegion.Answer;
    }

    // Calls and stop texts may still come out of what is held back, so they are looked at in the end.
    private static TurnEnd End(FinishReason finish) => finish switch
    {
        FinishReason.Length => TurnEnd.Length,
        FinishReason.Context => TurnEnd.ContextFull,
        _ => TurnEnd.Stop,
    };

    private void Finish(TurnEnd end, int? stopToken, List<TurnEvent> events)
    {
        string rest = Cut(_detokenizer.Flush().ToString()) + _stop.Flush();
        Emit(_parser.Append(rest), events);
        Emit(_parser.Complete(), events);
        if (end == TurnEnd.Stop)
            end = _stop.Found is not null ? TurnEnd.StopText : _calls > 0 ? TurnEnd.Calls : TurnEnd.Stop;
        IsFinished = true;
        events.Add(new AnswerFinished(_answer, end, _stop.Found, stopToken, _parser.Message, Usage));
    }

    private void Emit(IReadOnlyList<MessageEvent> parsed, List<TurnEvent> events)
    {
        foreach (MessageEvent item in parsed)
        {
            events.Add(item switch
            {
                ReasoningDelta reasoning => new ThinkingPart(_answer, reasoning.Text),
                TextDelta text => new TextPart(_answer, text.Text),
                ToolCallStart start => new CallStarted(_answer, start.Index, start.Id, start.Name),
                ToolCallArguments arguments => new CallArguments(_answer, arguments.Index, arguments.Json),
                ToolCallEnd call => new CallEnded(_answer, call.Index, call.Call),
                ToolCallCut cut => new CallCut(_answer, cut.Index, cut.RawText),
                _ => throw new InvalidOperationException($"The parser gave a {item.GetType().Name}, which has no place in an answer."),
            });
            if (item is ToolCallEnd)
                _calls++;
        }
    }
}
