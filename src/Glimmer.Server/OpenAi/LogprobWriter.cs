using System.Globalization;
using System.Text;
using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Server.Turns;
using Glimmer.Tokenization;

namespace Glimmer.Server.OpenAi;

/// <summary>Writes the log-probabilities of a chat completion: the model's own, of the untouched logits.</summary>
internal static class LogprobWriter
{
    /// <summary>The member <c>logprobs</c> with the tokens of the text.</summary>
    public static void Write(Utf8JsonWriter json, Tokenizer tokenizer, IReadOnlyList<TokenMade> tokens, int top)
    {
        json.WriteStartObject("logprobs");
        json.WriteStartArray("content");
        foreach (TokenMade made in tokens)
        {
            json.WriteStartObject();
            WriteToken(json, tokenizer, made.Token.Token, made.Token.Logprob);
            json.WriteStartArray("top_logprobs");
            foreach (TokenLogprob other in (made.Token.Alternatives?.Model ?? []).Take(top))
            {
                json.WriteStartObject();
                WriteToken(json, tokenizer, other.Token, other.Logprob);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteNull("refusal");
        json.WriteEndObject();
    }

    /// <summary>The same as data, in the form of <c>/v1/responses</c>.</summary>
    public static DataArray Of(Tokenizer tokenizer, IEnumerable<TokenMade> tokens, int top) => new(tokens.Select(made =>
    {
        DataObject token = Of(tokenizer, made.Token.Token, made.Token.Logprob);
        token["top_logprobs"] = new DataArray((made.Token.Alternatives?.Model ?? []).Take(top).Select(other => (DataValue)Of(tokenizer, other.Token, other.Logprob)));
        return (DataValue)token;
    }));

    /// <summary>The member <c>prompt_logprobs</c>, in vLLM's form: null for the first token, then one object a token.</summary>
    public static void WritePrompt(Utf8JsonWriter json, Tokenizer tokenizer, IReadOnlyList<int> prompt, IReadOnlyList<float> logprobs)
    {
        json.WriteStartArray("prompt_logprobs");
        json.WriteNullValue();
        for (int i = 1; i < prompt.Count && i <= logprobs.Count; i++)
        {
            json.WriteStartObject();
            json.WriteStartObject(prompt[i].ToString(CultureInfo.InvariantCulture));
            json.WriteNumber("logprob", Finite(logprobs[i - 1]));
            json.WriteString("decoded_token", TextOf(tokenizer, prompt[i]));
            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    /// <summary>The text of a token; bytes that are no text become replacement characters.</summary>
    public static string TextOf(Tokenizer tokenizer, int token) =>
        tokenizer.HasToken(token) ? tokenizer.IsAdded(token) ? tokenizer.IdToToken(token) ?? "" : Encoding.UTF8.GetString(tokenizer.TokenBytes(token)) : "";

    /// <summary>JSON has no infinity.</summary>
    public static float Finite(float logprob) => Math.Max(logprob, -9999f);

    private static DataObject Of(Tokenizer tokenizer, int token, float logprob)
    {
        byte[] bytes = tokenizer.HasToken(token) ? [.. tokenizer.TokenBytes(token)] : [];
        return new DataObject { { "token", TextOf(tokenizer, token) }, { "logprob", DataValue.From((double)Finite(logprob)) }, { "bytes", new DataArray(bytes.Select(b => (DataValue)(int)b)) } };
    }

    private static void WriteToken(Utf8JsonWriter json, Tokenizer tokenizer, int token, float logprob)
    {
        json.WriteString("token", TextOf(tokenizer, token));
        json.WriteNumber("logprob", Finite(logprob));
        json.WriteStartArray("bytes");
        if (tokenizer.HasToken(token))
        {
            foreach (byte b in tokenizer.TokenBytes(token))
                json.WriteNumberValue(b);
        }

        json.WriteEndArray();
    }
}
