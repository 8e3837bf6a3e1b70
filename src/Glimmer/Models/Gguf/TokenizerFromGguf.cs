using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Formats;

namespace Glimmer.Models.Gguf;

/// <summary>
/// Translates <c>tokenizer.*</c> metadata into the files of a Hugging Face folder: tokenizer.json, tokenizer_config.json, generation_config.json,
/// chat_template.jinja.
/// </summary>
/// <remarks>
/// Tokens up to the last normal one form the vocabulary, because added tokens that lie among them must keep their ids; control (3) and user-defined (4)
/// tokens are also listed as added ones, the former as special. GGUF does not say whether whole pieces are looked up before merging (<c>ignore_merges</c>);
/// it is set for the names whose published tokenizers set it.
/// </remarks>
internal static class TokenizerFromGguf
{
    private const int Normal = 1;
    private const int Unknown = 2;
    private const int Control = 3;
    private const int UserDefined = 4;
    private const int Unused = 5;

    /// <summary>Writes the files; nothing for a file without tokenizer (<c>tokenizer.ggml.model = none</c> or no such key).</summary>
    /// <exception cref="UnsupportedModelException">The tokenizer is of another kind than byte-level BPE.</exception>
    /// <exception cref="ModelFormatException">Keys are missing or contradict each other.</exception>
    public static void Write(GgufFile file, string configJson, string folder)
    {
        string model = file.TryGetValue("tokenizer.ggml.model", out GgufValue? kind) ? kind.AsString() : "none";
        WriteGenerationConfig(configJson, folder);
        if (model == "none")
            return;
        if (model != "gpt2")
            throw new UnsupportedModelException(
                $"'{file.Path}' has a tokenizer of the kind '{model}' (tokenizer.ggml.model); only 'gpt2' (byte-level BPE) is supported.");
        IReadOnlyList<string> tokens = Get(file, "tokens").AsStrings();
        IReadOnlyList<int> types = file.TryGetValue("tokenizer.ggml.token_type", out GgufValue? given) ? given.AsIntegers()
            : [.. Enumerable.Repeat(Normal, tokens.Count)];
        if (types.Count != tokens.Count || types.Any(t => t is < Normal or > Unused))
            throw new ModelFormatException($"'{file.Path}': tokenizer.ggml.token_type must give one of 1 to 5 for each of the {tokens.Count} tokens.");
        string pre = Get(file, "pre").AsString();
        bool addBos = file.TryGetValue("tokenizer.ggml.add_bos_token", out GgufValue? flag) ? flag.AsBool() : pre == "llama-bpe";
        using (FileStream stream = File.Create(Path.Combine(folder, "tokenizer.json")))
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
            WriteTokenizer(json, file, tokens, types, pre, addBos ? BosOf(file, tokens) : null);
        WriteTokenizerConfig(file, tokens, folder);
        if (file.TryGetValue("tokenizer.chat_template", out GgufValue? template))
            File.WriteAllText(Path.Combine(folder, "chat_template.jinja"), template.AsString());
    }

    private static void WriteTokenizer(Utf8JsonWriter json, GgufFile file, IReadOnlyList<string> tokens, IReadOnlyList<int> types, string pre, string? bos)
    {
        json.WriteStartObject();
        json.WriteString("version", "1.0");
        json.WriteNull("truncation");
        json.WriteNull("padding");
        json.WriteStartArray("added_tokens");
        for (int id = 0; id < tokens.Count; id++)
        {
            if (types[id] is Control or UserDefined or Unknown)
                WriteAdded(json, id, tokens[id], special: types[id] != UserDefined);
        }

        json.WriteEndArray();
        json.WriteNull("normalizer");
        json.WritePropertyName("pre_tokenizer");
        PreTokenizerNames.PreTokenizer(pre).WriteTo(json);
        json.WritePropertyName("post_processor");
        (bos is null ? PreTokenizerNames.ByteLevel(useRegex: true) : Template(bos, IndexOf(tokens, bos))).WriteTo(json);
        json.WritePropertyName("decoder");
        PreTokenizerNames.ByteLevel(useRegex: true).WriteTo(json);
        WriteModel(json, file, tokens, types, ignoreMerges: pre is "glm4" or "chatglm-bpe" or "llama-bpe");
        json.WriteEndObject();
    }

