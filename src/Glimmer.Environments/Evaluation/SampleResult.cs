using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Glimmer.Environments.Evaluation;

/// <summary>A model's answer to one sample and its grade: a line of the results file. Two runs of the same model, data and settings write the same lines.</summary>
public sealed record SampleResult
{
    /// <summary>The sample.</summary>
    public required string Id { get; init; }

    /// <summary>The grade: the part of each metric.</summary>
    public required IReadOnlyList<Tally> Tallies { get; init; }

    /// <summary>What was wrong or found.</summary>
    public string? Explanation { get; init; }

    /// <summary>Everything the model wrote, reasoning and tool calls included, without the token that ended it.</summary>
    public string Output { get; init; } = "";

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens { get; init; }

    /// <summary>Tokens of the output.</summary>
    public int OutputTokens { get; init; }

    /// <summary>Why it ended: <c>stop</c>, <c>length</c>, <c>context</c>.</summary>
    public string? Finish { get; init; }

    /// <summary>Why there is no answer, for example a prompt longer than the context; null when there is one.</summary>
    public string? Error { get; init; }
}

/// <summary>JSON of the results file: names in snake case, readable characters.</summary>
[JsonSerializable(typeof(SampleResult))]
[JsonSerializable(typeof(SortedDictionary<string, string>))]
internal sealed partial class EvaluationJson : JsonSerializerContext
{
    private static readonly Lazy<EvaluationJson> s_readable = new(() => new EvaluationJson(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    }));

    /// <summary>The types with these habits.</summary>
    public static EvaluationJson Readable => s_readable.Value;
}
