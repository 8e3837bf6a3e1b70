using System.Text.Json;

namespace Glimmer.Models;

/// <summary>What <c>generation_config.json</c> says about stopping and sampling.</summary>
public sealed record GenerationConfig
{
    /// <summary>Ids that end a generation. GLM has no end-of-turn token: a turn ends at the next role token, so there are several.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>Whether the checkpoint asks for sampling rather than the most likely token.</summary>
    public bool DoSample { get; init; }

    /// <summary>Divides the logits; null when not stated.</summary>
    public float? Temperature { get; init; }

    /// <summary>Mass of the nucleus; null when not stated.</summary>
    public float? TopP { get; init; }

    /// <summary>Number of most likely tokens kept; null when not stated.</summary>
    public int? TopK { get; init; }

    /// <summary>Least probability relative to the most likely token; null when not stated.</summary>
    public float? MinP { get; init; }

    /// <summary>Penalty on tokens that occurred; null when not stated.</summary>
    public float? RepetitionPenalty { get; init; }

    /// <summary>Parses <c>generation_config.json</c>.</summary>
    /// <exception cref="ModelFormatException">The text is no JSON object or a value is of the wrong kind or out of range.</exception>
    public static GenerationConfig Parse(ReadOnlyMemory<byte> json, string where = "generation_config.json")
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            var reader = new ConfigReader(document.RootElement, where);
            return new GenerationConfig
            {
                EosTokenIds = reader.TokenIds("eos_token_id"),
                DoSample = reader.Bool("do_sample") ?? false,
                Temperature = reader.Float("temperature", positive: false),
                TopP = reader.Float("top_p", positive: false),
                TopK = reader.Int("top_k", 0),
                MinP = reader.Float("min_p", positive: false),
                RepetitionPenalty = reader.Float("repetition_penalty", positive: true),
            };
        }
        catch (JsonException error)
        {
            throw new ModelFormatException($"{where} is not valid JSON: {error.Message}", error);
        }
    }
}
