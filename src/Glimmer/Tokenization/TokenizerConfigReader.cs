using System.Text.Json;

namespace Glimmer.Tokenization;

/// <summary>Reads from <c>tokenizer_config.json</c> what <c>tokenizer.json</c> does not hold: roles of tokens and the chat template.</summary>
internal static class TokenizerConfigReader
{
    /// <summary>Reads the file.</summary>
    /// <param name="json">Its content; empty when there is none.</param>
    /// <param name="definition">The tokenizer.</param>
    /// <param name="source">Name of the file for messages.</param>
    public static TokenizerRoles Read(ReadOnlySpan<byte> json, TokenizerDefinition definition, string source)
    {
        int? endOfText = Find("<|endoftext|>");
        if (json.IsEmpty)
            return new TokenizerRoles { EndIds = endOfText is int id ? [id] : [] };
        try
        {
            var reader = new Utf8JsonReader(json);
            JsonElement config = JsonElement.ParseValue(ref reader);
            if (config.ValueKind != JsonValueKind.Object)
                throw new ModelFormatException($"{source}: expected a JSON object.");
            int? eos = Role(config, "eos_token");
            return new TokenizerRoles
            {
                BosId = Role(config, "bos_token"),
                EosId = eos,
                PadId = Role(config, "pad_token"),
                EndIds = [.. new[] { eos, endOfText }.OfType<int>().Distinct()],
                ChatTemplate = Template(config),
            };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new ModelFormatException($"{source} is malformed: {e.Message}", e);
        }

        int? Find(string text) => definition.AddedTokens.FirstOrDefault(t => t.Text == text)?.Id;

        // A token is a string, or an object with its 'content'. A name that is no added token has no role.
        int? Role(JsonElement config, string key)
        {
            if (!config.TryGetProperty(key, out JsonElement value))
                return null;
            if (value.ValueKind == JsonValueKind.Object)
                value = value.GetProperty("content");
            return value.ValueKind == JsonValueKind.Null ? null : Find(value.GetString()!);
        }
    }

    /// <summary>A string, or a list of named templates of which the one called "default" counts.</summary>
    private static string? Template(JsonElement config)
    {
        if (!config.TryGetProperty("chat_template", out JsonElement value) || value.ValueKind == JsonValueKind.Null)
            return null;
        if (value.ValueKind == JsonValueKind.String)
            return value.GetString();
        foreach (JsonElement named in value.EnumerateArray())
        {
            if (named.GetProperty("name").GetString() == "default")
                return named.GetProperty("template").GetString();
        }

        return null;
    }
}
