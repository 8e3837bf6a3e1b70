using System.Security.Cryptography;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Inference.Constraints;
using Glimmer.Server.Accounting;
using Glimmer.Server.Diagnostics;
using Glimmer.Server.Http;
using Glimmer.Server.Metrics;

namespace Glimmer.Server.Turns;

/// <summary>Answers requests: renders, encodes, constrains, submits, and reads the tokens back through the one parser.</summary>
public sealed class TurnRunner
{
    private readonly TurnDefaults _defaults;
    private readonly ulong _seed;
    private ulong _requests;

    /// <summary>Creates a runner.</summary>
    /// <param name="model">The model.</param>
    /// <param name="defaults">What is decided where a request does not.</param>
    /// <param name="time">The clock; null for the system's.</param>
    public TurnRunner(ServedModel model, TurnDefaults? defaults = null, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        (Model, _defaults, Time) = (model, defaults ?? new TurnDefaults(), time ?? TimeProvider.System);
        _seed = _defaults.RandomSeed ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8));
    }

    /// <summary>The model.</summary>
    public ServedModel Model { get; }

    /// <summary>What is decided where a request does not.</summary>
    internal TurnDefaults Defaults => _defaults;

    /// <summary>The clock.</summary>
    internal TimeProvider Time { get; }

    /// <summary>What is measured.</summary>
    internal TurnMetrics Metrics { get; } = new();

    /// <summary>Where requests are charged; null for nowhere.</summary>
    internal UsageLog? Usage { get; init; }

    /// <summary>Traces and metrics; null for none.</summary>
    internal Telemetry? Telemetry { get; init; }

    /// <summary>The log of requests; null for none.</summary>
    internal TurnLog? Log { get; init; }

    /// <summary>Requests that are being answered.</summary>
    internal LiveTurns Live { get; } = new();

    /// <summary>Tokens of a request's prompt. Uses no engine.</summary>
    /// <exception cref="ApiException">The conversation cannot be rendered.</exception>
    public int CountTokens(TurnRequest request) => Encode(request).Count;

    /// <summary>A request's prompt as ids. Uses no engine.</summary>
    /// <exception cref="ApiException">The conversation cannot be rendered.</exception>
    public IReadOnlyList<int> Encode(TurnRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return TurnPrompt.Of(Model, request, _defaults).Ids;
    }

    /// <summary>Hands a request to the engine. When this returns the request is accepted; what fails before has the status of an answer that never began.</summary>
    /// <exception cref="ApiException">The request cannot be answered.</exception>
    public async Task<Turn> StartAsync(TurnRequest request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        long start = Time.GetTimestamp();
        TurnPrompt prompt = TurnPrompt.Of(Model, request, _defaults);
        if (Live.Contains(request.Id))
            throw ApiException.Invalid($"A request with the id '{request.Id}' is being answered already.", "rid");
        int context = Model.Source.ContextLength;
        int left = context - prompt.Ids.Length;
        if (left <= 0)
            throw ApiException.PromptTooLong(prompt.Ids.Length, context);
        if (_defaults.StrictMaxTokens && request.MaxTokens > left)
            throw ApiException.Invalid($"The prompt has {prompt.Ids.Length} tokens and {request.MaxTokens} more were asked for; the context holds {context}. Ask for at most {left}.", "max_tokens", "context_length_exceeded");
        if (request.Sampling.LogitBias?.Keys.FirstOrDefault(token => token >= Model.VocabularySize, -1) is { } beyond and >= 0)
            throw ApiException.Invalid($"logit_bias names the token {beyond}; the model has tokens 0 to {Model.VocabularySize - 1}.", "logit_bias");
        string? adapter = request.Adapter ?? Model.Source.Adapters.FirstOrDefault(name => name == request.Account?.Model);
        if (adapter is not null && !Model.Source.Adapters.Contains(adapter))
            throw ApiException.Invalid($"There is no adapter '{adapter}' here. Loaded: {(Model.Source.Adapters.Count == 0 ? "none" : string.Join(", ", Model.Source.Adapters))}.", "lora_path");
        bool startsInReasoning = Model.Template?.Grammar.Thinking == true && request.Messages.Count > 0 && GlmMessageParser.EndsInOpenThinking(prompt.Text);
        int maxTokens = Math.Min(request.MaxTokens ?? left, left);
        var generation = new GenerationRequest
        {
            Prompt = prompt.Ids,
            Sampling = Sampling(request.Sampling),
            MaxTokens = maxTokens,
            MinTokens = Math.Min(request.MinTokens, maxTokens),
            StopTokens = request.IgnoreEnd ? request.StopTokens : [.. Model.StopTokens, .. request.StopTokens],
            StopStrings = request.Stops,
            Count = request.Count,
            TopLogprobs = request.TopLogprobs,
            PromptLogprobs = request.PromptLogprobs && prompt.Ids.Length > 1,
            PromptTopLogprobs = request.PromptTopLogprobs,
            WatchedTokens = request.WatchedTokens,
            ReturnRoutedExperts = request.RoutedExperts,
            SamplingLogprobs = request.Logprobs,
            Priority = request.Priority,
            CacheNamespace = request.CacheNamespace,
            Adapter = adapter,
            Constraint = await ConstraintAsync(request, prompt, startsInReasoning, cancellationToken).ConfigureAwait(false),
        };
        try
        {
            var turn = new Turn(this, request, prompt, startsInReasoning, start, Model.Source.Submit(generation, cancellationToken));
            Live.Add(request.Id, turn);
            return turn;
        }
        catch (PromptTooLongException error)
        {
            throw ApiException.PromptTooLong(error.PromptTokens, error.ContextLength);
        }
        catch (EngineBusyException)
        {
            Metrics.Refused();
            throw new ApiException(ApiErrorKind.Overloaded, "The queue of requests is full. Try again later.", code: "queue_full") { RetryAfter = TimeSpan.FromSeconds(1 + (_requests % 8)) };
        }
        catch (ArgumentException error)
        {
            throw ApiException.Invalid(error.Message);
        }
        catch (InvalidOperationException)
        {
            throw new ApiException(ApiErrorKind.Unavailable, "The engine does not run. The server's log says why.");
        }
    }

    private SamplingOptions Sampling(SamplingChoice choice)
    {
        SamplingOptions defaults = _defaults.Sampling == SamplingDefaults.OpenAi ? new SamplingOptions { Temperature = 1 } : SamplingOptions.For(Model.Generation);
        ulong number = Interlocked.Increment(ref _requests);
        float temperature = (float?)choice.Temperature ?? defaults.Temperature;
        return defaults with
        {
            Temperature = temperature < 1e-6f ? 0 : temperature,
            TopP = (float?)choice.TopP ?? defaults.TopP,
            TopK = Math.Max(0, choice.TopK ?? defaults.TopK),
            MinP = (float?)choice.MinP ?? defaults.MinP,
            RepetitionPenalty = (float?)choice.RepetitionPenalty ?? defaults.RepetitionPenalty,
            FrequencyPenalty = (float?)choice.FrequencyPenalty ?? 0,
            PresencePenalty = (float?)choice.PresencePenalty ?? 0,
            Seed = choice.Seed ?? (_seed + (number * 0x9E3779B97F4A7C15)),
            LogitBias = choice.LogitBias,
        };
    }

    private async Task<Func<ITokenConstraint>?> ConstraintAsync(TurnRequest request, TurnPrompt prompt, bool startsInReasoning, CancellationToken cancellationToken)
    {
        bool forced = prompt.Tools.Count > 0 && (request.Choice == CallChoice.Required || request.NamedTool is not null);
        if (!forced && (request.Choice == CallChoice.Required || request.NamedTool is not null))
            throw ApiException.Invalid("A call is demanded, but the request declares no tools.", "tool_choice");
        ReasoningStart start = Start(prompt.Text, startsInReasoning);
        int? budget = Min(request.Thinking.Budget, _defaults.MaxThinkingTokens);
        Constraint? inner = null;
        if (forced)
        {
            if (request.NamedTool is { } name && prompt.Tools.All(tool => tool.Name != name))
                throw ApiException.Invalid($"tool_choice names '{name}', which is not among the tools of the request.", "tool_choice");
            var options = new ToolCallOptions
            {
                Choice = ToolChoice.Required,
                Name = request.NamedTool,
                Parallel = request.ParallelCalls,
            };
            IReadOnlyList<ToolDefinition> callable = request.AllowedTools is { } allowed ? [.. prompt.Tools.Where(tool => allowed.Contains(tool.Name))] : prompt.Tools;
            inner = await Model.Formats.CallsAsync(callable, options, cancellationToken).ConfigureAwait(false);
        }
        else if (request.Format is { } format)
            inner = await Model.Formats.FormatAsync(format, "response_format", cancellationToken).ConfigureAwait(false);
        else if (request.Choice == CallChoice.Auto && Model.Template?.Grammar.ToolCalls == true && prompt.Tools.Any(FormatCompiler.IsStrict))
            // The model decides whether to call; the arguments of strict tools are then those of the schema.
            inner = await Model.Formats.CallsAsync(prompt.Tools, new ToolCallOptions { Parallel = request.ParallelCalls }, cancellationToken).ConfigureAwait(false);
        else if (budget is null || start == ReasoningStart.Closed)
            return null;

        if (start == ReasoningStart.Closed || Model.Tokenizer.TokenToId("</think>") is not { } close)
            return inner is null ? null : () => inner.Start();
        var rule = new ThinkingRule(Model.Tokenizer.TokenToId("<think>"), close, Model.StopTokens, start, budget);
        return () => new AfterThinking(rule, inner?.Start());
    }

    // A template that knows thinking but leaves the block to the model: it may open one or not.
    private ReasoningStart Start(string prompt, bool startsInReasoning) =>
        startsInReasoning ? ReasoningStart.Open
        : Model.Template?.Grammar.Thinking != true || prompt.AsSpan().TrimEnd().EndsWith("</think>", StringComparison.Ordinal) ? ReasoningStart.Closed
        : ReasoningStart.Optional;

    private static int? Min(int? a, int? b) => a is null ? b : b is null ? a : Math.Min(a.Value, b.Value);
}
