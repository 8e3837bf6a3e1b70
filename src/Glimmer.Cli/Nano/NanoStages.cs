using System.Text.Json;

namespace Glimmer.Cli.Nano;

/// <summary>The stages of a run that are done, each with its figures: a file a stage, so that an interrupted run goes on behind the last one.</summary>
internal sealed class NanoStages(string folder, TimeProvider time)
{
    /// <summary>Runs a stage unless it is done.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="run">Does the work and gives its figures. What it keeps on the way is its own business.</param>
    /// <returns>The figures; <c>seconds</c> among them.</returns>
    public IReadOnlyDictionary<string, double> Run(string name, Func<Dictionary<string, double>> run)
    {
        string path = Path.Combine(folder, name + ".json");
        if (Read(path) is { } done)
            return done;
        long start = time.GetTimestamp();
        Dictionary<string, double> figures = run();
        figures["seconds"] = time.GetElapsedTime(start).TotalSeconds;
        Write(path, figures);
        return figures;
    }

    /// <summary>The figures of a stage that is done; null for one that is not.</summary>
    public IReadOnlyDictionary<string, double>? Find(string name) => Read(Path.Combine(folder, name + ".json"));

    /// <summary>Writes figures.</summary>
    public static void Write(string path, IReadOnlyDictionary<string, double> figures)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            foreach ((string name, double value) in figures)
            {
                if (double.IsFinite(value))
                    json.WriteNumber(name, value);
                else
                    json.WriteNull(name);
            }

            json.WriteEndObject();
        }

        Replace(path, stream.ToArray());
    }

    /// <summary>Writes a file that is complete or as it was.</summary>
    public static void Replace(string path, byte[] bytes)
    {
        File.WriteAllBytes(path + ".tmp", bytes);
        File.Move(path + ".tmp", path, overwrite: true);
    }

    private static Dictionary<string, double>? Read(string path)
    {
        if (!File.Exists(path))
            return null;
        try
        {
            using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(path));
            return json.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.ValueKind == JsonValueKind.Number ? p.Value.GetDouble() : double.NaN, StringComparer.Ordinal);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new ModelFormatException($"'{path}' is not the record of a stage: {e.Message} Delete it and the stage runs again.", e);
        }
    }
}
