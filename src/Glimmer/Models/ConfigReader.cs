using System.Globalization;
using System.Text.Json;

namespace Glimmer.Models;

/// <summary>Reads typed values from a JSON object and names the key, the value and the file when one is wrong.</summary>
internal readonly struct ConfigReader
{
    private readonly JsonElement _object;
    private readonly string _where;

    public ConfigReader(JsonElement element, string where)
    {
        if (element.ValueKind != JsonValueKind.Object)
            throw new ModelFormatException($"{where} holds {Describe(element)}, not a JSON object.");
        _object = element;
        _where = where;
    }

    /// <summary>Whether the key is there, also when its value is null.</summary>
    public bool HasKey(string key) => _object.TryGetProperty(key, out _);

    public int? Int(string key, int minimum)
    {
        if (!TryGet(key, out JsonElement value))
            return null;
        if (value.ValueKind != JsonValueKind.Number || !TryWhole(value, out long number))
            throw Bad(key, value, "a whole number");
        if (number < minimum || number > int.MaxValue)
            throw Bad(key, value, $"between {minimum} and {int.MaxValue}");
        return (int)number;
    }

    public int RequiredInt(string key, int minimum) => Int(key, minimum) ?? throw Missing(key);

    public float? Float(string key, bool positive)
    {
        if (!TryGet(key, out JsonElement value))
            return null;
        float number = value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double real) ? (float)real : float.NaN;
        if (!float.IsFinite(number))
            throw Bad(key, value, "a number in the range of fp32");
        if (positive ? number <= 0 : number < 0)
            throw Bad(key, value, positive ? "a positive number in the range of fp32" : "not negative");
        return number;
    }

    public bool? Bool(string key)
    {
        if (!TryGet(key, out JsonElement value))
            return null;
        return value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw Bad(key, value, "true or false"),
        };
    }

    public string? Text(string key)
    {
        if (!TryGet(key, out JsonElement value))
            return null;
        return value.ValueKind == JsonValueKind.String ? value.GetString() : throw Bad(key, value, "a string");
    }

    /// <summary>A list of strings; null when the key is absent.</summary>
    public string[]? Texts(string key)
    {
        if (!TryGet(key, out JsonElement value))
            return null;
        if (value.ValueKind != JsonValueKind.Array)
            throw Bad(key, value, "a list of strings");
        var texts = new List<string>();
        foreach (JsonElement item in value.EnumerateArray())
            texts.Add(item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Bad(key, value, "a list of strings"));
        return [.. texts];
    }

    /// <summary>One token id or a list of them; empty when the key is absent.</summary>
    public int[] TokenIds(string key)
    {
        if (!TryGet(key, out JsonElement value))
            return [];
        var ids = new List<int>();
        IEnumerable<JsonElement> items = value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : [value];
        foreach (JsonElement item in items)
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt32(out int id) || id < 0)
                throw Bad(key, value, "a token id or a list of token ids");
            ids.Add(id);
        }

        return [.. ids];
    }

    public ConfigReader? Object(string key)
    {
        if (!TryGet(key, out JsonElement value))
            return null;
        return value.ValueKind == JsonValueKind.Object ? new ConfigReader(value, $"{_where}, '{key}'") : throw Bad(key, value, "an object");
    }

    public IEnumerable<(string Key, ConfigReader Value)> Objects()
    {
        foreach (JsonProperty property in _object.EnumerateObject())
            yield return (property.Name, new ConfigReader(property.Value, $"{_where}, '{property.Name}'"));
    }

    public bool TryGet(string key, out JsonElement value) =>
        _object.TryGetProperty(key, out value) && value.ValueKind != JsonValueKind.Null;

    public ModelFormatException Missing(string key) => new($"{_where} has no '{key}', which this architecture needs.");

    public ModelFormatException Bad(string key, JsonElement value, string expected) =>
        new($"{_where}: '{key}' is {Describe(value)}; expected {expected}.");

    public ModelFormatException Wrong(string message) => new($"{_where}: {message}");

    public UnsupportedModelException Unsupported(string key, string value, string expected) =>
        new($"{_where}: '{key}' is '{value}', which is not supported; expected {expected}.");

    private static bool TryWhole(JsonElement value, out long number)
    {
        if (value.TryGetInt64(out number))
            return true;
        // 2.0 is a whole number too; 32.5 and 1e30 are not.
        if (value.TryGetDouble(out double real) && double.IsInteger(real) && Math.Abs(real) < long.MaxValue)
        {
            number = (long)real;
            return true;
        }

        return false;
    }

    private static string Describe(JsonElement value)
    {
        string text = value.ValueKind switch
        {
            JsonValueKind.Object => "an object",
            JsonValueKind.Array => $"a list of {value.GetArrayLength().ToString(CultureInfo.InvariantCulture)}",
            _ => value.GetRawText(),
        };
        return text.Length <= 60 ? text : text[..57] + "...";
    }
}
