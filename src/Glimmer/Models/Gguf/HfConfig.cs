using System.Text.Json;

namespace Glimmer.Models.Gguf;

/// <summary>Reads single values of a Hugging Face <c>config.json</c>.</summary>
internal static class HfConfig
{
    /// <summary>Whether a key is there and not null.</summary>
    public static bool Has(JsonElement config, string key) => config.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null;

    /// <summary>A whole number that must be there.</summary>
    public static long Integer(JsonElement config, string key) =>
        Has(config, key) ? Integer(config, key, 0) : throw new ModelFormatException($"The config lacks '{key}'.");

    /// <summary>A whole number from 0 to 2^31, or the default when it is missing or null.</summary>
    public static long Integer(JsonElement config, string key, long missing)
    {
        if (!Has(config, key))
            return missing;
        JsonElement value = config.GetProperty(key);
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number) && number is >= 0 and <= int.MaxValue
            ? number
            : throw new ModelFormatException($"The config's '{key}' is {value.GetRawText()}; a whole number from 0 to {int.MaxValue} is expected.");
    }

    /// <summary>A number, or the default when it is missing or null.</summary>
    public static double Number(JsonElement config, string key, double missing)
    {
        if (!Has(config, key))
            return missing;
        JsonElement value = config.GetProperty(key);
        return value.ValueKind == JsonValueKind.Number && double.IsFinite(value.GetDouble())
            ? value.GetDouble()
            : throw new ModelFormatException($"The config's '{key}' is {value.GetRawText()}; a number is expected.");
    }

    /// <summary>A truth value, or the default when it is missing or null.</summary>
    public static bool Flag(JsonElement config, string key, bool missing)
    {
        if (!Has(config, key))
            return missing;
        JsonElement value = config.GetProperty(key);
        return value.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? value.GetBoolean()
            : throw new ModelFormatException($"The config's '{key}' is {value.GetRawText()}; true or false is expected.");
    }

    /// <summary>A string, or null when it is missing or null.</summary>
    public static string? Text(JsonElement config, string key)
    {
        if (!Has(config, key))
            return null;
        JsonElement value = config.GetProperty(key);
        return value.ValueKind == JsonValueKind.String ? value.GetString()
            : throw new ModelFormatException($"The config's '{key}' is {value.GetRawText()}; a string is expected.");
    }

    /// <summary>A rotary setting: inside <c>rope_parameters</c> (which wins) or at the top, as older configs have it.</summary>
    public static double Rope(JsonElement config, string key, double missing) =>
        Has(config, "rope_parameters") && Has(config.GetProperty("rope_parameters"), key)
            ? Number(config.GetProperty("rope_parameters"), key, missing)
            : Number(config, key, missing);
}
