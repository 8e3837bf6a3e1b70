using System.Text;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Glimmer.Formats;
using Glimmer.Training.Recipes;

namespace Glimmer.Training.Runs;

/// <summary>What a run was started with, kept in its folder.</summary>
/// <param name="FileName">Name of the file, for example <c>recipe.yaml</c>.</param>
/// <param name="Text">Its content, YAML or JSON with one mapping.</param>
public sealed record RunSettings(string FileName, string Text)
{
    // Where a run lies and how fast it runs changes no number.
    private static readonly HashSet<string> s_free = ["output", "output_dir", "threads", "resume_from_checkpoint", "add_version"];

    /// <summary>A whole recipe, defaults included, as <c>recipe.yaml</c>.</summary>
    public static RunSettings Of<T>(T recipe, JsonTypeInfo<T> type) => new("recipe.yaml", RecipeFile.Write(recipe, type));

    /// <summary>Writes the file; an older one is replaced when the new one is complete.</summary>
    /// <exception cref="IOException">The disk is full.</exception>
    public void Write(string folder) => AtomicFile.WriteAllBytes(Path.Combine(folder, FileName), Encoding.UTF8.GetBytes(Text));

    /// <summary>What differs from the settings that a folder holds, key by key; empty when it holds none.</summary>
    public IReadOnlyList<string> ChangesSince(string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            return [];
        SortedDictionary<string, string> before = [], now = [];
        try
        {
            Flatten(RecipeFile.Parse(File.ReadAllText(path), path), "", before);
        }
        catch (RecipeException)
        {
            return [$"'{path}' could not be read"];
        }

        Flatten(RecipeFile.Parse(Text, FileName), "", now);
        return [.. before.Keys.Union(now.Keys).Order(StringComparer.Ordinal).Where(key => before.GetValueOrDefault(key) != now.GetValueOrDefault(key))
            .Select(key => $"{key} {before.GetValueOrDefault(key, "(none)")} -> {now.GetValueOrDefault(key, "(none)")}")];
    }

    private static void Flatten(JsonNode? node, string at, SortedDictionary<string, string> values)
    {
        if (node is JsonObject map)
        {
            foreach ((string key, JsonNode? value) in map.Where(pair => at.Length > 0 || !s_free.Contains(pair.Key)))
                Flatten(value, at.Length == 0 ? key : $"{at}.{key}", values);
        }
        else if (node is JsonArray list)
        {
            for (int i = 0; i < list.Count; i++)
                Flatten(list[i], FormattableString.Invariant($"{at}.{i}"), values);
        }
        else if (node is not null)
        {
            values[at] = node.ToJsonString();
        }
    }
}
