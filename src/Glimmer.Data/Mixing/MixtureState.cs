using System.Text.Json;
using System.Text.Json.Serialization;

namespace Glimmer.Data.Mixing;

/// <summary>Where one source of a mixture stands.</summary>
/// <param name="Name">Name of the source.</param>
/// <param name="Epoch">Times it was read to the end.</param>
/// <param name="Index">Items of this epoch that were taken, in shuffled order.</param>
/// <param name="Emitted">Size of everything taken from it so far: tokens, where items are tokenised documents.</param>
public sealed record SourceState(string Name, long Epoch, long Index, long Emitted);

/// <summary>Where a mixture stands: with it the same sources go on with the same items in the same order.</summary>
/// <param name="Sources">One entry a source, in the order of the mixture.</param>
public sealed record MixtureState(IReadOnlyList<SourceState> Sources)
{
    /// <summary>Size of everything taken so far.</summary>
    [JsonIgnore]
    public long Emitted => Sources.Sum(source => source.Emitted);

    /// <summary>The state as JSON, as it is kept in a checkpoint.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, MixtureJson.Default.MixtureState);

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="FormatException">The text is no state of a mixture.</exception>
    public static MixtureState FromJson(string json)
    {
        try
        {
            MixtureState? state = JsonSerializer.Deserialize(json, MixtureJson.Default.MixtureState);
            if (state?.Sources is { Count: > 0 } sources && sources.All(source => source is { Name: not null, Epoch: >= 0, Index: >= 0, Emitted: >= 0 }))
                return state;
        }
        catch (JsonException e)
        {
            throw new FormatException($"The state of the data is no JSON of a mixture: {e.Message}", e);
        }

        throw new FormatException("The state of the data names no sources with epoch, index and emitted size of at least 0.");
    }
}

/// <summary>Generated JSON code of mixture states.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(MixtureState))]
internal sealed partial class MixtureJson : JsonSerializerContext;
