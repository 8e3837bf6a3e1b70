using System.Text.Json;

namespace Glimmer.Formats;

/// <summary>Finds and opens the safetensors files of a checkpoint: one file, or the shards of <c>model.safetensors.index.json</c>.</summary>
internal static class SafetensorsShards
{
    /// <summary>Name of the index of a sharded checkpoint.</summary>
    public const string IndexName = "model.safetensors.index.json";

    /// <summary>Name of an unsharded checkpoint.</summary>
    public const string SingleName = "model.safetensors";

    /// <summary>Opens a folder, an index or a single file.</summary>
    /// <exception cref="ModelFormatException">Nothing is there, or the index and the shards contradict each other.</exception>
    public static List<SafetensorsFile> Open(string path)
    {
        if (Directory.Exists(path))
            path = FindIn(path);
        return path.EndsWith(".json", StringComparison.OrdinalIgnoreCase) ? OpenIndex(path) : [SafetensorsFile.Open(path)];
    }

    // As transformers does: the single file wins over an index.
    private static string FindIn(string folder)
    {
        foreach (string name in (string[])[SingleName, IndexName])
        {
            string candidate = Path.Combine(folder, name);
            if (File.Exists(candidate))
                return candidate;
        }

        string[] files = Directory.GetFiles(folder, "*.safetensors");
        return files.Length == 1
            ? files[0]
            : throw new ModelFormatException(
                $"'{folder}' holds neither {SingleName} nor {IndexName}, and {files.Length} other .safetensors files. The download may be incomplete.");
    }

    private static List<SafetensorsFile> OpenIndex(string path)
    {
        Dictionary<string, string> map = ReadMap(path);
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        var shards = new Dictionary<string, SafetensorsFile>(StringComparer.Ordinal);
        try
        {
            foreach ((string tensor, string file) in map)
            {
                if (!shards.TryGetValue(file, out SafetensorsFile? shard))
                    shards.Add(file, shard = SafetensorsFile.Open(Path.Combine(folder, file)));
                if (shard.Find(tensor) is null)
                    throw new ModelFormatException($"'{path}' lists '{tensor}', but '{file}' does not contain it. The download may be incomplete.");
            }

            return [.. shards.Values];
        }
        catch
        {
            foreach (SafetensorsFile shard in shards.Values)
                shard.Dispose();
            throw;
        }
    }

    // Only weight_map is believed: repackaged checkpoints carry wrong totals in "metadata".
    private static Dictionary<string, string> ReadMap(string path)
    {
        try
        {
            using FileStream stream = File.OpenRead(path);
            using JsonDocument json = JsonDocument.Parse(stream, new JsonDocumentOptions { AllowDuplicateProperties = false });
            if (json.RootElement.ValueKind != JsonValueKind.Object || !json.RootElement.TryGetProperty("weight_map", out JsonElement entries)
                || entries.ValueKind != JsonValueKind.Object)
                throw new ModelFormatException($"'{path}' has no object 'weight_map' that says which file holds which tensor.");
            var map = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (JsonProperty entry in entries.EnumerateObject())
                map.Add(entry.Name, ShardName(path, entry));
            return map;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new ModelFormatException($"'{path}' is not valid JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelFormatException($"'{path}' cannot be read: {e.Message}", e);
        }
    }

    // A shard is a plain file name in the folder of the index, so that no index can point elsewhere.
    private static string ShardName(string path, JsonProperty entry)
    {
        string? name = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString() : null;
        bool plain = name is not null && name.AsSpan().IndexOfAny("/\\:\0") < 0 && name.EndsWith(".safetensors", StringComparison.Ordinal);
        return plain ? name! : throw new ModelFormatException(
            $"'{path}' places '{entry.Name}' in {entry.Value.GetRawText()}; the name of a .safetensors file in the same folder is expected.");
    }
}
