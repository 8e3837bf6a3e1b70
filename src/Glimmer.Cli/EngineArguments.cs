using System.CommandLine;
using System.Text.Json;
using Glimmer.Inference;
using Glimmer.Kernels;

namespace Glimmer.Cli;

/// <summary>The options of <c>glimmer serve</c> that say how the engine runs, in the spellings of vLLM and SGLang where they have one.</summary>
internal sealed class EngineArguments
{
    private readonly Option<int?> _context = CountOption.Create("--context-length", "Most tokens of prompt and answer together. Default: what the model was made for.", 64).Also("--max-model-len");
    private readonly Option<int?> _running = NumberOption.Create("--max-running-requests", "Most sequences computed at once. Default: 32.", 1, 4096).Also("--max-num-seqs");
    private readonly Option<int?> _queue = NumberOption.Create("--max-queued-requests", "Most requests that wait. Default: 512.", 0, 1_000_000);
    private readonly Option<int?> _cache = CountOption.Create("--max-total-tokens", "Most tokens whose keys and values are kept. Default: by memory.", 64);
    private readonly Option<int?> _prefill = CountOption.Create("--chunked-prefill-size", "Prompt tokens of one step when nobody else generates. Default: 512.", 1).Also("--max-num-batched-tokens");
    private readonly Option<bool> _noPrefixes = new("--disable-radix-cache", "--no-enable-prefix-caching", "--disable-prefix-caching") { Description = "Do not keep computed prefixes." };
    private readonly Option<string?> _cacheType = new("--kv-cache-dtype") { Description = "How keys and values are kept: auto (as --kv-cache-type says), float32, bf16, int8.", HelpName = "type" };
    private readonly Option<string?> _drafts = new("--speculative-algorithm") { Description = "How tokens are drafted: EAGLE, NEXTN or MTP (the model's MTP layer), NGRAM (what followed the same tokens before), NONE. Default: what the model has.", HelpName = "name" };
    private readonly Option<int?> _steps = NumberOption.Create("--speculative-num-steps", "Most drafts of a step. Default: 3.", 1, 64);
    private readonly Option<int?> _draftTokens = NumberOption.Create("--speculative-num-draft-tokens", "Most tokens that a step verifies: the drafts and one more.", 2, 65);
    private readonly Option<string?> _draftJson = new("--speculative-config", "-sc") { Description = "The same as JSON: {\"method\": \"mtp\", \"num_speculative_tokens\": 3}.", HelpName = "json" };

    private readonly Option<string[]> _adapters = new("--lora", "--lora-modules", "--lora-paths") { Description = "NAME=FOLDER: a LoRA adapter in the layout of PEFT, served as a model of that name; repeatable.", AllowMultipleArgumentsPerToken = true, HelpName = "name=folder" };

    /// <summary>Adds the options to a command.</summary>
    public EngineArguments AddTo(Command command)
    {
        foreach (Option option in (ReadOnlySpan<Option>)[_context, _running, _queue, _cache, _prefill, _noPrefixes, _cacheType, _drafts, _steps, _draftTokens, _draftJson, _adapters])
            command.Add(option);
        return this;
    }

    /// <summary>Most sequences computed at once.</summary>
    public int MaxRunning(ParseResult parsed) => parsed.GetValue(_running) ?? 32;

    /// <summary>How the engine runs.</summary>
    /// <exception cref="UsageException">A name is unknown, or two options contradict each other.</exception>
    public EngineOptions Of(ParseResult parsed)
    {
        (DraftSource source, int? most) = parsed.GetValue(_draftJson) is { } json ? Config(json) : (Source(parsed.GetValue(_drafts)), null);
        int? steps = parsed.GetValue(_steps), tokens = parsed.GetValue(_draftTokens) - 1;
        if (steps is not null && tokens is not null && steps != tokens)
            throw new UsageException($"--speculative-num-steps {steps} drafts {steps} tokens and --speculative-num-draft-tokens {tokens + 1} verifies {tokens} drafts; drafts are a chain here, so give {steps + 1}, or one of both.");
        return new EngineOptions
        {
            ContextLength = parsed.GetValue(_context) ?? 0,
            MaxRunning = MaxRunning(parsed),
            MaxWaiting = parsed.GetValue(_queue) ?? 512,
            CacheTokens = parsed.GetValue(_cache) ?? 0,
            PrefillTokens = parsed.GetValue(_prefill) is > 0 and int prefill ? prefill : 512,
            ReusePrefixes = !parsed.GetValue(_noPrefixes),
            CacheType = parsed.GetValue(_cacheType) switch
            {
                null or "auto" => null,
                "float32" or "f32" => KeyValueType.F32,
                "bf16" or "bfloat16" => KeyValueType.BF16,
                "int8" => KeyValueType.Int8,
                { } other => throw new UsageException($"--kv-cache-dtype is '{other}'; expected auto, float32, bf16 or int8. There are no 8-bit floating-point keys and values here."),
            },
            Adapters = Adapters(parsed.GetValue(_adapters) ?? []),
            Drafts = source,
            MaxDrafts = most ?? steps ?? tokens ?? 3,
        };
    }

    private static Dictionary<string, string> Adapters(string[] given)
    {
        var adapters = new Dictionary<string, string>();
        foreach (string adapter in given)
        {
            if (adapter.Split('=', 2) is not [{ Length: > 0 } name, { Length: > 0 } folder])
                throw new UsageException($"--lora {adapter}: expected NAME=FOLDER.");
            if (!adapters.TryAdd(name, folder))
                throw new UsageException($"--lora names '{name}' twice.");
        }

        return adapters;
    }

    private static DraftSource Source(string? name) => name?.ToUpperInvariant() switch
    {
        null => DraftSource.Auto,
        "NONE" => DraftSource.None,
        "EAGLE" or "NEXTN" or "MTP" => DraftSource.NextTokenLayer,
        "NGRAM" => DraftSource.PromptLookup,
        _ => throw new UsageException($"--speculative-algorithm is '{name}'; expected EAGLE, NEXTN or MTP (the model's MTP layer), NGRAM or NONE."),
    };

    // The form of vLLM. Anything that is not understood is refused: it would change what is drafted.
    private static (DraftSource Source, int? Most) Config(string json)
    {
        const string Expected = "expected {\"method\": \"mtp\" or \"ngram\", \"num_speculative_tokens\": 1 to 64}.";
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            string? method = null;
            int? most = null;
            foreach (JsonProperty property in document.RootElement.EnumerateObject())
            {
                switch (property.Name)
                {
                    case "method":
                        method = property.Value.GetString();
                        break;
                    case "num_speculative_tokens":
                        most = property.Value.GetInt32() is >= 1 and <= 64 and int count ? count : throw new UsageException($"--speculative-config: num_speculative_tokens is {property.Value}; {Expected}");
                        break;
                    default:
                        throw new UsageException($"--speculative-config has '{property.Name}', which is not supported; {Expected}");
                }
            }

            return (Source(method), most);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            throw new UsageException($"--speculative-config is '{json}'; {Expected}");
        }
    }
}
