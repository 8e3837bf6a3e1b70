using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Formats;

namespace Glimmer.Models.Gguf;

/// <summary>
/// What Glimmer knows of one GGUF architecture: its tensor names beside those of Hugging Face, and its metadata as a Hugging Face config, both ways. One
/// subclass an architecture.
/// </summary>
internal abstract class GgufArchitecture
{
    private static readonly GgufArchitecture[] s_all = [new Glm4MoeGguf(), new Deepseek2Gguf(), new GlmDsaGguf(), new LlamaGguf()];

    /// <summary>Name in <c>general.architecture</c>.</summary>
    public abstract string Name { get; }

    /// <summary><c>model_type</c> in a Hugging Face config.</summary>
    public abstract string ModelType { get; }

    /// <summary>First of <c>architectures</c> in a Hugging Face config.</summary>
    public abstract string ModelClass { get; }

    /// <summary>The name table, in the order in which tensors of a layer are written.</summary>
    public abstract IReadOnlyList<GgufName> Names { get; }

    /// <summary>The architecture of a file.</summary>
    /// <exception cref="ModelFormatException">The file does not name one.</exception>
    /// <exception cref="UnsupportedModelException">Glimmer does not have it.</exception>
    public static GgufArchitecture Of(GgufFile file)
    {
        if (!file.TryGetValue("general.architecture", out GgufValue? value))
            throw new ModelFormatException($"'{file.Path}' does not say its architecture (metadata key 'general.architecture').");
        string name = value.AsString();
        return Array.Find(s_all, a => a.Name == name)
            ?? throw new UnsupportedModelException(
                $"'{file.Path}' has the architecture '{name}'; Glimmer reads {string.Join(", ", s_all.Select(a => a.Name))}.");
    }

    /// <summary>The architecture that stores a Hugging Face <c>model_type</c>.</summary>
    /// <exception cref="UnsupportedModelException">None does.</exception>
    public static GgufArchitecture OfModelType(string modelType) => Array.Find(s_all, a => a.ModelType == modelType)
        ?? throw new UnsupportedModelException(
            $"The model_type '{modelType}' has no GGUF architecture in Glimmer; {string.Join(", ", s_all.Select(a => a.ModelType))} have.");

    /// <summary>The metadata as a Hugging Face config. The keys are those of the model class, so that one parser reads both.</summary>
    /// <exception cref="ModelFormatException">Keys are missing, impossible or contradict the tensors.</exception>
    /// <exception cref="UnsupportedModelException">The file asks for something Glimmer does not compute.</exception>
    public JsonObject ReadConfig(GgufFile file)
    {
        var metadata = new GgufMetadata(file, Name);
        metadata.RefuseRopeScaling();
        int blocks = metadata.Integer("block_count");
        int nextn = metadata.IntegerOr("nextn_predict_layers", 0, smallest: 0);
        if (blocks > file.Tensors.Count || nextn > 1 || nextn >= blocks)
            throw new ModelFormatException($"'{file.Path}' claims {blocks} blocks, {nextn} of them for MTP, but holds {file.Tensors.Count} tensors.");
        var config = new JsonObject
        {
            ["architectures"] = new JsonArray(ModelClass),
            ["model_type"] = ModelType,
            ["vocab_size"] = VocabularyOf(metadata),
            ["hidden_size"] = metadata.Integer("embedding_length"),
            ["num_hidden_layers"] = blocks - nextn,
            ["num_attention_heads"] = metadata.Integer("attention.head_count"),
            ["intermediate_size"] = metadata.Integer("feed_forward_length"),
            ["max_position_embeddings"] = metadata.Integer("context_length"),
            ["rms_norm_eps"] = metadata.Number("attention.layer_norm_rms_epsilon", null, above: 0),
            ["rope_theta"] = metadata.Number("rope.freq_base", 10000, above: 0),
            ["hidden_act"] = "silu",
            ["tie_word_embeddings"] = file.Find("output.weight") is null,
        };
        if (nextn > 0)
            config["num_nextn_predict_layers"] = nextn;
        AddConfig(metadata, config);
        metadata.RefuseUnknown();
        AddTokenIds(file, config);
        return config;
    }

    /// <summary>The sizes of a file whose config was read, with the layers its tensors say.</summary>
    public ModelSizes SizesOf(GgufFile file, JsonElement config)
    {
        ModelSizes sizes = ModelSizes.From(config);
        int nextn = (int)HfConfig.Integer(config, "num_nextn_predict_layers", 0);
        return sizes with
        {
            NextnLayers = nextn,
            IndexerLayers = IndexerLayers(sizes.Layers + nextn, layer => file.Find($"blk.{layer}.indexer.attn_k.weight") is not null),
        };
    }

    /// <summary>The sizes of a Hugging Face checkpoint, with the layers its tensors say.</summary>
    public ModelSizes SizesOf(WeightSource weights, JsonElement config)
    {
        ModelSizes sizes = ModelSizes.From(config);
        int nextn = weights.Find($"model.layers.{sizes.Layers}.eh_proj.weight") is null ? 0 : 1;
        return sizes with
        {
            NextnLayers = nextn,
            Tied = weights.Find("lm_head.weight") is null && HfConfig.Flag(config, "tie_word_embeddings", true),
            IndexerLayers = IndexerLayers(sizes.Layers + nextn, layer => weights.Find($"model.layers.{layer}.self_attn.indexer.wk.weight") is not null),
        };
    }

