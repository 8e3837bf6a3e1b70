using System.Globalization;
using Glimmer.Chat;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;

namespace Glimmer.Server.OpenAi;

/// <summary>Fields that chat completions and completions share, with the names that vLLM and SGLang add.</summary>
internal static class SharedFields
{
    private const int MaxBias = 4096;

    /// <summary>Sampling, limits, stops and formats.</summary>
    /// <exception cref="ApiException">A field is wrong.</exception>
    /// <param name="body">The request.</param>
    /// <param name="id">Its id.</param>
    /// <param name="leastTokens">Least value of the most tokens: 0 where a prompt alone may be wanted.</param>
    public static TurnRequest Read(Fields body, string id, int leastTokens = 1)
    {
        int count = body.Integer("n", 1, 16) ?? 1;
        return new TurnRequest
        {
            Id = body.Text("rid") ?? body.Text("request_id") ?? id,
            Sampling = Sampling(body),
            Format = Format(body),
            MaxTokens = body.Integer("max_completion_tokens", leastTokens) ?? body.Integer("max_tokens", leastTokens),
            MinTokens = body.Integer("min_tokens", 0) ?? 0,
            Stops = Stops(body, "stop"),
            StopTokens = body.Integers("stop_token_ids", 64),
            IgnoreEnd = body.Flag("ignore_eos") ?? false,
            IncludeStop = body.Flag("include_stop_str_in_output") ?? false,
            SkipSpecial = body.Flag("skip_special_tokens") ?? true,
            Count = count,
            PromptLogprobs = body.Value("prompt_logprobs") is { } prompt && prompt.AsBoolean != false,
            Priority = body.Integer("priority", -1000, 1000) ?? 0,
            CacheNamespace = body.Text("cache_salt") ?? "",
        };
    }

    /// <summary>How the answer is to look.</summary>
    public static ReplyForm Form(Fields body)
    {
        Fields? stream = body.Object("stream_options");
        return new ReplyForm(
            body.Text("model") ?? "", body.Flag("stream") ?? false, stream?.Flag("include_usage") ?? false, stream?.Flag("continuous_usage_stats") ?? false,
            body.Flag("separate_reasoning") ?? true, body.Flag("stream_reasoning") ?? true, body.Flag("return_token_ids") ?? false,
            (body.Flag("return_timings") ?? false) || body.Flag("timings_per_token") == true, body.Flag("timings_per_token") ?? false);
    }

    /// <summary>Stop texts: one or several, none of them empty.</summary>
    public static IReadOnlyList<string> Stops(Fields body, string field) => [.. body.TextOrTexts(field, 16).Where(stop => stop.Length > 0)];

    private static SamplingChoice Sampling(Fields body) => new()
    {
        // z.ai's switch of sampling as a whole.
        Temperature = body.Flag("do_sample") == false ? 0 : body.Number("temperature", 0, 2),
        TopP = body.Number("top_p", 0, 1, excludeLeast: true),
        TopK = body.Integer("top_k", -1),
        MinP = body.Number("min_p", 0, 1),
        RepetitionPenalty = body.Number("repetition_penalty", 0, 2, excludeLeast: true),
        FrequencyPenalty = body.Number("frequency_penalty", -2, 2),
        PresencePenalty = body.Number("presence_penalty", -2, 2),
        Seed = body.Long("seed") is { } seed ? (ulong)seed : null,
        LogitBias = Bias(body),
    };

    /// <summary>Reads <c>logit_bias</c>.</summary>
    public static Dictionary<int, float>? Bias(Fields body)
    {
        if (body.Object("logit_bias") is not { } map || map.Data.Count == 0)
            return null;
        if (map.Data.Count > MaxBias)
            throw ApiException.Invalid($"logit_bias has {map.Data.Count} entries; at most {MaxBias} are allowed.", "logit_bias");
        var bias = new Dictionary<int, float>();
        foreach ((string key, DataValue _) in map.Data)
        {
            if (!int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out int token))
                throw ApiException.Invalid($"logit_bias has the key '{key}'; expected token ids.", "logit_bias");
            bias[token] = (float)(map.Number(key, -100, 100) ?? 0);
        }

        return bias;
    }

    private static OutputFormat? Format(Fields body)
    {
        if (body.Object("response_format") is { } format && ResponseFormat(format) is { } wanted)
            return wanted;
        Fields source = body.Object("structured_outputs") ?? body;
        if ((JsonOf(source, "guided_json") ?? JsonOf(source, "json_schema") ?? JsonOf(source, "json")) is { } schema)
            return new OutputFormat(OutputFormatKind.JsonSchema, schema);
        if (NotEmpty(source.Text("guided_regex") ?? source.Text("regex")) is { } regex)
            return new OutputFormat(OutputFormatKind.Regex, regex);
        if (NotEmpty(source.Text("guided_grammar") ?? source.Text("grammar") ?? source.Text("ebnf")) is { } grammar)
            return new OutputFormat(OutputFormatKind.Ebnf, grammar);
        if (JsonOf(source, "structural_tag") is { } tag)
            return new OutputFormat(OutputFormatKind.StructuralTag, tag);
        string field = source.Has("guided_choice") ? "guided_choice" : "choice";
        return source.Value(field) is DataArray { Count: > 0 } choices
            ? new OutputFormat(OutputFormatKind.Regex, string.Join('|', choices.Select(choice => Escape(choice.AsString ?? throw source.Wrong(field, "an array of strings")))))
            : null;
    }

    /// <summary>A <c>response_format</c>; null for free text.</summary>
    public static OutputFormat? ResponseFormat(Fields format)
    {
        string type = format.RequiredText("type");
        switch (type)
        {
            case "text":
                return null;
            case "json_object":
                return new OutputFormat(OutputFormatKind.JsonObject, "");
            case "json_schema":
                Fields named = format.Object("json_schema") ?? format;
                return named.Object("schema") is { } schema
                    ? new OutputFormat(OutputFormatKind.JsonSchema, schema.Data.ToJson())
                    : throw named.Missing("schema");
            case "regex":
                return new OutputFormat(OutputFormatKind.Regex, format.RequiredText("regex"));
            case "ebnf":
                return new OutputFormat(OutputFormatKind.Ebnf, format.RequiredText("ebnf"));
            case "structural_tag":
                return new OutputFormat(OutputFormatKind.StructuralTag, format.Data.ToJson());
            default:
                throw ApiException.Invalid($"{format.Name("type")} is '{type}'; expected text, json_object, json_schema, regex, ebnf or structural_tag.", format.Name("type"));
        }
    }

    private static string? JsonOf(Fields source, string field) => source.Value(field) switch
    {
        DataObject schema => schema.ToJson(),
        { AsString: { Length: > 0 } text } => text,
        _ => null,
    };

    private static string? NotEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;

    /// <summary>A text as a regular expression that matches it alone.</summary>
    public static string Escape(string text)
    {
        var escaped = new System.Text.StringBuilder();
        foreach (char c in text)
        {
            if ("\\^$.|?*+()[]{}/".Contains(c, StringComparison.Ordinal))
                escaped.Append('\\');
            escaped.Append(c);
        }

        return escaped.ToString();
    }
}
