using System.Text;
using System.Text.Json;
using Glimmer.Training.Runs;

namespace Glimmer.Training.Checkpoints;

/// <summary><c>args.json</c> of a run: what it was started with, so that an adapter's base model is found again.</summary>
public static class RunArguments
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "args.json";

    /// <summary>The content of the file.</summary>
    /// <param name="model">The model it started from.</param>
    /// <param name="tunerType"><c>lora</c> or <c>full</c>.</param>
    /// <param name="flags">Other flags that were given.</param>
    public static RunSettings Of(string model, string tunerType, IReadOnlyList<KeyValuePair<string, string>> flags)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("model", Path.GetFullPath(model));
            json.WriteString("tuner_type", tunerType);
            foreach ((string key, string value) in flags.Where(flag => flag.Key is not ("model" or "tuner_type")))
                json.WriteString(key, value);
            json.WriteEndObject();
        }

        return new RunSettings(FileName, Encoding.UTF8.GetString(stream.ToArray()));
    }

    /// <summary>The base model of an adapter: what <c>args.json</c> in its folder or the one above says, else its <c>adapter_config.json</c>.</summary>
    /// <exception cref="ModelFormatException">Neither names one.</exception>
    public static string BaseModel(string adapter)
    {
        string above = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(adapter))) ?? "";
        foreach ((string path, string key) in (ReadOnlySpan<(string, string)>)[(Path.Combine(adapter, FileName), "model"), (Path.Combine(above, FileName), "model"), (Path.Combine(adapter, "adapter_config.json"), "base_model_name_or_path")])
        {
            if (!File.Exists(path))
                continue;
            using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(path));
            if (json.RootElement.TryGetProperty(key, out JsonElement model) && model.ValueKind == JsonValueKind.String)
                return model.GetString()!;
        }

        throw new ModelFormatException($"Neither args.json nor adapter_config.json of '{adapter}' names the model that the adapter is for. Name it with --model.");
    }

    /// <summary>The flags of the run that made an adapter or a checkpoint; empty when they are not known.</summary>
    /// <param name="folder">The checkpoint, or the folder of the run.</param>
    public static IReadOnlyList<KeyValuePair<string, string>> Flags(string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            path = Path.Combine(Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder))) ?? "", FileName);
        if (!File.Exists(path))
            return [];
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(path));
        return [.. json.RootElement.EnumerateObject().Where(property => property.Value.ValueKind == JsonValueKind.String && property.Name is not ("model" or "mcore_model" or "output_dir" or "threads"))
            .Select(property => KeyValuePair.Create(property.Name, property.Value.GetString()!))];
    }
}
