using System.Text.Json;

namespace Glimmer.Tests.Chat;

/// <summary>Rows of recorded JSONL files, by file and id.</summary>
internal static class RecordedCases
{
    private static readonly Dictionary<string, Dictionary<string, JsonElement>> s_files = [];

    /// <summary>Names <c>file/id</c> of the rows of all JSONL files in a folder that a filter accepts.</summary>
    public static IEnumerable<string> Names(string? folder, Func<JsonElement, bool> accepts)
    {
        if (folder is null)
            yield break;
        foreach (string path in Directory.EnumerateFiles(folder, "*.jsonl"))
        {
            foreach ((string id, JsonElement row) in Load(path))
            {
                if (accepts(row))
                    yield return $"{Path.GetFileName(path)}/{id}";
            }
        }
    }

    /// <summary>The row of a name.</summary>
    public static JsonElement Row(string folder, string name)
    {
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        return Load(Path.Combine(folder, name[..slash]))[name[(slash + 1)..]];
    }

    private static Dictionary<string, JsonElement> Load(string path)
    {
        lock (s_files)
        {
            if (s_files.TryGetValue(path, out Dictionary<string, JsonElement>? rows))
                return rows;
            rows = [];
            foreach (string line in File.ReadLines(path).Where(line => line.Length > 0))
            {
                JsonElement row = JsonDocument.Parse(line).RootElement;
                string id = row.TryGetProperty("id", out JsonElement value) || row.TryGetProperty("name", out value) ? value.ToString() : rows.Count.ToString(System.Globalization.CultureInfo.InvariantCulture);
                rows[id] = row;
            }

            s_files[path] = rows;
            return rows;
        }
    }
}
