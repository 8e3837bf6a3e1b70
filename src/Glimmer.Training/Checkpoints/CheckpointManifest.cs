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

    /// <summary>Whether the manifest is there and every file that it lists is as it says.</summary>
    public static bool Holds(string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            return false;
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            JsonElement[] files = [.. document.RootElement.GetProperty("files").EnumerateArray()];
            return files.Length > 0 && files.All(file =>
            {
                var info = new FileInfo(Path.Combine(folder, file.GetProperty("name").GetString()!));
                return info.Exists && info.Length == file.GetProperty("bytes").GetInt64() && Hash(info.FullName) == file.GetProperty("sha256").GetString();
            });
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return false; // cut or overwritten: not a checkpoint to go on from
        }
    }

    private static IEnumerable<string> Files(string folder) =>
        Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(folder, file).Replace('\\', '/')).Order(StringComparer.Ordinal);

    private static string Hash(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }
}
