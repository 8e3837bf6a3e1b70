using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Glimmer.Inference;
using Glimmer.Server.Http;
using Glimmer.Server.OpenAi;
using Glimmer.Server.Turns;

namespace Glimmer.Server.Native;

/// <summary>One answer of <c>/generate</c> as it grows. Log-probabilities are the model's own, of the untouched logits.</summary>
/// <param name="request">What was asked for.</param>
/// <param name="turn">The request at the engine.</param>
/// <param name="model">The model.</param>
/// <param name="time">The clock.</param>
/// <param name="start">When the request came.</param>
internal sealed class GenerateAnswer(GenerateRequest request, Turn turn, ServedModel model, TimeProvider time, long start)
{
    private readonly List<TokenMade> _tokens = [];

    /// <summary>The text so far.</summary>
    public StringBuilder Text { get; } = new();

    /// <summary>What is known of the prompt.</summary>
    public TurnStarted? Started { get; set; }

    /// <summary>Its end.</summary>
    public AnswerFinished? Finished { get; set; }

    /// <summary>Adds a token.</summary>
    public void Add(TokenMade token) => _tokens.Add(token);

    /// <summary>Writes everything so far.</summary>
    /// <param name="json">Where to.</param>
    /// <param name="index">Number of the answer in a batch; null for none.</param>
    public void Write(Utf8JsonWriter json, int? index = null)
    {
        json.WriteStartObject();
        json.WriteString("text", Text.ToString());
        json.WriteStartArray("output_ids");
        foreach (TokenMade token in _tokens)
            json.WriteNumberValue(token.Token.Token);
        json.WriteEndArray();
        if (request.PromptIds)
        {
            json.WriteStartArray("prompt_token_ids");
            foreach (int token in turn.Prompt)
                json.WriteNumberValue(token);
            json.WriteEndArray();
        }

        json.WriteStartObject("meta_info");
        json.WriteString("id", turn.Request.Id);
        WriteFinish(json);
        json.WriteNumber("prompt_tokens", turn.Prompt.Count);
        json.WriteNumber("completion_tokens", _tokens.Count);
        json.WriteNumber("cached_tokens", Started?.CachedTokens ?? 0);
        json.WriteNumber("reasoning_tokens", Finished?.Usage.Reasoning ?? 0);
        json.WriteString("weight_version", model.Control?.Version ?? "default");
        if (request.Logprobs)
            WriteLogprobs(json);
        if (request.RoutedFrom >= 0 && Finished is not null)
            json.WriteBase64String("routed_experts", RoutedExperts());
        if (Finished is not null)
            json.WriteNumber("e2e_latency", Math.Round(time.GetElapsedTime(start).TotalSeconds, 6));
        json.WriteEndObject();
        if (index is { } number)
            json.WriteNumber("index", number);
        json.WriteEndObject();
    }

    private void WriteFinish(Utf8JsonWriter json)
    {
        if (Finished is not { } finished)
        {
            json.WriteNull("finish_reason");
            return;
        }

        json.WriteStartObject("finish_reason");
        switch (finished.End)
        {
            case TurnEnd.Length or TurnEnd.ContextFull:
                json.WriteString("type", "length");
                json.WriteNumber("length", _tokens.Count);
                break;
            case TurnEnd.Aborted:
                json.WriteString("type", "abort");
                json.WriteString("message", "The request was aborted.");
                json.WriteNull("status_code");
                json.WriteString("err_type", "AbortError");
                break;
            case TurnEnd.StopText:
                json.WriteString("type", "stop");
                json.WriteString("matched", finished.StopText);
                break;
            default:
                json.WriteString("type", "stop");
                if (finished.StopToken is { } token)
                    json.WriteNumber("matched", token);
                break;
        }

        json.WriteEndObject();
    }

    // int32 in little-endian order, [prompt + output - 1 - start, layers, experts a token].
    private byte[] RoutedExperts()
    {
        int perRow = _tokens.Count > 0 ? _tokens[0].Token.RoutedExperts.Length : turn.Prompt.Count > 1 ? turn.PromptRoutedExperts.Length / (turn.Prompt.Count - 1) : 0;
        int[] all = [.. turn.PromptRoutedExperts.Span, .. _tokens.SelectMany(token => token.Token.RoutedExperts.ToArray())];
        return MemoryMarshal.AsBytes(all.AsSpan(Math.Min(all.Length, request.RoutedFrom * perRow))).ToArray();
    }

    private void WriteLogprobs(Utf8JsonWriter json)
    {
        WriteList(json, "output_token_logprobs", _tokens, token => WriteToken(json, token.Token.Token, token.Token.Logprob));
        json.WriteNumber("output_token_logprobs_length", _tokens.Count);
        if (request.SamplingLogprobs)
            WriteList(json, "output_token_sampling_logprobs", _tokens, token => WriteToken(json, token.Token.Token, token.Token.SamplingLogprob));
        bool hasTop = turn.Request.TopLogprobs > 0, hasWatched = turn.Request.WatchedTokens.Count > 0;
        if (hasTop)
            WriteList(json, "output_top_logprobs", _tokens, token => WriteTop(json, token.Token.Alternatives));
        if (hasWatched)
            WriteList(json, "output_token_ids_logprobs", _tokens, token => WriteWatched(json, token.Token.Alternatives));
        if (request.PromptFrom < 0 || Started is null)
            return;
        int[] positions = [.. Enumerable.Range(request.PromptFrom, Math.Max(0, turn.Prompt.Count - request.PromptFrom))];
        WriteList(json, "input_token_logprobs", positions, position => WriteToken(json, turn.Prompt[position], position == 0 ? null : Started.PromptLogprobs[position - 1]));
        if (hasTop)
            WriteList(json, "input_top_logprobs", positions, position => WriteTop(json, position == 0 ? null : Started.PromptAlternatives[position - 1]));
        if (hasWatched)
            WriteList(json, "input_token_ids_logprobs", positions, position => WriteWatched(json, position == 0 ? null : Started.PromptAlternatives[position - 1]));
    }

    private static void WriteList<T>(Utf8JsonWriter json, string name, IEnumerable<T> items, Action<T> write)
    {
        json.WriteStartArray(name);
        foreach (T item in items)
            write(item);
        json.WriteEndArray();
    }

    private void WriteTop(Utf8JsonWriter json, TokenAlternatives? alternatives)
    {
        if (alternatives is null)
        {
            json.WriteNullValue();
            return;
        }

        json.WriteStartArray();
        foreach (TokenLogprob other in alternatives.Model.Take(turn.Request.TopLogprobs))
            WriteToken(json, other.Token, other.Logprob);
        json.WriteEndArray();
    }

    private void WriteWatched(Utf8JsonWriter json, TokenAlternatives? alternatives)
    {
        if (alternatives is null)
        {
            json.WriteNullValue();
            return;
        }

        json.WriteStartArray();
        for (int i = 0; i < turn.Request.WatchedTokens.Count; i++)
            WriteToken(json, turn.Request.WatchedTokens[i], alternatives.Watched[i]);
        json.WriteEndArray();
    }

    private void WriteToken(Utf8JsonWriter json, int token, float? logprob)
    {
        json.WriteStartArray();
        if (logprob is { } value)
            json.WriteNumberValue(LogprobWriter.Finite(value));
        else
            json.WriteNullValue();
        json.WriteNumberValue(token);
        if (request.TextInLogprobs)
            json.WriteStringValue(LogprobWriter.TextOf(model.Tokenizer, token));
        else
            json.WriteNullValue();
        json.WriteEndArray();
    }
}
