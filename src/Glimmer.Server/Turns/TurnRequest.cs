using Glimmer.Chat;
using Glimmer.Server.Accounting;

namespace Glimmer.Server.Turns;

/// <summary>Which calls a turn may or must make.</summary>
public enum CallChoice
{
    /// <summary>The model decides.</summary>
    Auto,
    /// <summary>No call; the tools are not shown to the model.</summary>
    None,
    /// <summary>At least one call.</summary>
    Required,
}

/// <summary>What the text of an answer must be.</summary>
/// <param name="Kind">The notation.</param>
/// <param name="Text">The schema, expression or grammar; empty for <see cref="OutputFormatKind.JsonObject"/>.</param>
public sealed record OutputFormat(OutputFormatKind Kind, string Text);

/// <summary>Notation of an <see cref="OutputFormat"/>.</summary>
public enum OutputFormatKind
{
    /// <summary>Any JSON object.</summary>
    JsonObject,
    /// <summary>JSON that is valid under a schema.</summary>
    JsonSchema,
    /// <summary>A regular expression for the whole text.</summary>
    Regex,
    /// <summary>A grammar in EBNF that starts at <c>root</c>.</summary>
    Ebnf,
    /// <summary>A grammar in Lark's notation that starts at <c>start</c>.</summary>
    Lark,
    /// <summary>A structural tag: free text with structured regions. Tools are shown beside it: it may be about their calls.</summary>
    StructuralTag,
}

/// <summary>The switches of thinking; null leaves each to the server and the model.</summary>
/// <param name="Enabled">Whether the model thinks before it answers.</param>
/// <param name="Effort">How hard: <c>low</c> to <c>max</c>, for templates that know levels.</param>
/// <param name="Clear">Whether reasoning of earlier turns is left out of the prompt.</param>
/// <param name="Budget">Most tokens of reasoning; then it is closed by force.</param>
public sealed record ThinkingSwitches(bool? Enabled = null, string? Effort = null, bool? Clear = null, int? Budget = null);

/// <summary>How tokens are chosen; null means the default of the server.</summary>
public sealed record SamplingChoice
{
    /// <summary>Divides the logits; 0 takes the most likely token.</summary>
    public double? Temperature { get; init; }

    /// <summary>Probability mass kept.</summary>
    public double? TopP { get; init; }

    /// <summary>Most likely tokens kept; -1 and 0 keep all.</summary>
    public int? TopK { get; init; }

    /// <summary>Least probability relative to the most likely token.</summary>
    public double? MinP { get; init; }

    /// <summary>Divides logits of tokens that occurred.</summary>
    public double? RepetitionPenalty { get; init; }

    /// <summary>Subtracted for each time a token was generated.</summary>
    public double? FrequencyPenalty { get; init; }

    /// <summary>Subtracted when a token was generated.</summary>
    public double? PresencePenalty { get; init; }

    /// <summary>Seed; null draws one.</summary>
    public ulong? Seed { get; init; }

    /// <summary>Added to logits.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }
}

/// <summary>
/// What a client asks for, in the same terms for every API: a conversation with tools, or a prompt of text or ids. A dialect only translates to this and from
/// <see cref="TurnEvent"/>s.
/// </summary>
public sealed record TurnRequest
{
    /// <summary>Identifies the request in logs and answers.</summary>
    public required string Id { get; init; }

    /// <summary>The conversation; empty when <see cref="Prompt"/> or <see cref="PromptText"/> is given.</summary>
    public IReadOnlyList<ChatMessage> Messages { get; init; } = [];

    /// <summary>A prompt of ids, taken as it is.</summary>
    public IReadOnlyList<int>? Prompt { get; init; }

    /// <summary>A prompt of text, without a chat template.</summary>
    public string? PromptText { get; init; }

    /// <summary>Tools in the order received: the order is part of the prefix.</summary>
    public IReadOnlyList<ToolDefinition> Tools { get; init; } = [];

    /// <summary>Which calls are made.</summary>
    public CallChoice Choice { get; init; } = CallChoice.Auto;

    /// <summary>The tool that must be called; null for any.</summary>
    public string? NamedTool { get; init; }

    /// <summary>The tools that may be called when a call is demanded; null for all.</summary>
    public IReadOnlyList<string>? AllowedTools { get; init; }

    /// <summary>False ends the turn after its first call.</summary>
    public bool ParallelCalls { get; init; } = true;

    /// <summary>The switches of thinking.</summary>
    public ThinkingSwitches Thinking { get; init; } = new();

    /// <summary>More variables for the template (<c>chat_template_kwargs</c>).</summary>
    public DataObject? TemplateVariables { get; init; }

    /// <summary>How tokens are chosen.</summary>
    public SamplingChoice Sampling { get; init; } = new();

    /// <summary>What the text must be; null for free text.</summary>
    public OutputFormat? Format { get; init; }

    /// <summary>Most tokens of the answer; null for the rest of the context. More than the context has left is cut down to that.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Least tokens of the answer.</summary>
    public int MinTokens { get; init; }

    /// <summary>Texts that end the answer.</summary>
    public IReadOnlyList<string> Stops { get; init; } = [];

    /// <summary>More tokens that end the answer.</summary>
    public IReadOnlyList<int> StopTokens { get; init; } = [];

    /// <summary>Whether the model's own stop tokens are ordinary tokens.</summary>
    public bool IgnoreEnd { get; init; }

    /// <summary>Whether the text that ended the answer stays in it.</summary>
    public bool IncludeStop { get; init; }

    /// <summary>Whether control tokens are left out of the text.</summary>
    public bool SkipSpecial { get; init; } = true;

    /// <summary>Number of answers.</summary>
    public int Count { get; init; } = 1;

    /// <summary>Whether each token is reported with its log-probability.</summary>
    public bool Logprobs { get; init; }

    /// <summary>Alternatives reported with each token.</summary>
    public int TopLogprobs { get; init; }

    /// <summary>Whether log-probabilities of the prompt are computed.</summary>
    public bool PromptLogprobs { get; init; }

    /// <summary>Alternatives reported with each prompt token.</summary>
    public int PromptTopLogprobs { get; init; }

    /// <summary>Tokens whose log-probabilities are reported at every position.</summary>
    public IReadOnlyList<int> WatchedTokens { get; init; } = [];

    /// <summary>Whether the experts are reported that each position was routed to.</summary>
    public bool RoutedExperts { get; init; }

    /// <summary>Whether the last message, of the assistant, is the beginning of the answer.</summary>
    public bool ContinueFinal { get; init; }

    /// <summary>Whether the prompt ends with the opening of an answer.</summary>
    public bool AddGenerationPrompt { get; init; } = true;

    /// <summary>A request of priority p goes before those of priority 0 that arrived up to 64 p requests earlier.</summary>
    public int Priority { get; init; }

    /// <summary>Prefixes are shared only among requests of the same namespace.</summary>
    public string CacheNamespace { get; init; } = "";

    /// <summary>Name of the adapter that computes the request; null for the model as it is, or the adapter that the account's model names.</summary>
    public string? Adapter { get; init; }

    /// <summary>To whom the request is charged; null for nobody.</summary>
    public Account? Account { get; init; }
}
