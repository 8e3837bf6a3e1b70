using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;

namespace Glimmer.Server.OpenAi;

/// <summary>Writes the answer of a chat completion, whole or in chunks.</summary>
/// <param name="model">The name that the client used.</param>
/// <param name="form">The form that was asked for.</param>
/// <param name="served">The model.</param>
/// <param name="now">The time of the answer.</param>
internal sealed class ChatReply(string model, ReplyForm form, ServedModel served, DateTimeOffset now)
{
    private readonly string _id = RequestIds.New("chatcmpl-");
    private readonly long _created = now.ToUnixTimeSeconds();
    private readonly Dictionary<int, AnswerFinished> _finished = [];
    private readonly Dictionary<int, List<TokenMade>> _pending = [];
    private readonly Dictionary<int, string> _held = [];
    private TurnUsage _usage;
    private Turn? _turn;

    /// <summary>The first chunk of an answer.</summary>
    public void AddRole(EventStream stream, int answer) => AddChunk(stream, answer, json =>
    {
        json.WriteString("role", "assistant");
        json.WriteString("content", "");
    });

    /// <summary>What an event adds to the stream.</summary>
    public void Add(EventStream stream, Turn turn, TurnEvent item)
    {
        _turn = turn;
        switch (item)
        {
            case TurnStarted started:
                _usage = new TurnUsage(started.PromptTokens, started.CachedTokens, 0, 0);
                break;
            case TokenMade token:
                _usage = _usage with { Output = _usage.Output + 1, Reasoning = _usage.Reasoning + (token.Region == TokenRegion.Thinking ? 1 : 0) };
                if (turn.Request.Logprobs || form.ReturnTokenIds)
                    Pending(token.Answer).Add(token);
                break;
            case ThinkingPart thinking when form.SeparateReasoning:
                if (form.StreamReasoning)
                    AddChunk(stream, thinking.Answer, json => json.WriteString("reasoning_content", thinking.Text));
                else
                    _held[thinking.Answer] = _held.GetValueOrDefault(thinking.Answer) + thinking.Text;
                break;
            case ThinkingPart thinking:
                AddChunk(stream, thinking.Answer, json => json.WriteString("content", thinking.Text));
                break;
            case TextPart text:
                AddHeld(stream, text.Answer);
                AddChunk(stream, text.Answer, json => json.WriteString("content", text.Text), (turn, Logprobs(turn, text.Answer)));
                break;
            case CallStarted call:
                AddHeld(stream, call.Answer);
                AddCall(stream, call.Answer, call.Index, json =>
                {
                    json.WriteString("id", call.Id);
                    json.WriteString("type", "function");
                    json.WriteStartObject("function");
                    json.WriteString("name", call.Name);
                    json.WriteString("arguments", "");
                    json.WriteEndObject();
                });
                break;
            case CallArguments arguments:
                AddCall(stream, arguments.Answer, arguments.Index, json =>
                {
                    json.WriteStartObject("function");
                    json.WriteString("arguments", arguments.Json);
                    json.WriteEndObject();
                });
                break;
            case AnswerFinished finished:
                AddHeld(stream, finished.Answer);
                AddFinish(stream, turn, finished);
                break;
        }
    }

    /// <summary>The chunk of usage at the end, when it was asked for.</summary>
    public void AddUsage(EventStream stream, Turn turn)
    {
        if (!form.IncludeUsage)
            return;
        TurnUsage usage = UsageWriter.Sum(_finished.Values);
        stream.Add(json =>
        {
            Head(json);
            json.WriteStartArray("choices");
            json.WriteEndArray();
            UsageWriter.Write(json, usage);
            json.WriteEndObject();
        });
    }

    /// <summary>The whole answer.</summary>
    public void WriteWhole(Utf8JsonWriter json, Turn turn, IReadOnlyList<WholeAnswer> answers, IReadOnlyList<float> promptLogprobs)
    {
        json.WriteStartObject();
        json.WriteString("id", _id);
        json.WriteString("object", "chat.completion");
        json.WriteNumber("created", _created);
        json.WriteString("model", model);
        json.WriteStartArray("choices");
        for (int i = 0; i < answers.Count; i++)
            WriteChoice(json, turn, i, answers[i]);
        json.WriteEndArray();
        UsageWriter.Write(json, UsageWriter.Sum(answers.Select(answer => answer.Finished!)));
        if (form.Timings)
            TimingsWriter.Write(json, turn.Timings);
        if (turn.Request.PromptLogprobs)
            LogprobWriter.WritePrompt(json, served.Tokenizer, turn.Prompt, promptLogprobs);
        if (form.ReturnTokenIds)
            WriteIds(json, "prompt_token_ids", turn.Prompt);
        json.WriteEndObject();
    }

