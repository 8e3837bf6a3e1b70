using System.Security.Cryptography;
using System.Text.Json;

namespace Glimmer.Environments.Tasks;

/// <summary>Reads the rows of a data set: JSON objects, one a line.</summary>
public static class DataRows
{
    /// <summary>The rows of a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="required">Fields that every row must have.</param>
    /// <exception cref="ModelFormatException">A line is no JSON object, or a field is missing; the message names file and line.</exception>
    public static List<JsonElement> Read(string path, params ReadOnlySpan<string> required)
    {
        var rows = new List<JsonElement>();
        int line = 0;
        foreach (string text in File.ReadLines(path))
        {
            line++;
            if (string.IsNullOrWhiteSpace(text))
                continue;
            JsonElement row;
            try
            {
                row = JsonElement.Parse(text);
            }
            catch (JsonException error)
            {
                throw new ModelFormatException($"Line {line} of '{path}' is no JSON: {error.Message}", error);
            }

            foreach (string field in required)
            {
                if (row.ValueKind != JsonValueKind.Object || !row.TryGetProperty(field, out _))
                    throw new ModelFormatException($"Line {line} of '{path}' has no '{field}'; is this the data of the benchmark?");
            }

            rows.Add(row);
        }

        return rows.Count > 0 ? rows : throw new ModelFormatException($"'{path}' holds no rows.");
    }

    /// <summary>SHA-256 of a file, the first 16 hexadecimal digits: tells two versions of a data set apart.</summary>
    public static string Hash(string path)
    {
        using FileStream stream = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(stream))[..16];
    }
}
