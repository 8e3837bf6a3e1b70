using System.Text;
using System.Text.Json;
using Glimmer.Inference;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;

namespace Glimmer.Server.OpenAi;

/// <summary>Writes the answers of a completion request, whole or in chunks. The choice of answer i to prompt p is p * n + i.</summary>
/// <param name="model">The name that the client used.</param>
/// <param name="request">What was asked for.</param>
/// <param name="served">The model.</param>
/// <param name="now">The time of the answer.</param>
internal sealed class CompletionReply(string model, CompletionRequest request, ServedModel served, DateTimeOffset now)
{
    private readonly string _id = RequestIds.New("cmpl-");
    private readonly long _created = now.ToUnixTimeSeconds();
    private readonly SortedDictionary<int, CompletionChoice> _choices = [];
    private readonly List<(IReadOnlyList<int> Prompt, IReadOnlyList<float> Logprobs)> _prompts = [];
    private readonly List<Turn> _turns = [];
    private TurnUsage _usage;

    /// <summary>Takes an event of a turn.</summary>
    /// <returns>The choice that has something new to send; null for none.</returns>
    public CompletionChoice? Add(Turn turn, int prompt, TurnEvent item)
    {
        int first = prompt * turn.Request.Count;
        switch (item)
        {
            case TurnStarted started:
                _usage = _usage with { Prompt = _usage.Prompt + started.PromptTokens, Cached = _usage.Cached + started.CachedTokens };
                _prompts.Add((turn.Prompt, started.PromptLogprobs));
                _turns.Add(turn);
                for (int answer = 0; answer < turn.Request.Count; answer++)
                    Begin(_choices[first + answer] = new CompletionChoice(first + answer), turn, started);
                return request.Echo ? _choices[first] : null;
            case TokenMade token when !request.OnlyPrompt:
                _usage = _usage with { Output = _usage.Output + 1 };
                CompletionChoice choice = _choices[first + token.Answer];
                if (token.Region != TokenRegion.End)
                    choice.Tokens.Add(new CompletionToken(token.Token.Token, token.Token.Logprob, token.Token.Alternatives?.Model ?? [], choice.Length));
                else
                    choice.EndToken = token.Token.Token;
                return null;
            case TextPart text when !request.OnlyPrompt:
                _choices[first + text.Answer].Append(text.Text);
                return _choices[first + text.Answer];
            case AnswerFinished finished:
                _choices[first + finished.Answer].Finished = finished;
                return _choices[first + finished.Answer];
            default:
                return null;
        }
    }

    /// <summary>The whole answer.</summary>
    public void WriteWhole(Utf8JsonWriter json)
    {
        Head(json);
        json.WriteStartArray("choices");
        foreach (CompletionChoice choice in _choices.Values)
            WriteChoice(json, choice);
        json.WriteEndArray();
        UsageWriter.Write(json, _usage);
        WriteTimings(json);
        json.WriteEndObject();
    }

    /// <summary>A chunk with what is new in a choice.</summary>
    public void AddChunk(EventStream stream, CompletionChoice choice)
    {
        stream.Add(json =>
        {
            Head(json);
            json.WriteStartArray("choices");
            WriteChoice(json, choice);
            json.WriteEndArray();
            if (request.Form.ContinuousUsage)
                UsageWriter.Write(json, _usage);
            if (request.Form.ContinuousTimings || choice.Finished is not null)
                WriteTimings(json);
            json.WriteEndObject();
        });
        choice.Sent();
    }

    /// <summary>The chunk of usage at the end, when it was asked for.</summary>
    public void AddUsage(EventStream stream)
    {
        if (!request.Form.IncludeUsage)
            return;
        stream.Add(json =>
        {
            Head(json);
            json.WriteStartArray("choices");
            json.WriteEndArray();
            UsageWriter.Write(json, _usage);
            json.WriteEndObject();
        });
    }

    private void WriteTimings(Utf8JsonWriter json)
    {
        if (request.Form.Timings)
            TimingsWriter.Write(json, _turns.Aggregate(default(TurnTimings), (sum, turn) => sum + turn.Timings));
    }

    // With echo the text, its tokens and their log-probabilities begin with the prompt's.
    private void Begin(CompletionChoice choice, Turn turn, TurnStarted started)
    {
        if (!request.Echo)
            return;
        for (int i = 0; i < turn.Prompt.Count; i++)
        {
            float? logprob = i > 0 && i <= started.PromptLogprobs.Count ? started.PromptLogprobs[i - 1] : null;
            choice.Tokens.Add(new CompletionToken(turn.Prompt[i], logprob, logprob is { } known ? [new TokenLogprob(turn.Prompt[i], known)] : [], choice.Length));
            choice.Append(LogprobWriter.TextOf(served.Tokenizer, turn.Prompt[i]));
        }

        choice.Replace(served.Tokenizer.Decode([.. turn.Prompt]));
    }

