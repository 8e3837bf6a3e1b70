using System.Text.Json;

namespace Glimmer.Tokenization;

/// <summary>The parts of a <c>tokenizer.json</c> beside the vocabulary: reads what is understood, refuses the rest by name.</summary>
internal sealed class TokenizerJsonSettings
{
    private readonly string _source;
    private readonly Dictionary<string, JsonElement> _parts;
    private readonly Dictionary<string, JsonElement> _model;

    /// <summary>Wraps the parsed parts.</summary>
    /// <param name="source">Name of the file for messages.</param>
    /// <param name="parts">The values of the file's keys without the model.</param>
    /// <param name="model">The values of the model's keys without vocabulary and merges.</param>
    public TokenizerJsonSettings(string source, Dictionary<string, JsonElement> parts, Dictionary<string, JsonElement> model) =>
        (_source, _parts, _model) = (source, parts, model);

    /// <summary><c>model.ignore_merges</c>.</summary>
    public bool IgnoresMerges => Flag(_model, "ignore_merges");

    /// <summary><c>model.fuse_unk</c>.</summary>
    public bool FusesUnknown => Flag(_model, "fuse_unk");

    /// <summary>Refuses other versions of the format, and truncation and padding, which would change ids.</summary>
    public void CheckFile()
    {
        if (Value(_parts, "version") is JsonElement version && version.GetString() is string text && text != "1.0")
            throw Unsupported("version", text, "1.0");
        foreach (string key in (ReadOnlySpan<string>)["truncation", "padding"])
        {
            if (Value(_parts, key) is JsonElement value)
                throw Unsupported(key, value.GetRawText(), "null");
        }
    }

