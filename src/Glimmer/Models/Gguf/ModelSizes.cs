using System.Text.Json;

namespace Glimmer.Models.Gguf;

/// <summary>The sizes that decide which tensors a checkpoint has and of which shape; read from a Hugging Face config.</summary>
internal sealed record ModelSizes
{
    public long Vocab { get; init; }

    public long Hidden { get; init; }

    /// <summary>Decoder layers, without the MTP layer.</summary>
    public int Layers { get; init; }

    /// <summary>MTP layers behind the trunk.</summary>
    public int NextnLayers { get; init; }

    /// <summary>The first layers that are dense.</summary>
    public int DenseLayers { get; init; }

    public long Intermediate { get; init; }

    public long Heads { get; init; }

    public long KvHeads { get; init; }

    public long HeadDim { get; init; }

    public long Experts { get; init; }

    public long ExpertWidth { get; init; }

    public long SharedExperts { get; init; }

    public long QLoraRank { get; init; }

    public long KvLoraRank { get; init; }

    public long NopeDim { get; init; }

    public long RopeDim { get; init; }

    public long ValueDim { get; init; }

    public long IndexHeads { get; init; }

    public long IndexDim { get; init; }

    public bool Tied { get; init; }

    public bool AttentionBias { get; init; }

    public bool QkNorm { get; init; }

    /// <summary>Layers (the MTP layer too) that have an indexer of their own.</summary>
    public IReadOnlySet<int> IndexerLayers { get; init; } = new HashSet<int>();

    /// <summary>Reads a config. Which MTP and indexer layers exist is decided by the tensors, and must be added.</summary>
    /// <exception cref="ModelFormatException">A key is missing or no number.</exception>
    public static ModelSizes From(JsonElement config)
    {
        long heads = HfConfig.Integer(config, "num_attention_heads");
        long hidden = HfConfig.Integer(config, "hidden_size");
        int layers = (int)HfConfig.Integer(config, "num_hidden_layers");
        bool sparse = HfConfig.Has(config, "n_routed_experts");
        if (HfConfig.Has(config, "kv_lora_rank") && !HfConfig.Has(config, "q_lora_rank"))
            throw new UnsupportedModelException("The checkpoint projects queries directly (q_lora_rank is null), which GGUF files of this architecture cannot say. Convert it to a folder instead.");
        return new ModelSizes
        {
            Vocab = HfConfig.Integer(config, "vocab_size"),
            Hidden = hidden,
            Layers = layers,
            DenseLayers = sparse ? LeadingDense(config, layers) : layers,
            Intermediate = HfConfig.Integer(config, "intermediate_size"),
            Heads = heads,
            KvHeads = HfConfig.Integer(config, "num_key_value_heads", heads),
            HeadDim = HfConfig.Integer(config, "head_dim", heads == 0 ? 0 : hidden / heads),
            Experts = HfConfig.Integer(config, "n_routed_experts", 0),
            ExpertWidth = HfConfig.Integer(config, "moe_intermediate_size", 0),
            SharedExperts = HfConfig.Integer(config, "n_shared_experts", 0),
            QLoraRank = HfConfig.Integer(config, "q_lora_rank", 0),
            KvLoraRank = HfConfig.Integer(config, "kv_lora_rank", 0),
            NopeDim = HfConfig.Integer(config, "qk_nope_head_dim", 0),
            RopeDim = HfConfig.Integer(config, "qk_rope_head_dim", 0),
            ValueDim = HfConfig.Integer(config, "v_head_dim", 0),
            IndexHeads = HfConfig.Integer(config, "index_n_heads", 0),
            IndexDim = HfConfig.Integer(config, "index_head_dim", 0),
            Tied = HfConfig.Flag(config, "tie_word_embeddings", false),
            AttentionBias = HfConfig.Flag(config, "attention_bias", false),
            QkNorm = HfConfig.Flag(config, "use_qk_norm", false),
        };
    }

    // GGUF can only say how many leading layers are dense.
    private static int LeadingDense(JsonElement config, int layers)
    {
        if (!config.TryGetProperty("mlp_layer_types", out JsonElement types) || types.ValueKind != JsonValueKind.Array)
            return (int)HfConfig.Integer(config, "first_k_dense_replace", 1);
        string?[] words = [.. types.EnumerateArray().Select(t => t.ValueKind == JsonValueKind.String ? t.GetString() : null)];
        int dense = words.TakeWhile(w => w == "dense").Count();
        if (words.Length != layers || words.Skip(dense).Any(w => w != "sparse"))
            throw new UnsupportedModelException(
                $"The config's mlp_layer_types is no run of 'dense' followed by 'sparse' for {layers} layers, which GGUF cannot express.");
        return dense;
    }
}
