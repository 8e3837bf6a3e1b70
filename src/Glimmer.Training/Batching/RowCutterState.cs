using System.Text.Json;
using System.Text.Json.Serialization;
using Glimmer.Data.Mixing;

namespace Glimmer.Training.Batching;

/// <summary>Where the next row starts.</summary>
/// <param name="Documents">The mixture before the current document.</param>
/// <param name="Offset">Tokens of the current document that were used.</param>
public sealed record RowCutterState(MixtureState Documents, int Offset)
{
    /// <summary>The state as JSON, as it is kept in a checkpoint.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, RowCutterJson.Default.RowCutterState);

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="FormatException">The text is no such state.</exception>
    public static RowCutterState FromJson(string json)
    {
        try
        {
            RowCutterState? state = JsonSerializer.Deserialize(json, RowCutterJson.Default.RowCutterState);
            if (state is { Documents.Sources.Count: > 0, Offset: >= 0 })
                return state;
        }
        catch (JsonException e)
        {
            throw new FormatException($"The state of the data is no JSON of rows: {e.Message}", e);
        }

        throw new FormatException("The state of the data has no documents, or its offset is below 0.");
    }
}

/// <summary>Generated JSON code of row states.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(RowCutterState))]
internal sealed partial class RowCutterJson : JsonSerializerContext;
