using System.Collections.Concurrent;
using Glimmer.Chat;
using Glimmer.Inference.Constraints;
using Glimmer.Tokenization;
using Microsoft.Extensions.AI;

namespace Glimmer.Inference;

/// <summary>What <see cref="ChatOptions"/> demand of an answer, as constraints, which are kept: agents ask for the same in every turn.</summary>
/// <remarks>
/// A response format concerns the text after the think block. With tools the model may call them instead, unless the mode says otherwise; where a call is required, the format has nothing to apply to.
/// </remarks>
/// <param name="tokenizer">The vocabulary.</param>
/// <param name="template">The model's template, which says how it thinks and calls.</param>
/// <param name="stopTokens">Tokens that end an answer.</param>
internal sealed class ChatConstraints(Tokenizer tokenizer, ChatTemplate template, IReadOnlyCollection<int> stopTokens)
{
    private const int MostKept = 64;
    private const string AnyObject = """{"type":"object"}""";

    private readonly Lazy<TokenTrie> _trie = new(() => new TokenTrie(tokenizer, stopTokens));
    private readonly ConcurrentDictionary<string, Lazy<Constraint>> _compiled = new(StringComparer.Ordinal);

    /// <summary>The constraint of each answer; null for none.</summary>
    /// <param name="options">The request's options.</param>
    /// <param name="tools">Tools that the prompt declares.</param>
    /// <param name="prompt">Text of the prompt.</param>
    /// <exception cref="ConstraintException">A schema is malformed or cannot be expressed, or the model has no tool calls.</exception>
    /// <exception cref="ArgumentException">A call is required and there is nothing to call.</exception>
    public Func<ITokenConstraint>? For(ChatOptions? options, IReadOnlyList<ToolDefinition> tools, string prompt)
    {
        string? schema = options?.ResponseFormat switch
        {
            null or ChatResponseFormatText => null,
            ChatResponseFormatJson json => json.Schema?.GetRawText() ?? AnyObject,
            var other => throw new UnsupportedModelException($"ChatOptions.ResponseFormat is a {other.GetType().Name}; text and JSON are supported."),
        };
        var required = options?.ToolMode as RequiredChatToolMode;
        if (required is not null && tools.Count == 0)
            throw new ArgumentException("ChatOptions.ToolMode requires a call, and ChatOptions.Tools declares no function.", nameof(options));
        bool mayCall = tools.Count > 0 && template.Grammar.ToolCalls;
        bool once = options?.AllowMultipleToolCalls == false && tools.Count > 0;
        Lazy<Constraint> inner;
        if (required is not null || once || (mayCall && schema is not null))
        {
            var choice = new ToolCallOptions
            {
                Choice = required is null ? ToolChoice.Auto : ToolChoice.Required,
                Name = required?.RequiredFunctionName,
                Parallel = !once,
                TextSchema = required is null ? schema : null,
            };
            inner = Kept($"calls {choice}\n{string.Join('\n', tools.Select(tool => tool.Data.ToJson()))}", () => Constraint.FromTools(_trie.Value, tools, choice));
        }
        else if (schema is not null)
        {
            inner = Kept(schema, () => Constraint.FromJsonSchema(_trie.Value, schema));
        }
        else
        {
            return null;
        }

        Constraint constraint = inner.Value; // Compiled on the caller's thread, used on the engine's.
        ReasoningStart start = Start(prompt);
        if (start == ReasoningStart.Closed || tokenizer.TokenToId(Markers.ThinkClose) is not { } close)
            return constraint.Start;
        var rule = new ThinkingRule(tokenizer.TokenToId(Markers.ThinkOpen), close, stopTokens, start);
        return () => new AfterThinking(rule, constraint.Start());
    }

    private Lazy<Constraint> Kept(string key, Func<Constraint> compile)
    {
        if (_compiled.Count >= MostKept)
            _compiled.Clear();
        return _compiled.GetOrAdd(key, _ => new Lazy<Constraint>(compile));
    }

    // A template that knows thinking but leaves the block to the model: it may open one or not.
    private ReasoningStart Start(string prompt) =>
        !template.Grammar.Thinking ? ReasoningStart.Closed
        : GlmMessageParser.EndsInOpenThinking(prompt) ? ReasoningStart.Open
        : prompt.AsSpan().TrimEnd().EndsWith(Markers.ThinkClose, StringComparison.Ordinal) ? ReasoningStart.Closed
        : ReasoningStart.Optional;
}
