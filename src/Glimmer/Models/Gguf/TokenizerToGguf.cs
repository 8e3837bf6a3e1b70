using System.Text.Json;
using Glimmer.Formats;

namespace Glimmer.Models.Gguf;

/// <summary>Translates the tokenizer files of a Hugging Face folder into <c>tokenizer.*</c> metadata.</summary>
/// <remarks>
/// Tokens are listed by id up to the model's vocabulary; ids without a token become unused padding. Types: 1 normal, 3 control (special, or shaped like
/// <c>&lt;|...|></c>), 4 other added tokens, 5 unused. GLM's roles give the further ends of generation.
/// </remarks>
internal sealed class TokenizerToGguf
{
    private const int Normal = 1;
    private const int Control = 3;
    private const int UserDefined = 4;
    private const int Unused = 5;

    private readonly string _folder;
    private readonly JsonElement _config;
    private readonly List<KeyValuePair<string, GgufValue>> _keys = [];
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private string? _bos;

    private TokenizerToGguf(string folder, JsonElement config)
    {
        _folder = folder;
        _config = config;
    }

    /// <summary>The metadata; only <c>tokenizer.ggml.model = none</c> for a folder without tokenizer.json.</summary>
    /// <exception cref="UnsupportedModelException">GGUF cannot express the tokenizer.</exception>
    /// <exception cref="ModelFormatException">tokenizer.json is malformed.</exception>
    public static List<KeyValuePair<string, GgufValue>> Translate(string folder, JsonElement config)
    {
        var translation = new TokenizerToGguf(folder, config);
        string path = Path.Combine(folder, "tokenizer.json");
        if (!File.Exists(path))
        {
            translation.Add("model", GgufValue.Of("none"));
            return translation._keys;
        }

        try
        {
            using JsonDocument tokenizer = JsonDocument.Parse(File.ReadAllBytes(path));
            translation.AddTokenizer(tokenizer.RootElement);
            translation.AddIds();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new ModelFormatException($"'{path}' is malformed: {e.Message}", e);
        }

        translation.AddTemplate();
        return translation._keys;
    }

    private void AddTokenizer(JsonElement tokenizer)
    {
        JsonElement model = tokenizer.GetProperty("model");
        if (HfConfig.Text(model, "type") != "BPE" || HfConfig.Flag(model, "byte_fallback", false))
            throw new UnsupportedModelException($"The tokenizer of '{_folder}' is no byte-level BPE, which alone is written to GGUF.");
        if (HfConfig.Has(tokenizer, "normalizer"))
            throw new UnsupportedModelException($"The tokenizer of '{_folder}' has a normalizer, which GGUF cannot express.");
        _bos = TokenAddedFirst(tokenizer);
        Add("model", GgufValue.Of("gpt2"));
        Add("pre", GgufValue.Of(PreTokenizerNames.NameOf(tokenizer.GetProperty("pre_tokenizer"), addsBos: _bos is not null)));
        AddTokens(model, tokenizer);
        Add("merges", GgufValue.Of([.. model.GetProperty("merges").EnumerateArray().Select(MergeText)]));
        Add("add_bos_token", GgufValue.Of(_bos is not null));
    }

    private void AddTokens(JsonElement model, JsonElement tokenizer)
    {
        int size = (int)HfConfig.Integer(_config, "vocab_size");
        var tokens = new string[size];
        var types = new int[size];
        Array.Fill(types, Unused);
        foreach (JsonProperty entry in model.GetProperty("vocab").EnumerateObject())
            Place(entry.Name, entry.Value.GetInt32(), Normal);
        if (HfConfig.Has(tokenizer, "added_tokens"))
        {
            foreach (JsonElement added in tokenizer.GetProperty("added_tokens").EnumerateArray())
            {
                string content = added.GetProperty("content").GetString()!;
                bool control = HfConfig.Flag(added, "special", false)
                    || (content.StartsWith("<|", StringComparison.Ordinal) && content.EndsWith("|>", StringComparison.Ordinal));
                Place(content, added.GetProperty("id").GetInt32(), control ? Control : UserDefined);
            }
        }

        for (int id = 0; id < size; id++)
            tokens[id] ??= $"[PAD{id}]";
        Add("tokens", GgufValue.Of(tokens));
        Add("token_type", GgufValue.Of(types));

        void Place(string content, int id, int type)
        {
            if ((uint)id >= (uint)size)
                throw new ModelFormatException($"The tokenizer of '{_folder}' gives '{content}' the id {id}, but the model has {size} entries.");
            tokens[id] = content;
            types[id] = type;
            _ids[content] = id;
        }
    }

