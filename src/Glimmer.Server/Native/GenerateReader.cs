using Glimmer.Chat;
using Glimmer.Server.Http;
using Glimmer.Server.OpenAi;
using Glimmer.Server.Turns;

namespace Glimmer.Server.Native;

/// <summary>What one request of <c>/generate</c> wants back beside its tokens.</summary>
/// <param name="Turn">The request.</param>
/// <param name="Logprobs">Whether log-probabilities are returned.</param>
/// <param name="PromptFrom">First prompt position whose log-probability is returned; -1 for none.</param>
/// <param name="TextInLogprobs">Whether tokens are spelled out beside their log-probabilities.</param>
/// <param name="SamplingLogprobs">Whether log-probabilities of the distribution that tokens were drawn from are returned beside the model's own.</param>
/// <param name="RoutedFrom">First position whose experts are returned; -1 for none.</param>
/// <param name="PromptIds">Whether the ids of the prompt are returned.</param>
internal sealed record GenerateRequest(TurnRequest Turn, bool Logprobs, int PromptFrom, bool TextInLogprobs, bool SamplingLogprobs, int RoutedFrom, bool PromptIds);

/// <summary>Reads <c>/generate</c>: one prompt or a batch, of text or ids; options are given once or one for each.</summary>
internal static class GenerateReader
{
    private static readonly string[] s_refused = ["image_data", "audio_data", "video_data", "input_embeds", "bootstrap_host", "bootstrap_port", "bootstrap_room"];

    /// <summary>Translates a body.</summary>
    /// <returns>The requests, and whether the answer is a list.</returns>
    /// <exception cref="ApiException">A field is wrong.</exception>
    public static (IReadOnlyList<GenerateRequest> Requests, bool IsBatch) Read(Fields body, string id)
    {
        foreach (string field in s_refused)
        {
            if (body.Has(field))
                throw ApiException.Invalid($"{field} is not supported by this server.", field);
        }

        if (body.Flag("return_hidden_states") == true)
            throw ApiException.Invalid("return_hidden_states is not enabled on this server.", "return_hidden_states");
        (List<(string? Text, int[]? Ids)> prompts, bool isBatch) = Prompts(body);
        string[] ids = Ids(body, id, prompts.Count, isBatch);
        var requests = new GenerateRequest[prompts.Count];
        for (int i = 0; i < requests.Length; i++)
            requests[i] = One(body, i, prompts.Count, isBatch, prompts[i], ids[i]);
        return (requests, isBatch || requests[0].Turn.Count > 1);
    }

    private static (List<(string? Text, int[]? Ids)> Prompts, bool IsBatch) Prompts(Fields body)
    {
        DataValue? text = body.Value("text"), ids = body.Value("input_ids");
        if (text is null == ids is null)
            throw ApiException.Invalid("Give exactly one of text and input_ids.", "text");
        if (text is { AsString: { } single })
            return ([(single, null)], false);
        if (text is not null)
        {
            List<(string?, int[]?)> texts = [.. body.TextOrTexts("text").Select(item => ((string?)item, (int[]?)null))];
            return texts.Count > 0 ? (texts, true) : throw body.Wrong("text", "a text or a list of texts");
        }

        if (ids is not DataArray { Count: > 0 } list)
            throw body.Wrong("input_ids", "a list of token ids, or a list of such lists");
        return list[0] is DataArray
            ? ([.. list.Select((inner, i) => ((string?)null, (int[]?)[.. new Fields(new DataObject { { "input_ids", inner } }).Integers("input_ids")]))], true)
            : ([(null, [.. body.Integers("input_ids")])], false);
    }

    private static string[] Ids(Fields body, string id, int count, bool isBatch)
    {
        DataValue? rid = body.Value("rid");
        string[] ids = rid switch
        {
            null => isBatch ? [.. Enumerable.Range(0, count).Select(i => $"{id}-{i}")] : [id],
            { AsString: { } single } => isBatch ? [.. Enumerable.Range(0, count).Select(i => $"{single}_{i}")] : [single],
            _ => [.. body.TextOrTexts("rid")],
        };
        if (ids.Length != count)
            throw ApiException.Invalid($"rid has {ids.Length} ids for {count} prompts.", "rid");
        if (ids.Distinct(StringComparer.Ordinal).Count() != count)
            throw ApiException.Invalid("rid holds the same id twice.", "rid");
        return ids;
    }