    /// <summary>Refuses models that are not byte-level BPE.</summary>
    public void CheckModel()
    {
        if (Value(_model, "type") is null && Value(_model, "vocab") is null && _model.Count == 0)
            throw new ModelFormatException($"{_source}: 'model' has no settings; expected a model of type BPE.");
        if (Value(_model, "dropout") is JsonElement dropout && dropout.GetDouble() != 0)
            throw Unsupported("model.dropout", dropout.GetRawText(), "null (encoding would be random)");
        if (Flag(_model, "byte_fallback"))
            throw Unsupported("model.byte_fallback", "true", "false (SentencePiece-style vocabularies are not byte-level BPE)");
        foreach (string key in (ReadOnlySpan<string>)["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (Value(_model, key)?.GetString() is { Length: > 0 } affix)
                throw Unsupported("model." + key, affix, "null");
        }
    }

    /// <summary>The id of <c>model.unk_token</c>, or -1.</summary>
    public int UnknownId(VocabularyBuilder vocabulary)
    {
        if (Value(_model, "unk_token")?.GetString() is not { Length: > 0 } unknown)
            return -1;
        int id = vocabulary.IdOf(unknown);
        return id >= 0 ? id : throw new ModelFormatException($"{_source}: 'model.unk_token' is '{unknown}', which is not in the vocabulary.");
    }

    /// <summary><c>added_tokens</c>.</summary>
    public IReadOnlyList<AddedToken> ReadAddedTokens()
    {
        var tokens = new List<AddedToken>();
        var ids = new Dictionary<string, int>();
        if (Value(_parts, "added_tokens") is not JsonElement list)
            return tokens;
        foreach (JsonElement item in list.EnumerateArray())
        {
            if (!item.TryGetProperty("content", out JsonElement content) || content.GetString() is not string text)
                throw new ModelFormatException($"{_source}: an added token has no 'content': {item.GetRawText()}.");
            if (text.Length == 0)
                throw new ModelFormatException($"{_source}: an added token is the empty text: {item.GetRawText()}.");
            if (!item.TryGetProperty("id", out JsonElement idValue) || !idValue.TryGetInt32(out int id))
                throw new ModelFormatException($"{_source}: the added token '{text}' has no integer 'id'.");
            if (!ids.TryAdd(text, id))
            {
                if (ids[text] != id)
                    throw new ModelFormatException($"{_source}: the added token '{text}' occurs with ids {ids[text]} and {id}.");
                continue;
            }

            bool special = Flag(item, "special", false);
            tokens.Add(new AddedToken(id, text, special)
            {
                LStrip = Flag(item, "lstrip", false),
                RStrip = Flag(item, "rstrip", false),
                SingleWord = Flag(item, "single_word", false),
                Normalized = Flag(item, "normalized", !special),
            });
        }

        return tokens;
    }

    /// <summary><c>normalizer</c>: whether it is NFC.</summary>
    public bool ReadNormalizer()
    {
        bool nfc = false;
        foreach (JsonElement stage in Stages("normalizer", "normalizers"))
        {
            string type = Type(stage);
            nfc |= type == "NFC" ? true : throw Unsupported("normalizer", type, "null or NFC");
        }

        return nfc;
    }

    /// <summary><c>pre_tokenizer</c>.</summary>
    public (PreTokenizer Kind, bool AddsPrefixSpace) ReadPreTokenizer()
    {
        List<JsonElement> stages = Stages("pre_tokenizer", "pretokenizers");
        foreach (JsonElement stage in stages)
        {
            if (Type(stage) is not ("Split" or "Digits" or "ByteLevel"))
                throw Unsupported("pre_tokenizer", Type(stage), "Split, Digits and ByteLevel");
        }

        if (stages.Count == 0 || Type(stages[^1]) != "ByteLevel")
            throw Unsupported("pre_tokenizer", string.Join(", ", stages.Select(Type)), "one that ends with ByteLevel");
        JsonElement bytes = stages[^1];
        bool usesRegex = Flag(bytes, "use_regex", true), prefixSpace = Flag(bytes, "add_prefix_space", true);
        string[] types = [.. stages.Select(Type)];
        if (types is ["ByteLevel"] && usesRegex)
            return (PreTokenizer.Gpt2, prefixSpace);
        if (prefixSpace)
            throw Unsupported("pre_tokenizer.add_prefix_space", "true", "false where ByteLevel is not alone");
        if (types is ["Digits", "ByteLevel"] && usesRegex)
            return (Flag(stages[0], "individual_digits", false) ? PreTokenizer.DigitsGpt2 : PreTokenizer.DigitRunsGpt2, false);
        if (types is ["Split", "ByteLevel"] && !usesRegex)
            return (ReadSplit(stages[0]), false);
        throw Unsupported("pre_tokenizer", string.Join(" + ", types) + (usesRegex ? " with use_regex" : ""), "a known combination");
    }

    /// <summary><c>post_processor</c>: the ids around a single text.</summary>
    public (int[] Prefix, int[] Suffix) ReadPostProcessor(TokenStore tokens)
    {
        List<int> prefix = [], suffix = [];
        foreach (JsonElement stage in Stages("post_processor", "processors"))
        {
            string type = Type(stage);
            if (type == "ByteLevel")
                continue; // concerns offsets only
            if (type != "TemplateProcessing")
                throw Unsupported("post_processor", type, "ByteLevel or TemplateProcessing");
            List<int> side = prefix;
            foreach (JsonElement piece in Required(stage, "single").EnumerateArray())
            {
                if (piece.TryGetProperty("Sequence", out JsonElement sequence))
                {
                    if (side == suffix || Required(sequence, "id").GetString() != "A")
                        throw Unsupported("post_processor.single", piece.GetRawText(), "one Sequence A");
                    side = suffix;
                    continue;
                }

                string name = Required(Required(piece, "SpecialToken"), "id").GetString() ?? "";
                side.AddRange(TemplateIds(stage, name, tokens));
            }

            if (side == prefix)
                throw new ModelFormatException($"{_source}: 'post_processor.single' has no Sequence: the text itself would be lost.");
        }

        return ([.. prefix], [.. suffix]);
    }

    /// <summary>Refuses decoders that do not invert the byte alphabet.</summary>
    public void CheckDecoder()
    {
        List<JsonElement> stages = Stages("decoder", "decoders");
        string[] types = [.. stages.Select(Type)];
        if (types is not ["ByteLevel"])
            throw Unsupported("decoder", types.Length == 0 ? "null" : string.Join(", ", types), "ByteLevel");
    }

    private PreTokenizer ReadSplit(JsonElement split)
    {
        string behavior = Required(split, "behavior").GetString() ?? "";
        bool invert = Flag(split, "invert", false);
        // The known patterns match all of any text, so removing what lies between their matches removes nothing.
        if (!(behavior == "Isolated" && !invert || behavior == "Removed" && invert))
            throw Unsupported("pre_tokenizer.behavior", $"{behavior} (invert {invert})", "Isolated, or Removed with invert");
        JsonElement pattern = Required(split, "pattern");
        if (!pattern.TryGetProperty("Regex", out JsonElement regex))
            throw Unsupported("pre_tokenizer.pattern", pattern.GetRawText(), "a known Regex");
        return regex.GetString() switch
        {
            GlmPattern.Glm => PreTokenizer.Glm,
            GlmPattern.Qwen2 => PreTokenizer.Qwen2,
            Gpt2Pattern.Pattern => PreTokenizer.Gpt2,
            string other => throw Unsupported("pre_tokenizer.pattern", other, "the regex of GLM (Llama-3), Qwen2 or GPT-2"),
            null => throw new ModelFormatException($"{_source}: 'pre_tokenizer.pattern.Regex' is null."),
        };
    }

    private List<int> TemplateIds(JsonElement template, string name, TokenStore tokens)
    {
        if (!Required(template, "special_tokens").TryGetProperty(name, out JsonElement token))
            throw new ModelFormatException($"{_source}: the template names the special token '{name}', which its 'special_tokens' do not define.");
        var ids = new List<int>();
        foreach (JsonElement value in Required(token, "ids").EnumerateArray())
        {
            if (!value.TryGetInt32(out int id) || tokens.Flags(id) == TokenFlags.None)
                throw new ModelFormatException($"{_source}: the template's special token '{name}' has id {value.GetRawText()}, which has no token.");
            ids.Add(id);
        }

        return ids;
    }

    /// <summary>The stages of a part: none when it is null, one, or those of a Sequence, nested ones included.</summary>
    private List<JsonElement> Stages(string key, string listKey)
    {
        var stages = new List<JsonElement>();
        if (Value(_parts, key) is JsonElement part)
            Collect(part);
        return stages;

        void Collect(JsonElement stage)
        {
            if (Type(stage) != "Sequence")
            {
                stages.Add(stage);
                return;
            }

            foreach (JsonElement inner in Required(stage, listKey).EnumerateArray())
                Collect(inner);
        }
    }

    private string Type(JsonElement stage) =>
        Required(stage, "type").GetString() ?? throw new ModelFormatException($"{_source}: a 'type' is null.");

    private JsonElement Required(JsonElement item, string key) =>
        item.ValueKind == JsonValueKind.Object && item.TryGetProperty(key, out JsonElement value)
            ? value
            : throw new ModelFormatException($"{_source}: '{key}' is missing in {Shorten(item.GetRawText())}.");

    private static JsonElement? Value(Dictionary<string, JsonElement> part, string key) =>
        part.TryGetValue(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private static bool Flag(Dictionary<string, JsonElement> part, string key) => Value(part, key)?.GetBoolean() ?? false;

    private static bool Flag(JsonElement item, string key, bool absent) =>
        item.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value.GetBoolean() : absent;

    private UnsupportedModelException Unsupported(string what, string value, string supported) =>
        new($"{_source}: {what} '{Shorten(value)}' is not supported; supported: {supported}.");

    private static string Shorten(string text) => text.Length <= 200 ? text : text[..200] + "...";
}