    /// <summary>The <c>{architecture}.*</c> metadata of a Hugging Face config, in the order of llama.cpp's converter.</summary>
    /// <exception cref="UnsupportedModelException">The config asks for something the architecture cannot express.</exception>
    public IEnumerable<KeyValuePair<string, GgufValue>> WriteMetadata(JsonElement config, ModelSizes sizes)
    {
        RefuseScaling(config);
        var keys = new List<KeyValuePair<string, GgufValue>>();
        Add(keys, "block_count", sizes.Layers + sizes.NextnLayers);
        Add(keys, "context_length", HfConfig.Integer(config, "max_position_embeddings"));
        Add(keys, "embedding_length", sizes.Hidden);
        Add(keys, "feed_forward_length", sizes.Intermediate);
        Add(keys, "attention.head_count", sizes.Heads);
        Add(keys, "rope.freq_base", GgufValue.Of((float)HfConfig.Rope(config, "rope_theta", 10000)));
        Add(keys, "attention.layer_norm_rms_epsilon", GgufValue.Of((float)HfConfig.Number(config, "rms_norm_eps", 1e-5)));
        Add(keys, "vocab_size", sizes.Vocab);
        AddMetadata(config, sizes, keys);
        if (sizes.NextnLayers > 0)
            Add(keys, "nextn_predict_layers", sizes.NextnLayers);
        return keys;
    }

    /// <summary>Adds the architecture's own config keys.</summary>
    protected abstract void AddConfig(GgufMetadata metadata, JsonObject config);

    /// <summary>Adds the architecture's own metadata.</summary>
    protected abstract void AddMetadata(JsonElement config, ModelSizes sizes, List<KeyValuePair<string, GgufValue>> keys);

    /// <summary>Adds a value under the architecture's prefix.</summary>
    protected void Add(List<KeyValuePair<string, GgufValue>> keys, string key, GgufValue value) => keys.Add(new($"{Name}.{key}", value));

    /// <summary>Adds a size under the architecture's prefix.</summary>
    protected void Add(List<KeyValuePair<string, GgufValue>> keys, string key, long value) => Add(keys, key, GgufValue.Of(checked((uint)value)));

    private static HashSet<int> IndexerLayers(int layers, Func<int, bool> exists) => [.. Enumerable.Range(0, layers).Where(exists)];

    // The embedding says it; the key, where a file has one, and the token list must agree.
    private static int VocabularyOf(GgufMetadata metadata)
    {
        GgufFile file = metadata.File;
        TensorInfo embedding = file.Find("token_embd.weight") ?? throw new ModelFormatException($"'{file.Path}' lacks the tensor 'token_embd.weight'.");
        int rows = embedding.Shape[0];
        if (metadata.Has("vocab_size") && metadata.Integer("vocab_size", smallest: 0) != rows)
            throw new ModelFormatException(
                $"'{file.Path}' claims a vocabulary of {metadata.Integer("vocab_size", smallest: 0)}, but {embedding} has {rows} rows.");
        if (file.TryGetValue("tokenizer.ggml.tokens", out GgufValue? tokens) && tokens.Count != rows)
            throw new ModelFormatException($"'{file.Path}' lists {tokens.Count} tokens, but {embedding} has {rows} rows.");
        return rows;
    }

    // Generation stops on the end of text, of a turn and of a tool call.
    private static void AddTokenIds(GgufFile file, JsonObject config)
    {
        var ends = new JsonArray();
        foreach (string key in (string[])["eos", "eot", "eom"])
        {
            if (TokenId(file, key) is int id && !ends.Any(e => (int)e! == id))
                ends.Add((JsonNode)id);
        }

        if (ends.Count > 0)
            config["eos_token_id"] = ends;
        if (TokenId(file, "bos") is int bos)
            config["bos_token_id"] = bos;
        if (TokenId(file, "padding") is int pad)
            config["pad_token_id"] = pad;
    }

    private static int? TokenId(GgufFile file, string name)
    {
        if (!file.TryGetValue($"tokenizer.ggml.{name}_token_id", out GgufValue? value))
            return null;
        long id = value.AsInteger();
        return id is >= 0 and <= int.MaxValue ? (int)id
            : throw new ModelFormatException($"'{file.Path}': tokenizer.ggml.{name}_token_id is {id}, which is no token.");
    }

    private static void RefuseScaling(JsonElement config)
    {
        foreach (string key in (string[])["rope_parameters", "rope_scaling"])
        {
            if (!HfConfig.Has(config, key))
                continue;
            JsonElement scaling = config.GetProperty(key);
            string type = HfConfig.Text(scaling, "rope_type") ?? HfConfig.Text(scaling, "type") ?? "default";
            if (type != "default")
                throw new UnsupportedModelException($"The config asks for rope scaling of type '{type}' in '{key}', which Glimmer does not support.");
        }
    }
}
