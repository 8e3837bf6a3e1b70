using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Server.Http;
using Glimmer.Server.OpenAi;
using Glimmer.Server.Turns;

namespace Glimmer.Server.Gemini;

/// <summary>Writes a GenerateContentResponse, whole or in chunks. Calls are whole in either.</summary>
/// <param name="model">The name that the client used.</param>
/// <param name="includeThoughts">Whether reasoning is sent.</param>
/// <param name="served">The model.</param>
internal sealed class ContentReply(string model, bool includeThoughts, ServedModel served)
{
    private readonly string _id = RequestIds.New("");
    private readonly List<AnswerFinished> _finished = [];
    private readonly Dictionary<int, List<TokenMade>> _tokens = [];

    /// <summary>Alternatives beside the log-probability of each token; null for no log-probabilities. In a stream they come with the end of an answer.</summary>
    public int? TopLogprobs { get; init; }

    /// <summary>The chunk of an event; null for none. A null event is a silence.</summary>
    public Action<Utf8JsonWriter>? Chunk(TurnEvent? item) => item switch
    {
        null => Part(0, json => json.WriteString("text", "")),
        ThinkingPart thinking when includeThoughts => Part(thinking.Answer, json => WriteThought(json, thinking.Text)),
        TextPart text => Part(text.Answer, json => json.WriteString("text", text.Text)),
        CallEnded call => Part(call.Answer, json => WriteCall(json, call.Call)),
        AnswerFinished { End: TurnEnd.Aborted } => throw new ApiException(ApiErrorKind.Unavailable, "The request was aborted."),
        AnswerFinished finished => End(finished),
        TokenMade token when TopLogprobs is not null => Keep(token),
        _ => null,
    };

    /// <summary>The whole answer.</summary>
    public void WriteWhole(Utf8JsonWriter json, IReadOnlyList<WholeAnswer> answers)
    {
        json.WriteStartObject();
        json.WriteStartArray("candidates");
        for (int i = 0; i < answers.Count; i++)
        {
            AnswerFinished finished = answers[i].Finished!;
            json.WriteStartObject();
            json.WriteStartObject("content");
            json.WriteString("role", "model");
            json.WriteStartArray("parts");
            if (includeThoughts && !string.IsNullOrEmpty(finished.Message.Reasoning))
                WritePart(json, part => WriteThought(part, finished.Message.Reasoning));
            if (!string.IsNullOrEmpty(finished.Message.Content) || finished.Message.ToolCalls.Count == 0)
                WritePart(json, part => part.WriteString("text", finished.Message.Content ?? ""));
            foreach (ToolCall call in finished.Message.ToolCalls)
                WritePart(json, part => WriteCall(part, call));
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteNumber("index", i);
            json.WriteString("finishReason", Reason(finished.End));
            if (TopLogprobs is { } top)
                WriteLogprobs(json, answers[i].Tokens, top);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        WriteTail(json, UsageWriter.Sum(answers.Select(answer => answer.Finished!)));
        json.WriteEndObject();
    }

    private Action<Utf8JsonWriter> Part(int answer, Action<Utf8JsonWriter> write) => json =>
    {
        WriteCandidate(json, answer, write, null, null);
        WriteTail(json, null);
        json.WriteEndObject();
    };

    private Action<Utf8JsonWriter> End(AnswerFinished finished)
    {
        _finished.Add(finished);
        return json =>
        {
            WriteCandidate(json, finished.Answer, part => part.WriteString("text", ""), Reason(finished.End), candidate =>
            {
                if (TopLogprobs is { } top)
                    WriteLogprobs(candidate, _tokens.GetValueOrDefault(finished.Answer) ?? [], top);
            });
            WriteTail(json, UsageWriter.Sum(_finished));
            json.WriteEndObject();
        };
    }

    private Action<Utf8JsonWriter>? Keep(TokenMade token)
    {
        if (!_tokens.TryGetValue(token.Answer, out List<TokenMade>? tokens))
            _tokens[token.Answer] = tokens = [];
        tokens.Add(token);
        return null;
    }

    private static void WriteCandidate(Utf8JsonWriter json, int answer, Action<Utf8JsonWriter> write, string? reason, Action<Utf8JsonWriter>? more)
    {
        json.WriteStartObject();
        json.WriteStartArray("candidates");
        json.WriteStartObject();
        json.WriteStartObject("content");
        json.WriteString("role", "model");
        json.WriteStartArray("parts");
        WritePart(json, write);
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteNumber("index", answer);
        if (reason is not null)
            json.WriteString("finishReason", reason);
        more?.Invoke(json);
        json.WriteEndObject();
        json.WriteEndArray();
    }

    private static void WritePart(Utf8JsonWriter json, Action<Utf8JsonWriter> write)
    {
        json.WriteStartObject();
        write(json);
        json.WriteEndObject();
    }

    private static void WriteThought(Utf8JsonWriter json, string text)
    {
        json.WriteString("text", text);
        json.WriteBoolean("thought", true);
    }

    private static void WriteCall(Utf8JsonWriter json, ToolCall call)
    {
        json.WriteStartObject("functionCall");
        json.WriteString("id", call.Id);
        json.WriteString("name", call.Name);
        json.WriteData("args", call.Arguments);
        json.WriteEndObject();
    }

    private void WriteTail(Utf8JsonWriter json, TurnUsage? usage)
    {
        if (usage is { } counted)
        {
            json.WriteStartObject("usageMetadata");
            json.WriteNumber("promptTokenCount", counted.Prompt);
            json.WriteNumber("candidatesTokenCount", counted.Output - counted.Reasoning);
            json.WriteNumber("totalTokenCount", counted.Total);
            json.WriteNumber("cachedContentTokenCount", counted.Cached);
            json.WriteNumber("thoughtsTokenCount", counted.Reasoning);
            json.WriteEndObject();
        }

        json.WriteString("modelVersion", model);
        json.WriteString("responseId", _id);
    }

    // Of what is visible; reasoning and the token that ended the answer have none.
    private void WriteLogprobs(Utf8JsonWriter json, IReadOnlyList<TokenMade> all, int top)
    {
        TokenMade[] tokens = [.. all.Where(token => token.Region == TokenRegion.Answer)];
        json.WriteStartObject("logprobsResult");
        json.WriteStartArray("topCandidates");
        foreach (TokenMade token in tokens)
        {
            json.WriteStartObject();
            json.WriteStartArray("candidates");
            foreach (TokenLogprob other in (token.Token.Alternatives?.Model ?? []).Take(top))
                WriteToken(json, other.Token, other.Logprob);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("chosenCandidates");
        foreach (TokenMade token in tokens)
            WriteToken(json, token.Token.Token, token.Token.Logprob);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private void WriteToken(Utf8JsonWriter json, int token, float logprob)
    {
        json.WriteStartObject();
        json.WriteString("token", LogprobWriter.TextOf(served.Tokenizer, token));
        json.WriteNumber("tokenId", token);
        json.WriteNumber("logProbability", LogprobWriter.Finite(logprob));
        json.WriteEndObject();
    }

    private static string Reason(TurnEnd end) => end is TurnEnd.Length or TurnEnd.ContextFull ? "MAX_TOKENS" : "STOP";
}