    // GLM's template ends a turn with the role of the next one, so those end generation too.
    private void AddIds()
    {
        JsonElement settings = Settings();
        int? eos = IdOf(settings, "eos_token");
        var ends = new List<int>();
        if (HfConfig.Has(_config, "eos_token_id"))
        {
            JsonElement value = _config.GetProperty("eos_token_id");
            ends.AddRange(value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().Select(v => v.GetInt32()) : [value.GetInt32()]);
        }

        eos ??= ends.Count > 0 ? ends[0] : null;
        ends.RemoveAll(id => id == eos);
        bool glm = _ids.ContainsKey("[gMASK]") && _ids.ContainsKey("<|user|>") && _ids.ContainsKey("<|observation|>");
        AddId("eos", eos);
        int? bos = _bos is not null && _ids.TryGetValue(_bos, out int first) ? first : IdOf(settings, "bos_token");
        AddId("bos", bos ?? (glm ? _ids["[gMASK]"] : null));
        AddId("eot", glm ? _ids["<|user|>"] : ends.Count > 0 ? ends[0] : null);
        AddId("eom", glm ? _ids["<|observation|>"] : ends.Count > 1 ? ends[1] : null);
        AddId("unknown", IdOf(settings, "unk_token") ?? (glm ? eos : null));
        AddId("padding", IdOf(settings, "pad_token") ?? (glm ? eos : null));
    }

    private void AddTemplate()
    {
        string path = Path.Combine(_folder, "chat_template.jinja");
        JsonElement settings = Settings();
        string? template = File.Exists(path) ? File.ReadAllText(path)
            : HfConfig.Has(settings, "chat_template") ? TemplateIn(settings.GetProperty("chat_template"))
            : null;
        if (template is not null)
            _keys.Add(new("tokenizer.chat_template", GgufValue.Of(template)));
    }

    // Older files list several named templates.
    private static string? TemplateIn(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString(),
        JsonValueKind.Array => value.EnumerateArray()
            .Where(t => HfConfig.Text(t, "name") == "default")
            .Select(t => HfConfig.Text(t, "template"))
            .FirstOrDefault(),
        _ => null,
    };

    private JsonElement Settings()
    {
        string path = Path.Combine(_folder, "tokenizer_config.json");
        return JsonDocument.Parse(File.Exists(path) ? File.ReadAllText(path) : "{}").RootElement;
    }

    private int? IdOf(JsonElement settings, string key)
    {
        if (!HfConfig.Has(settings, key))
            return null;
        JsonElement value = settings.GetProperty(key);
        string? content = value.ValueKind == JsonValueKind.Object ? HfConfig.Text(value, "content") : HfConfig.Text(settings, key);
        return content is not null && _ids.TryGetValue(content, out int id) ? id : null;
    }

    // The token that encoding puts before a text, or null.
    private static string? TokenAddedFirst(JsonElement tokenizer)
    {
        if (!HfConfig.Has(tokenizer, "post_processor"))
            return null;
        JsonElement post = tokenizer.GetProperty("post_processor");
        JsonElement[] steps = HfConfig.Text(post, "type") == "Sequence" ? [.. post.GetProperty("processors").EnumerateArray()] : [post];
        foreach (JsonElement step in steps.Where(s => HfConfig.Text(s, "type") == "TemplateProcessing"))
        {
            JsonElement[] single = [.. step.GetProperty("single").EnumerateArray()];
            if (single.Length != 2 || !single[0].TryGetProperty("SpecialToken", out JsonElement token))
                throw new UnsupportedModelException("The tokenizer adds other tokens than one at the start (post_processor), which GGUF cannot express here.");
            return HfConfig.Text(token, "id");
        }

        return null;
    }

    private static string MergeText(JsonElement merge) =>
        merge.ValueKind == JsonValueKind.Array ? $"{merge[0].GetString()} {merge[1].GetString()}" : merge.GetString()!;

    private void AddId(string name, int? id)
    {
        if (id is int known)
            Add($"{name}_token_id", GgufValue.Of((uint)known));
    }

    private void Add(string key, GgufValue value) => _keys.Add(new($"tokenizer.ggml.{key}", value));
}