    private void Head(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("id", _id);
        json.WriteString("object", "text_completion");
        json.WriteNumber("created", _created);
        json.WriteString("model", model);
    }

    private void WriteChoice(Utf8JsonWriter json, CompletionChoice choice)
    {
        json.WriteStartObject();
        json.WriteNumber("index", choice.Index);
        json.WriteString("text", choice.Text.ToString());
        if (request.TopLogprobs is { } top && (choice.Tokens.Count > 0 || choice.Finished is null))
            WriteLogprobs(json, choice.Tokens, top);
        else
            json.WriteNull("logprobs");
        json.WriteString("finish_reason", choice.Finished is { } finished ? FinishReasons.Of(request.OnlyPrompt ? TurnEnd.Length : finished.End) : null);
        if (choice.Finished?.StopText is { } stop)
            json.WriteString("stop_reason", stop);
        if (request.Form.ReturnTokenIds)
        {
            json.WriteStartArray("token_ids");
            foreach (CompletionToken token in choice.Tokens)
                json.WriteNumberValue(token.Id);
            if (choice.Finished is not null && choice.EndToken is { } end)
                json.WriteNumberValue(end);
            json.WriteEndArray();
        }

        (IReadOnlyList<int> prompt, IReadOnlyList<float> logprobs) = _prompts[choice.Index / Math.Max(1, _choices.Count / _prompts.Count)];
        if (choice.Finished is not null && request.Turns[0].PromptLogprobs && !request.Echo)
            LogprobWriter.WritePrompt(json, served.Tokenizer, prompt, logprobs);
        json.WriteEndObject();
    }

    private void WriteLogprobs(Utf8JsonWriter json, List<CompletionToken> tokens, int top)
    {
        json.WriteStartObject("logprobs");
        json.WriteStartArray("tokens");
        foreach (CompletionToken token in tokens)
            json.WriteStringValue(LogprobWriter.TextOf(served.Tokenizer, token.Id));
        json.WriteEndArray();
        json.WriteStartArray("token_logprobs");
        foreach (CompletionToken token in tokens)
        {
            if (token.Logprob is { } logprob)
                json.WriteNumberValue(LogprobWriter.Finite(logprob));
            else
                json.WriteNullValue();
        }

        json.WriteEndArray();
        json.WriteStartArray("top_logprobs");
        foreach (CompletionToken token in tokens)
            WriteTop(json, token, top);
        json.WriteEndArray();
        json.WriteStartArray("text_offset");
        foreach (CompletionToken token in tokens)
            json.WriteNumberValue(token.Offset);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    // An object by text: of several tokens with one text the most likely stays. The token itself is always among them.
    private void WriteTop(Utf8JsonWriter json, CompletionToken token, int top)
    {
        if (token.Logprob is not { } own)
        {
            json.WriteNullValue();
            return;
        }

        var written = new HashSet<string>(StringComparer.Ordinal);
        json.WriteStartObject();
        foreach (TokenLogprob other in token.Alternatives.Take(top).Append(new TokenLogprob(token.Id, own)))
        {
            string text = LogprobWriter.TextOf(served.Tokenizer, other.Token);
            if (written.Add(text))
                json.WriteNumber(text, LogprobWriter.Finite(other.Logprob));
        }

        json.WriteEndObject();
    }
}

/// <summary>A token of a completion's text.</summary>
/// <param name="Id">The token.</param>
/// <param name="Logprob">Its log-probability under the model; null for the first of a prompt.</param>
/// <param name="Alternatives">The most likely tokens.</param>
/// <param name="Offset">Characters of the text before it.</param>
internal sealed record CompletionToken(int Id, float? Logprob, IReadOnlyList<TokenLogprob> Alternatives, int Offset);

/// <summary>What is collected of one choice and not sent yet.</summary>
/// <param name="index">Number of the choice.</param>
internal sealed class CompletionChoice(int index)
{
    /// <summary>Number of the choice.</summary>
    public int Index => index;

    /// <summary>The text.</summary>
    public StringBuilder Text { get; } = new();

    /// <summary>The tokens of the text.</summary>
    public List<CompletionToken> Tokens { get; } = [];

    /// <summary>Characters of the whole text so far.</summary>
    public int Length { get; private set; }

    /// <summary>The token that ended the choice; it is no text.</summary>
    public int? EndToken { get; set; }

    /// <summary>Its end.</summary>
    public AnswerFinished? Finished { get; set; }

    /// <summary>Adds text.</summary>
    public void Append(string text)
    {
        Text.Append(text);
        Length += text.Length;
    }

    /// <summary>Replaces the text that is not sent yet.</summary>
    public void Replace(string text)
    {
        Length += text.Length - Text.Length;
        Text.Clear().Append(text);
    }

    /// <summary>Text and tokens are sent.</summary>
    public void Sent()
    {
        Text.Clear();
        Tokens.Clear();
    }
}