    private static GenerateRequest One(Fields body, int index, int count, bool isBatch, (string? Text, int[]? Ids) prompt, string id)
    {
        Fields sampling = Each(body, "sampling_params", index, count, isBatch) switch
        {
            null => new Fields([], "sampling_params"),
            DataObject map => new Fields(map, "sampling_params"),
            _ => throw body.Wrong("sampling_params", "an object, or a list with one for each prompt"),
        };
        var own = new Fields(Own(body, index, count, isBatch));
        bool logprobs = own.Flag("return_logprob") ?? false;
        int from = logprobs ? own.Integer("logprob_start_len", -1) ?? -1 : -1;
        int top = logprobs ? own.Integer("top_logprobs_num", 0, 1000) ?? 0 : 0;
        bool samplingLogprobs = logprobs && (own.Flag("return_sampling_logprob") ?? false);
        bool routed = own.Flag("return_routed_experts") ?? false;
        int maxTokens = sampling.Integer("max_new_tokens", 0) ?? 128;
        var turn = new TurnRequest
        {
            Id = id,
            PromptText = prompt.Text,
            Prompt = prompt.Ids,
            Sampling = new SamplingChoice
            {
                Temperature = sampling.Number("temperature", 0, 2) ?? 1,
                TopP = sampling.Number("top_p", 0, 1, excludeLeast: true) ?? 1,
                TopK = sampling.Integer("top_k", -1) ?? -1,
                MinP = sampling.Number("min_p", 0, 1) ?? 0,
                RepetitionPenalty = sampling.Number("repetition_penalty", 0, 2, excludeLeast: true) ?? 1,
                FrequencyPenalty = sampling.Number("frequency_penalty", -2, 2),
                PresencePenalty = sampling.Number("presence_penalty", -2, 2),
                Seed = (sampling.Long("sampling_seed") ?? sampling.Long("seed")) is { } seed ? (ulong)seed : null,
                LogitBias = SharedFields.Bias(sampling),
            },
            MaxTokens = maxTokens,
            MinTokens = sampling.Integer("min_new_tokens", 0) ?? 0,
            Stops = [.. sampling.TextOrTexts("stop", 32).Where(stop => stop.Length > 0)],
            StopTokens = sampling.Integers("stop_token_ids", 64),
            IgnoreEnd = sampling.Flag("ignore_eos") ?? false,
            SkipSpecial = sampling.Flag("skip_special_tokens") ?? true,
            IncludeStop = sampling.Flag("no_stop_trim") ?? false,
            Count = sampling.Integer("n", 1, 16) ?? 1,
            Format = Format(sampling),
            Logprobs = samplingLogprobs,
            RoutedExperts = routed,
            TopLogprobs = top,
            PromptLogprobs = from >= 0,
            PromptTopLogprobs = from >= 0 ? top : 0,
            WatchedTokens = logprobs ? own.Integers("token_ids_logprob", 1000) : [],
            Thinking = new ThinkingSwitches(Budget: sampling.Integer("max_thinking_tokens", 0)),
            Priority = own.Integer("priority", -1000, 1000) ?? 0,
            Adapter = own.Text("lora_path") is { Length: > 0 } adapter ? adapter : null,
            CacheNamespace = own.Text("extra_key") ?? own.Text("cache_salt") ?? "",
        };
        return new GenerateRequest(
            turn, logprobs, from, own.Flag("return_text_in_logprobs") ?? false, samplingLogprobs, routed ? own.Integer("routed_experts_start_len", 0) ?? 0 : -1, body.Flag("return_prompt_token_ids") ?? false);
    }

    // Fields that may be lists with one value for each prompt.
    private static DataObject Own(Fields body, int index, int count, bool isBatch)
    {
        var own = new DataObject();
        foreach (string field in (ReadOnlySpan<string>)[
            "return_logprob", "logprob_start_len", "top_logprobs_num", "return_text_in_logprobs", "return_sampling_logprob", "return_routed_experts", "routed_experts_start_len", "priority",
            "extra_key", "cache_salt", "lora_path"])
        {
            if (Each(body, field, index, count, isBatch) is { } value)
                own[field] = value;
        }

        if (body.Value("token_ids_logprob") is DataArray watched)
            own["token_ids_logprob"] = isBatch && watched.Count == count && watched.All(item => item is DataArray) ? watched[index] : watched;
        return own;
    }

    private static DataValue? Each(Fields body, string field, int index, int count, bool isBatch)
    {
        if (body.Value(field) is not DataArray list)
            return body.Value(field);
        if (!isBatch && list.Count == 1)
            return list[0];
        return isBatch && list.Count == count
            ? list[index]
            : throw ApiException.Invalid($"{field} has {list.Count} elements for {(isBatch ? count : 1)} prompts.", field);
    }

    private static OutputFormat? Format(Fields sampling)
    {
        if (sampling.Value("json_schema") is DataObject schema)
            return new OutputFormat(OutputFormatKind.JsonSchema, schema.ToJson());
        if (sampling.Text("json_schema") is { Length: > 0 } text)
            return new OutputFormat(OutputFormatKind.JsonSchema, text);
        if (sampling.Text("regex") is { Length: > 0 } regex)
            return new OutputFormat(OutputFormatKind.Regex, regex);
        if (sampling.Text("ebnf") is { Length: > 0 } ebnf)
            return new OutputFormat(OutputFormatKind.Ebnf, ebnf);
        if (sampling.Value("structural_tag") is DataObject tag)
            return new OutputFormat(OutputFormatKind.StructuralTag, tag.ToJson());
        return sampling.Text("structural_tag") is { Length: > 0 } written ? new OutputFormat(OutputFormatKind.StructuralTag, written) : null;
    }
}
