using System.Security.Cryptography;
using System.Text.Json;
using Glimmer.Formats;

namespace Glimmer.Training.Checkpoints;

/// <summary><c>manifest.json</c>: size and SHA-256 of every other file of a checkpoint.</summary>
internal static class CheckpointManifest
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "manifest.json";

    /// <summary>Lists the files that are there.</summary>
    public static void Write(string folder)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteStartArray("files");
            foreach (string file in Files(folder))
            {
                json.WriteStartObject();
                json.WriteString("name", file);
                json.WriteNumber("bytes", new FileInfo(Path.Combine(folder, file)).Length);
                json.WriteString("sha256", Hash(Path.Combine(folder, file)));
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        AtomicFile.WriteAllBytes(Path.Combine(folder, FileName), stream.ToArray());
    }

    /// <summary>What is wrong with a checkpoint: no manifest, or a file that is not as it says; null when it holds.</summary>
    public static string? Problem(string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            return $"it has no {FileName}.";
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            JsonElement files = document.RootElement.GetProperty("files");
            if (files.GetArrayLength() == 0)
                return $"{FileName} lists no files.";
            return files.EnumerateArray().Select(file => Problem(folder, file)).FirstOrDefault(problem => problem is not null);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return $"{FileName} cannot be read: {e.Message}"; // cut or overwritten
        }
    }

    private static string? Problem(string folder, JsonElement listed)
    {
        string name = listed.GetProperty("name").GetString()!;
        var file = new FileInfo(Path.Combine(folder, name));
        long bytes = listed.GetProperty("bytes").GetInt64();
        if (!file.Exists)
            return $"{name} is missing.";
        if (file.Length != bytes)
            return $"{name} has {file.Length} bytes instead of {bytes}.";
        return Hash(file.FullName) == listed.GetProperty("sha256").GetString() ? null : $"the content of {name} has changed.";
    }

    private static IEnumerable<string> Files(string folder) =>
        Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(folder, file).Replace('\\', '/')).Order(StringComparer.Ordinal);

    private static string Hash(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }
}
