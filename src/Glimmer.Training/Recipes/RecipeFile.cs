using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Glimmer.Training.Recipes;

/// <summary>Reads recipes: YAML (or JSON) files of which each key may be overridden by name, into a record.</summary>
/// <remarks>Keys are in snake case; hyphens count as underscores. What the record does not have is an error that names the nearest key.</remarks>
public static class RecipeFile
{
    /// <summary>Reads a recipe.</summary>
    /// <param name="path">The file; null for one without any key.</param>
    /// <param name="overrides">Values that win over the file, by path: <c>learning_rate.peak</c>, <c>data.0.weight</c>.</param>
    /// <param name="type">The record.</param>
    /// <exception cref="RecipeException">The file is malformed, or a key or value is wrong.</exception>
    public static T Load<T>(string? path, IEnumerable<KeyValuePair<string, string>> overrides, JsonTypeInfo<T> type)
    {
        JsonObject recipe = path is null ? [] : Parse(File.ReadAllText(path), path);
        foreach ((string key, string text) in overrides)
            Set(recipe, key, text);
        path ??= "the recipe";
        Check(recipe, type, "", path);
        try
        {
            return recipe.Deserialize(type) ?? throw new RecipeException($"{path}: expected keys with values.");
        }
        catch (JsonException error)
        {
            string key = (error.Path ?? "").TrimStart('$').TrimStart('.');
            throw new RecipeException($"{path}: {(key.Length > 0 ? $"'{key}': " : "")}{error.Message.Split(" Path:")[0]}");
        }
    }

    /// <summary>The whole recipe, defaults included, as YAML that <see cref="Load"/> reads to the same record.</summary>
    public static string Write<T>(T recipe, JsonTypeInfo<T> type)
    {
        var text = new System.Text.StringBuilder();
        Append(text, JsonSerializer.SerializeToNode(recipe, type)!, 0);
        return text.ToString();
    }

    /// <summary>A YAML text with one mapping as JSON.</summary>
    internal static JsonObject Parse(string text, string path)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(text));
        }
        catch (YamlException error)
        {
            throw new RecipeException($"{path}, line {error.Start.Line}: not valid YAML: {error.Message}");
        }

        if (stream.Documents.Count == 0)
            return [];
        return Convert(stream.Documents[0].RootNode, path) as JsonObject ?? throw new RecipeException($"{path}: expected keys with values.");
    }

    private static void Set(JsonObject recipe, string key, string text)
    {
        string[] parts = key.Replace('-', '_').Split('.');
        JsonNode node = recipe;
        for (int i = 0; i < parts.Length; i++)
        {
            bool last = i == parts.Length - 1;
            if (node is JsonArray array)
            {
                if (!int.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out int index) || index >= array.Count)
                    throw new RecipeException($"'{key}': '{string.Join('.', parts[..i])}' is a list of {array.Count} entries, and '{parts[i]}' is none of 0 to {array.Count - 1}.");
                if (last)
                    array[index] = Value(text);
                else
                    node = array[index] ??= new JsonObject();
            }
            else if (node is JsonObject map)
            {
                if (last)
                    map[parts[i]] = Value(text);
                else
                    node = map[parts[i]] ??= new JsonObject();
            }
            else
            {
                throw new RecipeException($"'{key}': '{string.Join('.', parts[..i])}' is a value, it has no keys.");
            }
        }
    }

    private static JsonNode? Value(string text) => Parse("v: " + (text.Length == 0 ? "''" : text), "an option")["v"]?.DeepClone();

    private static void Check(JsonNode? node, JsonTypeInfo type, string at, string path)
    {
        if (node is JsonArray list && type.Kind == JsonTypeInfoKind.Enumerable && type.ElementType is { } element)
        {
            for (int i = 0; i < list.Count; i++)
                Check(list[i], type.Options.GetTypeInfo(element), $"{at}{i}.", path);
        }

        if (node is not JsonObject map || type.Kind != JsonTypeInfoKind.Object)
            return;
        foreach ((string key, JsonNode? value) in map)
        {
            JsonPropertyInfo? property = type.Properties.FirstOrDefault(property => property.Name == key);
            if (property is null)
                throw new RecipeException($"{path}: there is no key '{at}{key}'.{Nearest(key, type.Properties.Select(p => p.Name))}");
            Check(value, type.Options.GetTypeInfo(property.PropertyType), $"{at}{key}.", path);
        }
    }

    private static string Nearest(string key, IEnumerable<string> known)
    {
        string[] names = [.. known];
        return NearestName.Of(key, names) is { } best ? $" Did you mean '{best}'?" : $" It knows {string.Join(", ", names)}.";
    }

    private static JsonNode? Convert(YamlNode node, string path)
    {
        switch (node)
        {
            case YamlMappingNode map:
                var result = new JsonObject();
                foreach ((YamlNode key, YamlNode value) in map.Children)
                {
                    string name = (key as YamlScalarNode)?.Value?.Replace('-', '_') ?? throw new RecipeException($"{path}, line {key.Start.Line}: a key must be a word.");
                    if (!result.TryAdd(name, Convert(value, path)))
                        throw new RecipeException($"{path}, line {key.Start.Line}: '{name}' is given twice.");
                }

                return result;
            case YamlSequenceNode list:
                return new JsonArray([.. list.Children.Select(item => Convert(item, path))]);
            case YamlScalarNode { Style: ScalarStyle.Plain or ScalarStyle.Any } scalar:
                return Plain(scalar.Value ?? "");
            default:
                return JsonValue.Create(((YamlScalarNode)node).Value);
        }
    }

    // The core schema of YAML 1.2, and digits grouped by underscores.
    private static JsonNode? Plain(string text)
    {
        if (text is "" or "~" or "null")
            return null;
        if (text is "true" or "false")
            return JsonValue.Create(text == "true");
        string digits = text.Length > 1 && char.IsAsciiDigit(text[0]) ? text.Replace("_", "", StringComparison.Ordinal) : text;
        if (long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long whole))
            return JsonValue.Create(whole);
        if (char.IsAsciiDigit(text[0]) || text[0] is '-' or '+' or '.')
        {
            if (double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number))
                return number == Math.Floor(number) && Math.Abs(number) < 1e15 ? JsonValue.Create((long)number) : JsonValue.Create(number);
        }

        return JsonValue.Create(text);
    }

    private static void Append(System.Text.StringBuilder text, JsonNode node, int depth)
    {
        string indent = new(' ', 2 * depth);
        IEnumerable<(string Head, JsonNode? Value)> entries = node is JsonObject map
            ? map.Select(pair => (pair.Key + ":", pair.Value))
            : ((JsonArray)node).Select(item => ("-", item));
        foreach ((string head, JsonNode? value) in entries)
        {
            text.Append(indent).Append(head);
            if (value is JsonObject { Count: > 0 } or JsonArray { Count: > 0 })
            {
                text.Append('\n');
                Append(text, value, depth + 1);
            }
            else
            {
                // JSON is YAML.
                text.Append(' ').Append(value?.ToJsonString() ?? "null").Append('\n');
            }
        }
    }
}