    private static void WriteModel(Utf8JsonWriter json, GgufFile file, IReadOnlyList<string> tokens, IReadOnlyList<int> types, bool ignoreMerges)
    {
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        json.WriteNull("dropout");
        json.WriteNull("unk_token");
        json.WriteNull("continuing_subword_prefix");
        json.WriteNull("end_of_word_suffix");
        json.WriteBoolean("fuse_unk", false);
        json.WriteBoolean("byte_fallback", false);
        json.WriteBoolean("ignore_merges", ignoreMerges);
        json.WriteStartObject("vocab");
        int count = types.Count;
        while (count > 0 && types[count - 1] != Normal)
            count--;
        for (int id = 0; id < count; id++)
        {
            if (types[id] != Unused)
                json.WriteNumber(tokens[id], id);
        }

        json.WriteEndObject();
        json.WriteStartArray("merges");
        foreach (string merge in Get(file, "merges").AsStrings())
        {
            int blank = merge.IndexOf(' ', 1);
            if (blank < 0 || merge.IndexOf(' ', blank + 1) >= 0)
                throw new ModelFormatException($"'{file.Path}': the merge '{merge}' is no pair of two parts with a blank between.");
            json.WriteStartArray();
            json.WriteStringValue(merge.AsSpan(0, blank));
            json.WriteStringValue(merge.AsSpan(blank + 1));
            json.WriteEndArray();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteAdded(Utf8JsonWriter json, int id, string content, bool special)
    {
        json.WriteStartObject();
        json.WriteNumber("id", id);
        json.WriteString("content", content);
        foreach (string flag in (string[])["single_word", "lstrip", "rstrip", "normalized"])
            json.WriteBoolean(flag, false);
        json.WriteBoolean("special", special);
        json.WriteEndObject();
    }

    // One token before the text.
    private static JsonObject Template(string bos, int id) => new()
    {
        ["type"] = "TemplateProcessing",
        ["single"] = new JsonArray(Piece("SpecialToken", bos, 0), Piece("Sequence", "A", 0)),
        ["pair"] = new JsonArray(Piece("SpecialToken", bos, 0), Piece("Sequence", "A", 0), Piece("SpecialToken", bos, 1), Piece("Sequence", "B", 1)),
        ["special_tokens"] = new JsonObject
        {
            [bos] = new JsonObject { ["id"] = bos, ["ids"] = new JsonArray((JsonNode)id), ["tokens"] = new JsonArray((JsonNode)bos) },
        },
    };

    private static JsonObject Piece(string kind, string id, int type) => new() { [kind] = new JsonObject { ["id"] = id, ["type_id"] = type } };

    private static void WriteTokenizerConfig(GgufFile file, IReadOnlyList<string> tokens, string folder)
    {
        var settings = new JsonObject { ["tokenizer_class"] = "PreTrainedTokenizerFast", ["clean_up_tokenization_spaces"] = false };
        (string, string)[] names = [("eos", "eos_token"), ("bos", "bos_token"), ("unknown", "unk_token"), ("padding", "pad_token")];
        foreach ((string key, string name) in names)
        {
            if (TokenOf(file, tokens, key) is string content)
                settings[name] = content;
        }

        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), settings.ToJsonString());
    }

    private static void WriteGenerationConfig(string configJson, string folder)
    {
        using JsonDocument config = JsonDocument.Parse(configJson);
        var generation = new JsonObject();
        foreach (string key in (string[])["eos_token_id", "bos_token_id", "pad_token_id"])
        {
            if (config.RootElement.TryGetProperty(key, out JsonElement value))
                generation[key] = JsonNode.Parse(value.GetRawText());
        }

        if (generation.Count > 0)
            File.WriteAllText(Path.Combine(folder, "generation_config.json"), generation.ToJsonString());
    }

    private static string BosOf(GgufFile file, IReadOnlyList<string> tokens) =>
        TokenOf(file, tokens, "bos")
            ?? throw new ModelFormatException($"'{file.Path}' wants a token before each text but names none (tokenizer.ggml.bos_token_id).");

    private static string? TokenOf(GgufFile file, IReadOnlyList<string> tokens, string key)
    {
        if (!file.TryGetValue($"tokenizer.ggml.{key}_token_id", out GgufValue? value))
            return null;
        long id = value.AsInteger();
        return id >= 0 && id < tokens.Count ? tokens[(int)id]
            : throw new ModelFormatException($"'{file.Path}': tokenizer.ggml.{key}_token_id is {id}, but there are {tokens.Count} tokens.");
    }

    private static int IndexOf(IReadOnlyList<string> tokens, string content)
    {
        int id = 0;
        while (tokens[id] != content)
            id++;
        return id;
    }

    private static GgufValue Get(GgufFile file, string key) =>
        file.TryGetValue($"tokenizer.ggml.{key}", out GgufValue? value) ? value
            : throw new ModelFormatException($"'{file.Path}' lacks the metadata key 'tokenizer.ggml.{key}'.");
}
