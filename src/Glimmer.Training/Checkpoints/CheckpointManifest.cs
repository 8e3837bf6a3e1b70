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
    public static void Write(string folder) =>
        Write(folder, Files(folder).Select(file => (file, new FileInfo(Path.Combine(folder, file)).Length, Hash(Path.Combine(folder, file)))));

    /// <summary>Removes a sub-folder from a checkpoint, first from the manifest: at no moment does the checkpoint count as damaged, and a damaged one stays so.</summary>
    /// <exception cref="IOException">Manifest or files cannot be written.</exception>
    public static void Remove(string folder, string subfolder)
    {
        string path = Path.Combine(folder, FileName);
        using (JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path)))
        {
            Write(folder, document.RootElement.GetProperty("files").EnumerateArray()
                .Select(file => (file.GetProperty("name").GetString()!, file.GetProperty("bytes").GetInt64(), file.GetProperty("sha256").GetString()!))
                .Where(file => !file.Item1.StartsWith(subfolder + "/", StringComparison.Ordinal)));
        }

        Directory.Delete(Path.Combine(folder, subfolder), recursive: true);
    }

    private static void Write(string folder, IEnumerable<(string Name, long Bytes, string Hash)> files)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteStartArray("files");
            foreach ((string name, long bytes, string hash) in files)
            {
                json.WriteStartObject();
                json.WriteString("name", name);
                json.WriteNumber("bytes", bytes);
                json.WriteString("sha256", hash);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        AtomicFile.WriteAllBytes(Path.Combine(folder, FileName), stream.ToArray());
    }

    /// <summary>What is wrong with a checkpoint: no manifest, or a file that is not as it says; null when it holds.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="reads">Whether the files are read; without it their sizes alone are checked.</param>
    public static string? Problem(string folder, bool reads = true)
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
            return files.EnumerateArray().Select(file => Problem(folder, file, reads)).FirstOrDefault(problem => problem is not null);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return $"{FileName} cannot be read: {e.Message}"; // cut or overwritten
        }
    }

    private static string? Problem(string folder, JsonElement listed, bool reads)
    {
        string name = listed.GetProperty("name").GetString()!;
        var file = new FileInfo(Path.Combine(folder, name));
        long bytes = listed.GetProperty("bytes").GetInt64();
        if (!file.Exists)
            return $"{name} is missing.";
        if (file.Length != bytes)
            return $"{name} has {file.Length} bytes instead of {bytes}.";
        return !reads || Hash(file.FullName) == listed.GetProperty("sha256").GetString() ? null : $"the content of {name} has changed.";
    }

    private static IEnumerable<string> Files(string folder) =>
        Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(folder, file).Replace('\\', '/')).Order(StringComparer.Ordinal);

    private static string Hash(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }
}
