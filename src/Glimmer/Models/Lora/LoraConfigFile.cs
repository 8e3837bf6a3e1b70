using System.Text.Json;

namespace Glimmer.Models.Lora;

/// <summary><c>adapter_config.json</c> of PEFT.</summary>
internal static class LoraConfigFile
{
    private static readonly string[] s_refusedFlags = ["lora_bias", "use_qalora", "fan_in_fan_out", "use_bdlora"];
    private static readonly string[] s_refusedLists = ["trainable_token_indices", "alora_invocation_tokens", "layer_replication"];

    // These start from another base model than the checkpoint's.
    private static readonly string[] s_refusedStarts = ["pissa", "olora", "loftq", "corda"];

    /// <summary>Reads the file.</summary>
    /// <exception cref="ModelFormatException">It is missing or malformed.</exception>
    /// <exception cref="UnsupportedModelException">It asks for what is not supported; the message names it.</exception>
    public static LoraOptions Read(string folder)
    {
        string path = Path.Combine(folder, "adapter_config.json");
        if (!File.Exists(path))
            throw new ModelFormatException($"'{folder}' has no adapter_config.json; it is no adapter in the layout of PEFT.");
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            return Read(document.RootElement, folder);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            throw new ModelFormatException($"'{path}' is malformed: {error.Message}", error);
        }
    }

    /// <summary>Writes what PEFT reads.</summary>
    /// <param name="json">Receives an object.</param>
    /// <param name="options">The adapter's options; names of Megatron-core targets are written as those of PEFT.</param>
    /// <param name="baseModel">Name or path of the base model.</param>
    public static void Write(Utf8JsonWriter json, LoraOptions options, string? baseModel)
    {
        (string[] modules, string[] parameters) = LoraTargets.Expand(options);
        json.WriteStartObject();
        json.WriteString("peft_type", "LORA");
        json.WriteString("task_type", "CAUSAL_LM");
        json.WriteString("base_model_name_or_path", baseModel);
        json.WriteNumber("r", options.Rank);
        json.WriteNumber("lora_alpha", options.Alpha);
        json.WriteNumber("lora_dropout", options.Dropout);
        if (options.TargetPattern is { } pattern)
            json.WriteString("target_modules", pattern);
        else
            WriteNames(json, "target_modules", modules);
        WriteNames(json, "target_parameters", parameters);
        json.WriteString("bias", "none");
        json.WriteBoolean("use_rslora", options.UseRsLora);
        json.WriteBoolean("use_dora", options.UseDora);
        json.WriteBoolean("fan_in_fan_out", false);
        json.WriteBoolean("init_lora_weights", true);
        json.WriteBoolean("inference_mode", true);
        if (options.ModulesToSave.Count > 0)
            WriteNames(json, "modules_to_save", options.ModulesToSave);
        else
            json.WriteNull("modules_to_save");
        json.WriteStartObject("rank_pattern");
        foreach ((string name, int rank) in options.RankPattern)
            json.WriteNumber(name, rank);
        json.WriteEndObject();
        json.WriteStartObject("alpha_pattern");
        foreach ((string name, float alpha) in options.AlphaPattern)
            json.WriteNumber(name, alpha);
        json.WriteEndObject();
        if (options.Layers is { } layers)
        {
            json.WriteStartArray("layers_to_transform");
            foreach (int layer in layers)
                json.WriteNumberValue(layer);
            json.WriteEndArray();
        }
        else
        {
            json.WriteNull("layers_to_transform");
        }

        json.WriteEndObject();
    }

    private static LoraOptions Read(JsonElement config, string folder)
    {
        if (Text(config, "peft_type") is { } type && type != "LORA")
            throw new UnsupportedModelException($"The adapter in '{folder}' is of the type '{type}'; only LORA is supported.");
        foreach (string flag in s_refusedFlags)
        {
            if (Flag(config, flag))
                throw Refused(folder, flag, "true");
        }

        foreach (string list in s_refusedLists)
        {
            if (Names(config, list).Count > 0)
                throw Refused(folder, list, string.Join(", ", Names(config, list)));
        }

        if (Text(config, "bias") is { } bias && bias != "none")
            throw Refused(folder, "bias", bias);
        if (Text(config, "init_lora_weights") is { } start && Array.Exists(s_refusedStarts, name => start.StartsWith(name, StringComparison.OrdinalIgnoreCase)))
            throw Refused(folder, "init_lora_weights", start);
        if (!config.TryGetProperty("r", out JsonElement r) || !r.TryGetInt32(out int rank) || rank < 1)
            throw new ModelFormatException($"'{folder}/adapter_config.json' has no rank 'r'.");
        return new LoraOptions
        {
            Rank = rank,
            Alpha = config.TryGetProperty("lora_alpha", out JsonElement alpha) ? alpha.GetSingle() : 8,
            Dropout = config.TryGetProperty("lora_dropout", out JsonElement dropout) && dropout.ValueKind == JsonValueKind.Number ? dropout.GetSingle() : 0,
            UseRsLora = Flag(config, "use_rslora"),
            UseDora = Flag(config, "use_dora"),
            TargetModules = Names(config, "target_modules"),
            TargetPattern = Text(config, "target_modules"),
            TargetParameters = Names(config, "target_parameters"),
            ModulesToSave = Names(config, "modules_to_save"),
            RankPattern = [.. Patterns(config, "rank_pattern").Select(item => KeyValuePair.Create(item.Name, item.Value.GetInt32()))],
            AlphaPattern = [.. Patterns(config, "alpha_pattern").Select(item => KeyValuePair.Create(item.Name, item.Value.GetSingle()))],
            Layers = config.TryGetProperty("layers_to_transform", out JsonElement layers)
                ? layers.ValueKind == JsonValueKind.Array ? [.. layers.EnumerateArray().Select(item => item.GetInt32())] : layers.ValueKind == JsonValueKind.Number ? [layers.GetInt32()] : null
                : null,
        };
    }

    private static UnsupportedModelException Refused(string folder, string name, string value) =>
        new($"The adapter in '{folder}' sets '{name}' ({value}), which is not supported. Merge it with the tool that made it.");

    private static bool Flag(JsonElement config, string name) => config.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.True;

    private static string? Text(JsonElement config, string name) => config.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static IReadOnlyList<string> Names(JsonElement config, string name) =>
        config.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray().Select(item => item.ToString())] : [];

    private static IEnumerable<JsonProperty> Patterns(JsonElement config, string name) =>
        config.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Object ? value.EnumerateObject() : [];

    private static void WriteNames(Utf8JsonWriter json, string name, IEnumerable<string> values)
    {
        json.WriteStartArray(name);
        foreach (string value in values.Order(StringComparer.Ordinal))
            json.WriteStringValue(value);
        json.WriteEndArray();
    }
}
