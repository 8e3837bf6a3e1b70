using System.Runtime.CompilerServices;
using Glimmer.Chat;
using Glimmer.Tokenization;
using Microsoft.Extensions.AI;

namespace Glimmer.Inference;

/// <summary>A model as an <see cref="IChatClient"/>: renders the conversation with the checkpoint's template, generates on an <see cref="Engine"/>, and parses the answer as it comes.</summary>
/// <remarks>
/// <para>Reasoning arrives as <see cref="TextReasoningContent"/>, calls of declared functions as <see cref="FunctionCallContent"/> when they are complete, counts as <see cref="UsageContent"/>
/// with the last update. Sampling defaults are the checkpoint's; the seed is 0 unless the options name one. With tools, the reasoning of earlier turns stays in the prompt, so that the prefix of
/// an agent's conversation does not change from turn to turn.</para>
/// <para><see cref="ChatOptions.ResponseFormat"/>, <see cref="ChatOptions.ToolMode"/> and <see cref="ChatOptions.AllowMultipleToolCalls"/> are kept by constraints on the tokens after the think block: JSON is
/// valid under its schema, and the arguments of a required call under the tool's. A turn with a response format and tools is either calls or JSON.</para>
/// <para><see cref="ChatOptions.RawRepresentationFactory"/> may return a <see cref="GenerationRequest"/>, whose priority, namespace, constraint, least length and stop tokens are used.
/// <see cref="ChatOptions.AdditionalProperties"/> may set <c>enable_thinking</c> and <c>clear_thinking</c> to booleans.</para>
/// <para>Thread-safe: any number of conversations run at once.</para>
/// </remarks>
public sealed class GlmChatClient : IChatClient
{
    private readonly LoadedModel _model;
    private readonly Engine _engine;
    private readonly ChatConstraints _constraints;
    private readonly ChatClientMetadata _metadata;