    private void WriteChoice(Utf8JsonWriter json, Turn turn, int index, WholeAnswer answer)
    {
        AnswerFinished finished = answer.Finished!;
        ParsedMessage message = finished.Message;
        string? text = form.SeparateReasoning ? message.Content : message.Reasoning + message.Content;
        json.WriteStartObject();
        json.WriteNumber("index", index);
        json.WriteStartObject("message");
        json.WriteString("role", "assistant");
        json.WriteString("content", string.IsNullOrEmpty(text) && message.ToolCalls.Count > 0 ? null : text ?? "");
        json.WriteNull("refusal");
        if (form.SeparateReasoning && !string.IsNullOrEmpty(message.Reasoning))
            json.WriteString("reasoning_content", message.Reasoning);
        if (message.ToolCalls.Count > 0)
        {
            json.WriteStartArray("tool_calls");
            foreach (ToolCall call in message.ToolCalls)
            {
                json.WriteStartObject();
                json.WriteString("id", call.Id);
                json.WriteString("type", "function");
                json.WriteStartObject("function");
                json.WriteString("name", call.Name);
                json.WriteString("arguments", call.ArgumentsJson);
                json.WriteEndObject();
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }

        json.WriteEndObject();
        if (turn.Request.Logprobs)
            LogprobWriter.Write(json, served.Tokenizer, [.. answer.Tokens.Where(IsText)], turn.Request.TopLogprobs);
        else
            json.WriteNull("logprobs");
        WriteEnd(json, finished);
        if (form.ReturnTokenIds)
            WriteIds(json, "token_ids", [.. answer.Tokens.Select(token => token.Token.Token)]);
        json.WriteEndObject();
    }

    // Reasoning that is not to be streamed comes in one piece when it is over.
    private void AddHeld(EventStream stream, int answer)
    {
        if (_held.Remove(answer, out string? reasoning))
            AddChunk(stream, answer, json => json.WriteString("reasoning_content", reasoning));
    }

    private void AddFinish(EventStream stream, Turn turn, AnswerFinished finished)
    {
        _finished[finished.Answer] = finished;
        IReadOnlyList<TokenMade>? rest = Logprobs(turn, finished.Answer);
        stream.Add(json =>
        {
            Head(json);
            json.WriteStartArray("choices");
            json.WriteStartObject();
            json.WriteNumber("index", finished.Answer);
            json.WriteStartObject("delta");
            json.WriteEndObject();
            WriteLogprobs(json, rest, turn);
            WriteEnd(json, finished);
            json.WriteEndObject();
            json.WriteEndArray();
            WriteContinuousUsage(json);
            if (form.Timings)
                TimingsWriter.Write(json, turn.Timings);
            json.WriteEndObject();
        });
    }

    private static void WriteEnd(Utf8JsonWriter json, AnswerFinished finished)
    {
        json.WriteString("finish_reason", FinishReasons.Of(finished.End));
        if (finished.StopText is not null)
            json.WriteString("stop_reason", finished.StopText);
    }

    private void AddCall(EventStream stream, int answer, int index, Action<Utf8JsonWriter> write) => AddChunk(stream, answer, json =>
    {
        json.WriteStartArray("tool_calls");
        json.WriteStartObject();
        json.WriteNumber("index", index);
        write(json);
        json.WriteEndObject();
        json.WriteEndArray();
    });

    private void AddChunk(EventStream stream, int answer, Action<Utf8JsonWriter> delta, (Turn Turn, IReadOnlyList<TokenMade>? Tokens)? logprobs = null) => stream.Add(json =>
    {
        Head(json);
        json.WriteStartArray("choices");
        json.WriteStartObject();
        json.WriteNumber("index", answer);
        json.WriteStartObject("delta");
        delta(json);
        json.WriteEndObject();
        if (logprobs is { } given)
            WriteLogprobs(json, given.Tokens, given.Turn);
        json.WriteNull("finish_reason");
        json.WriteEndObject();
        json.WriteEndArray();
        WriteContinuousUsage(json);
        if (form.ContinuousTimings && _turn is not null)
            TimingsWriter.Write(json, _turn.Timings);
        json.WriteEndObject();
    });

    private void Head(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("id", _id);
        json.WriteString("object", "chat.completion.chunk");
        json.WriteNumber("created", _created);
        json.WriteString("model", model);
    }

    private void WriteContinuousUsage(Utf8JsonWriter json)
    {
        if (form.ContinuousUsage)
            UsageWriter.Write(json, _usage);
    }

    // Tokens since the last chunk of text; an empty list when nothing was asked for.
    private IReadOnlyList<TokenMade>? Logprobs(Turn turn, int answer)
    {
        if (!turn.Request.Logprobs && !form.ReturnTokenIds)
            return null;
        TokenMade[] tokens = [.. Pending(answer)];
        Pending(answer).Clear();
        return tokens;
    }

    private void WriteLogprobs(Utf8JsonWriter json, IReadOnlyList<TokenMade>? tokens, Turn turn)
    {
        if (tokens is null)
            return;
        if (turn.Request.Logprobs)
            LogprobWriter.Write(json, served.Tokenizer, [.. tokens.Where(IsText)], turn.Request.TopLogprobs);
        if (form.ReturnTokenIds)
            WriteIds(json, "token_ids", [.. tokens.Select(token => token.Token.Token)]);
    }

    private List<TokenMade> Pending(int answer)
    {
        if (!_pending.TryGetValue(answer, out List<TokenMade>? tokens))
            _pending[answer] = tokens = [];
        return tokens;
    }

    // Log-probabilities belong to the text: tokens of the reasoning and the one that ended the answer are left out.
    private static bool IsText(TokenMade token) => token.Region == TokenRegion.Answer;

    private static void WriteIds(Utf8JsonWriter json, string name, IReadOnlyList<int> ids)
    {
        json.WriteStartArray(name);
        foreach (int id in ids)
            json.WriteNumberValue(id);
        json.WriteEndArray();
    }
}
