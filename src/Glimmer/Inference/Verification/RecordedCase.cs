using System.Text.Json;

namespace Glimmer.Inference.Verification;

/// <summary>Finds the folders that hold a checkpoint with recorded reference values.</summary>
public static class RecordedCase
{
    private const string FileName = "reference.json";

    /// <summary>The folder itself when it has a <c>reference.json</c>, else those directly below it that have one, by name.</summary>
    /// <exception cref="ModelFormatException">There is none.</exception>
    public static IReadOnlyList<string> Find(string folder)
    {
        if (!Directory.Exists(folder))
            throw new ModelFormatException($"'{folder}' is no folder. Name one with a checkpoint and its {FileName}, or one that holds such folders.");
        if (File.Exists(Path.Combine(folder, FileName)))
            return [folder];
        string[] found = [.. Directory.GetDirectories(folder).Where(inner => File.Exists(Path.Combine(inner, FileName))).Order(StringComparer.Ordinal)];
        return found.Length > 0 ? found : throw new ModelFormatException($"'{folder}' has no {FileName}, and no folder in it has one: there are no recorded values to compare with.");
    }

    /// <summary>Whether the recording says that an implementation may leave it out.</summary>
    public static bool IsOptional(string folder)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, FileName)));
            return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("optional", out JsonElement optional) && optional.ValueKind == JsonValueKind.True;
        }
        catch (Exception error) when (error is JsonException or IOException)
        {
            return false; // the verifier says what is wrong
        }
    }
}