    /// <summary>Creates a client.</summary>
    /// <param name="model">The model; shared, not owned.</param>
    /// <param name="engine">The engine that runs it; shared, not owned.</param>
    /// <exception cref="UnsupportedModelException">The model has no chat template.</exception>
    public GlmChatClient(LoadedModel model, Engine engine)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(engine);
        if (model.Template is null)
            throw new UnsupportedModelException($"'{model.Path}' has no chat template, so it cannot chat. Use an Engine to continue a text.");
        (_model, _engine, _constraints) = (model, engine, new ChatConstraints(model.Tokenizer, model.Template, model.StopTokens));
        _metadata = new ChatClientMetadata("glimmer", providerUri: null, System.IO.Path.GetFileName(model.Path.TrimEnd('/')));
    }

    /// <inheritdoc/>
    public Task<ChatResponse> GetResponseAsync(
        IEnumerable<Microsoft.Extensions.AI.ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    /// <inheritdoc/>
    /// <exception cref="UnsupportedModelException">The options or a message ask for what is not supported; the message names it.</exception>
    /// <exception cref="Constraints.ConstraintException">The schema of the response or of a tool cannot be expressed, or the model's vocabulary has no tool calls.</exception>
    /// <exception cref="PromptTooLongException">The conversation does not fit into the context.</exception>
    /// <exception cref="EngineBusyException">The engine's queue is full.</exception>
    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<Microsoft.Extensions.AI.ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        IReadOnlyList<ToolDefinition> tools = ChatTranslation.Tools(options);
        int[] prompt = _model.EncodeChat(ChatTranslation.Messages(messages, options), ChatTranslation.Template(options, tools), out string text);
        return Answer(Request(prompt, options, _constraints.For(options, tools, text)), _model.Template!.CreateParser(text, tools), cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(ChatClientMetadata) ? _metadata
            : serviceType == typeof(Engine) ? _engine
            : serviceType == typeof(LoadedModel) ? _model
            : serviceType.IsInstanceOfType(this) ? this
            : null;
    }

    /// <summary>Does nothing: model and engine belong to the caller.</summary>
    public void Dispose()
    {
    }

    private GenerationRequest Request(int[] prompt, ChatOptions? options, Func<ITokenConstraint>? constraint)
    {
        SamplingOptions sampling = SamplingOptions.For(_model.Generation);
        GenerationRequest request = options?.RawRepresentationFactory?.Invoke(this) as GenerationRequest ?? new GenerationRequest { Prompt = prompt };
        if (constraint is not null && request.Constraint is not null)
            throw new ArgumentException("The GenerationRequest of ChatOptions.RawRepresentationFactory has a constraint, and the options ask for another one (ResponseFormat, ToolMode or AllowMultipleToolCalls). Give one of them.", nameof(options));
        return request with
        {
            Prompt = prompt,
            Count = 1,
            Constraint = constraint ?? request.Constraint,
            MaxTokens = options?.MaxOutputTokens ?? _engine.ContextLength,
            StopTokens = [.. request.StopTokens, .. _model.StopTokens],
            StopStrings = [.. request.StopStrings, .. options?.StopSequences ?? []],
            Sampling = sampling with
            {
                Temperature = options?.Temperature ?? sampling.Temperature,
                TopP = options?.TopP ?? sampling.TopP,
                TopK = options?.TopK ?? sampling.TopK,
                FrequencyPenalty = options?.FrequencyPenalty ?? sampling.FrequencyPenalty,
                PresencePenalty = options?.PresencePenalty ?? sampling.PresencePenalty,
                Seed = (ulong)(options?.Seed ?? 0),
            },
        };
    }

    private async IAsyncEnumerable<ChatResponseUpdate> Answer(
        GenerationRequest request, GlmMessageParser parser, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Generation generation = _engine.Submit(request, cancellationToken);
        var detokenizer = new Detokenizer(_model.Tokenizer, skipSpecial: true);
        var stop = new StopText(request.StopStrings);
        string id = "chatcmpl-" + Guid.NewGuid().ToString("N");
        FinishReason finish = FinishReason.Stop;
        int generated = 0;
        bool hasCalls = false;
        await foreach (EngineToken token in generation.ReadAllAsync(cancellationToken).ConfigureAwait(false))
        {
            generated++;
            finish = token.Finish ?? finish;
            if (token.Finish == FinishReason.Stop && token.StopString is null)
                continue; // The stop token is no text.
            string text = detokenizer.Append(token.Token).ToString();
            // The engine looks for stop strings from the least length on.
            foreach (AIContent content in Contents(parser.Append(generated < request.MinTokens ? text : stop.Append(text))))
                yield return Update(content);
        }

        string rest = stop.Append(detokenizer.Flush().ToString()) + stop.Flush();
        foreach (AIContent content in Contents(parser.Append(rest)).Concat(Contents(parser.Complete())))
            yield return Update(content);
        ChatResponseUpdate last = Update(new UsageContent(new UsageDetails
        {
            InputTokenCount = request.Prompt.Length,
            CachedInputTokenCount = generation.CachedTokens,
            OutputTokenCount = generated,
            TotalTokenCount = request.Prompt.Length + generated,
        }));
        last.FinishReason = hasCalls ? ChatFinishReason.ToolCalls : finish == FinishReason.Stop ? ChatFinishReason.Stop : ChatFinishReason.Length;
        yield return last;

        ChatResponseUpdate Update(AIContent content)
        {
            hasCalls |= content is FunctionCallContent;
            return new ChatResponseUpdate(ChatRole.Assistant, [content]) { ResponseId = id, MessageId = id, ModelId = _metadata.DefaultModelId };
        }
    }

    private static IEnumerable<AIContent> Contents(IReadOnlyList<MessageEvent> events)
    {
        foreach (MessageEvent item in events)
        {
            AIContent? content = item switch
            {
                ReasoningDelta reasoning => new TextReasoningContent(reasoning.Text),
                TextDelta text => new TextContent(text.Text),
                ToolCallEnd call => ChatTranslation.Call(call.Call),
                ToolCallCut cut => new TextContent(cut.RawText), // A call that is not complete is text.
                _ => null,
            };
            if (content is not null)
                yield return content;
        }
    }
}
