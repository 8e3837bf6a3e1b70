using System.Collections.Concurrent;
using System.Diagnostics;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Inference.Constraints;
using Glimmer.Server.Http;
using Glimmer.Server.Metrics;

namespace Glimmer.Server.Turns;

/// <summary>Compiles what a request demands of its text into constraints, and keeps them: agents send the same schema in every turn.</summary>
/// <param name="model">The model.</param>
internal sealed class FormatCompiler(ServedModel model)
{
    private const int MaxKept = 128;
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(10);
    private readonly ConcurrentDictionary<string, Lazy<Constraint>> _compiled = new(StringComparer.Ordinal);

    /// <summary>Seconds that compilations took, those that were refused included.</summary>
    public Histogram CompileSeconds { get; } = new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]);

    /// <summary>The constraint of a format.</summary>
    /// <exception cref="ApiException">It is malformed, cannot be expressed, or takes too long to compile.</exception>
    public Task<Constraint> FormatAsync(OutputFormat format, string parameter, CancellationToken cancellationToken) =>
        CompileAsync($"{format.Kind}\n{format.Text}", () => format.Kind switch
        {
            OutputFormatKind.JsonObject => Constraint.FromJsonSchema(model.Trie, """{"type":"object"}"""),
            OutputFormatKind.JsonSchema => Constraint.FromJsonSchema(model.Trie, format.Text),
            OutputFormatKind.Regex => Constraint.FromRegex(model.Trie, format.Text),
            OutputFormatKind.StructuralTag => Constraint.FromStructuralTag(model.Trie, format.Text),
            OutputFormatKind.Ebnf => Constraint.FromEbnf(model.Trie, format.Text),
            _ => Constraint.FromLark(model.Trie, format.Text),
        }, parameter, cancellationToken);

    /// <summary>The constraint of a turn that must call, or whose calls are bound by schemas.</summary>
    /// <exception cref="ApiException">A schema cannot be expressed.</exception>
    public Task<Constraint> CallsAsync(IReadOnlyList<ToolDefinition> tools, ToolCallOptions options, CancellationToken cancellationToken) =>
        CompileAsync(
            $"calls {options}\n{string.Join('\n', tools.Select(tool => tool.Data.ToJson()))}", () => Calls(tools, options), "tools", cancellationToken);

    /// <summary>Whether the arguments of a tool's calls must be valid under its schema, or the request is refused.</summary>
    public static bool IsStrict(ToolDefinition tool) => Inner(tool).Find("strict")?.AsBoolean == true;

    private Constraint Timed(Func<Constraint> compile)
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            return compile();
        }
        finally
        {
            CompileSeconds.Observe(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
    }

    // A schema that cannot be expressed binds a demanded call only when it says strict; else the arguments are free.
    private Constraint Calls(IReadOnlyList<ToolDefinition> tools, ToolCallOptions options)
    {
        try
        {
            return Constraint.FromTools(model.Trie, tools, options);
        }
        catch (ConstraintException error) when (error.Keyword is not null && !tools.Any(IsStrict))
        {
            return Constraint.FromTools(model.Trie, [.. tools.Select(Loose)], options);
        }
    }

    private static ToolDefinition Loose(ToolDefinition tool)
    {
        var loose = new DataObject();
        foreach ((string key, DataValue value) in Inner(tool))
            loose[key] = value;
        loose["strict"] = false;
        return new ToolDefinition(loose);
    }

    private static DataObject Inner(ToolDefinition tool) => tool.Data.Find("function") as DataObject ?? tool.Data;

    private async Task<Constraint> CompileAsync(string key, Func<Constraint> compile, string parameter, CancellationToken cancellationToken)
    {
        if (_compiled.Count >= MaxKept)
            _compiled.Clear();
        // One compilation serves all requests with the same text. An engine's matchers share the constraint: all of them run on the engine's thread.
        Lazy<Constraint> lazy = _compiled.GetOrAdd(key, _ => new Lazy<Constraint>(() => Timed(compile)));
        try
        {
            return await Task.Run(() => lazy.Value, cancellationToken).WaitAsync(s_limit, cancellationToken).ConfigureAwait(false);
        }
        catch (ConstraintException error)
        {
            throw ApiException.Invalid(error.Message, parameter);
        }
        catch (Exception error) when (error is ArgumentException or System.Text.Json.JsonException)
        {
            // Halves of surrogate pairs, for example: valid in JSON, no text.
            throw ApiException.Invalid("The grammar or schema is not valid text.", parameter);
        }
        catch (TimeoutException)
        {
            throw ApiException.Invalid($"The grammar takes longer than {s_limit.TotalSeconds:0} seconds to compile. Make it smaller.", parameter);
        }
    }
}
