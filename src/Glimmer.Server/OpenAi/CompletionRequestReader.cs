using Glimmer.Chat;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;
using Glimmer.Tokenization;

namespace Glimmer.Server.OpenAi;

/// <summary>What a completion request asks beside its turns.</summary>
/// <param name="Turns">One turn a prompt.</param>
/// <param name="Form">The form of the answer.</param>
/// <param name="Echo">Whether the text begins with the prompt's.</param>
/// <param name="TopLogprobs">Alternatives a token, 0 for the token alone; null when log-probabilities are not wanted.</param>
/// <param name="OnlyPrompt">Whether nothing is to be generated (<c>max_tokens</c> 0): the one token that the engine makes is dropped.</param>
internal sealed record CompletionRequest(IReadOnlyList<TurnRequest> Turns, ReplyForm Form, bool Echo, int? TopLogprobs, bool OnlyPrompt);

/// <summary>Reads <c>/v1/completions</c>.</summary>
internal static class CompletionRequestReader
{
    private const int MaxPrompts = 128;
    private const int DefaultMaxTokens = 16;
    private const string Prefix = "<|code_prefix|>", Suffix = "<|code_suffix|>", Middle = "<|code_middle|>";

    /// <summary>Translates a request.</summary>
    /// <exception cref="ApiException">A field is wrong.</exception>
    public static CompletionRequest Read(Fields body, ServedModel model, string id)
    {
        int maxTokens = body.Integer("max_completion_tokens", 0) ?? body.Integer("max_tokens", 0) ?? DefaultMaxTokens;
        bool echo = body.Flag("echo") ?? false;
        int? logprobs = body.Integer("logprobs", 0, 20);
        TurnRequest shared = SharedFields.Read(body, id, leastTokens: 0);
        if (body.Integer("best_of", 1, 20) is { } best && best != shared.Count)
            throw ApiException.Invalid($"best_of is {best} and n is {shared.Count}; only equal numbers are supported.", "best_of");
        shared = shared with
        {
            MaxTokens = Math.Max(1, maxTokens),
            MinTokens = maxTokens == 0 ? 0 : shared.MinTokens,
            Logprobs = logprobs is not null,
            TopLogprobs = logprobs ?? 0,
            PromptLogprobs = shared.PromptLogprobs || (echo && logprobs is not null),
        };
        IReadOnlyList<TurnRequest> turns = [.. Prompts(body, model).Select(prompt => shared with { Prompt = prompt.Ids, PromptText = prompt.Text })];
        return new CompletionRequest(turns, SharedFields.Form(body), echo, logprobs, maxTokens == 0);
    }

    private static List<(IReadOnlyList<int>? Ids, string? Text)> Prompts(Fields body, ServedModel model)
    {
        string? suffix = body.Text("suffix");
        switch (body.Value("prompt"))
        {
            case null:
                throw body.Missing("prompt");
            case { AsString: { } text }:
                return [suffix is null ? Whole(text, model) : (Between(text, suffix, model), null)];
            case DataArray { Count: > 0 and <= MaxPrompts } list when suffix is null && list.All(item => item is DataArray || item.AsString is not null):
                return [.. list.Select(item => item.AsString is { } text ? Whole(text, model) : (Ids((DataArray)item, body), null))];
            case DataArray { Count: > 0 } list when suffix is null && list[0].AsInteger is not null:
                return [(Ids(list, body), null)];
            case DataArray { Count: > MaxPrompts } list:
                throw ApiException.Invalid($"prompt has {list.Count} elements; at most {MaxPrompts} prompts are allowed.", "prompt");
            default:
                throw body.Wrong("prompt", suffix is null ? "a string, an array of strings, an array of token ids or an array of such arrays, none of them empty" : "a string beside suffix");
        }
    }

    // A model that begins its documents with a token can start from it alone.
    private static (IReadOnlyList<int>? Ids, string? Text) Whole(string text, ServedModel model)
    {
        if (text.Length > 0)
            return (null, text);
        int? first = model.Tokenizer.BosId ?? model.Tokenizer.TokenToId("<|endoftext|>");
        return first is { } id ? ([id], null) : throw ApiException.Invalid("prompt is empty, and this model has no token to begin a text with.", "prompt");
    }

    private static IReadOnlyList<int> Ids(DataArray list, Fields body) => list.Count == 0
        ? throw ApiException.Invalid("prompt holds an empty list of tokens; a model needs at least one token to continue.", "prompt")
        : [.. list.Select(item => item.AsInteger is { } id and >= 0 and <= int.MaxValue ? (int)id : throw body.Wrong("prompt", "token ids of 0 and more"))];

    // Fill in the middle.
    private static IReadOnlyList<int> Between(string prefix, string suffix, ServedModel model)
    {
        Tokenizer tokenizer = model.Tokenizer;
        if (tokenizer.TokenToId(Prefix) is { } before && tokenizer.TokenToId(Suffix) is { } after && tokenizer.TokenToId(Middle) is { } middle)
            return [before, .. tokenizer.Encode(prefix), after, .. tokenizer.Encode(suffix), middle];
        throw ApiException.Invalid($"suffix is not supported: the vocabulary of this model has no {Prefix}, {Suffix} and {Middle}.", "suffix");
    }
}
