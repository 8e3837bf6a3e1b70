using Glimmer.Kernels;

namespace Glimmer.Models;

/// <summary>Turns the keys of <c>config.json</c> into a <see cref="ModelConfig"/>: aliases, defaults and checks of each architecture.</summary>
internal static class ModelConfigParser
{
    // Far beyond every published model; a larger number is a damaged file, and would only cost memory before it is found out.
    private const int MostLayers = 10_000;
    private const long MostColumns = 1 << 24;

    public static ModelConfig Parse(ConfigReader json)
    {
        string modelType = ModelTypeOf(json);
        if (json.Text("hidden_act") is { } act && act != "silu")
            throw json.Unsupported("hidden_act", act, "silu");
        if (json.Bool("use_sliding_window") == true)
            throw json.Unsupported("use_sliding_window", "true", "false");
        QuantizationConfig.Check(json);

        ModelConfig common = Common(json, modelType);
        ModelConfig config = modelType switch
        {
            "glm4_moe" => Glm4Moe(json, common),
            "llama" => Llama(json, common),
            "glm4_moe_lite" => Mla(json, common, ModelArchitecture.Glm4MoeLite, nopeDim: 192, ropeDim: 64, valueDim: 256, qLora: 768),
            _ => Indexer(json, Mla(json, common, ModelArchitecture.GlmMoeDsa, nopeDim: 192, ropeDim: 64, valueDim: 256, qLora: 2048)),
        };
        if (config.SparseLayers.Contains(true) || config.NumNextnPredictLayers > 0)
            config = Experts(json, config);
        CheckSizes(json, config);
        return config with { RopeTheta = RopeTheta(json) };
    }

    // Products of sizes become shapes and strides: none may wrap around.
    private static void CheckSizes(ConfigReader json, ModelConfig config)
    {
        (long heads, long hidden) = (config.NumAttentionHeads, config.HiddenSize);
        Fits(heads * config.HeadDim, "num_attention_heads x head_dim");
        Fits((long)config.NumKeyValueHeads * config.HeadDim, "num_key_value_heads x head_dim");
        Fits(heads * (config.QkNopeHeadDim + (long)config.QkRopeHeadDim), "num_attention_heads x (qk_nope_head_dim + qk_rope_head_dim)");
        Fits(heads * (config.QkNopeHeadDim + (long)config.VHeadDim), "num_attention_heads x (qk_nope_head_dim + v_head_dim)");
        Fits(heads * (config.KvLoraRank + (long)config.QkRopeHeadDim), "num_attention_heads x (kv_lora_rank + qk_rope_head_dim)");
        Fits((long)config.IndexNHeads * config.IndexHeadDim, "index_n_heads x index_head_dim");
        Fits((long)config.MoeIntermediateSize * Math.Max(1, config.NSharedExperts), "moe_intermediate_size x n_shared_experts");
        Fits(2 * hidden, "2 x hidden_size");

        void Fits(long product, string what)
        {
            if (product > MostColumns)
                throw json.Wrong($"{what} is {product}; the largest width computed here is {MostColumns}.");
        }
    }

    // 'architectures' and 'model_type' must name the same model where both are given.
    private static string ModelTypeOf(ConfigReader json)
    {
        string? type = json.Text("model_type");
        string? architecture = json.Texts("architectures") is [var first, ..] ? first : null;
        if (type is null && architecture is null)
            throw json.Wrong("neither 'model_type' nor 'architectures' is given, so the architecture is unknown.");
        string? byArchitecture = architecture switch
        {
            null => null,
            "Glm4MoeForCausalLM" => "glm4_moe",
            "Glm4MoeLiteForCausalLM" => "glm4_moe_lite",
            "GlmMoeDsaForCausalLM" => "glm_moe_dsa",
            "LlamaForCausalLM" => "llama",
            _ => throw json.Unsupported("architectures", architecture, ModelRegistry.Names),
        };
        if (type is not null && type is not ("glm4_moe" or "glm4_moe_lite" or "glm_moe_dsa" or "llama"))
            throw json.Unsupported("model_type", type, ModelRegistry.Names);
        if (type is not null && byArchitecture is not null && type != byArchitecture)
            throw json.Wrong($"'model_type' is '{type}' but 'architectures' names '{architecture}'. One of the two is wrong.");
        return type ?? byArchitecture!;
    }

    private static ModelConfig Common(ConfigReader json, string modelType)
    {
        int layers = json.RequiredInt("num_hidden_layers", 1);
        if (layers > MostLayers)
            throw json.Wrong($"'num_hidden_layers' is {layers}; at most {MostLayers} layers are supported.");
        int heads = json.RequiredInt("num_attention_heads", 1);
        int vocab = json.RequiredInt("vocab_size", 1);
        float eps = json.Float("rms_norm_eps", positive: true) ?? 1e-5f;
        int[] eos = json.TokenIds("eos_token_id");
        return new ModelConfig
        {
            Architecture = ModelArchitecture.Glm4Moe,
            ModelType = modelType,
            VocabSize = vocab,
            HiddenSize = json.RequiredInt("hidden_size", 1),
            NumHiddenLayers = layers,
            IntermediateSize = json.RequiredInt("intermediate_size", 1),
            NumAttentionHeads = heads,
            NumKeyValueHeads = json.Int("num_key_value_heads", 1) ?? heads,
            AttentionBias = json.Bool("attention_bias") ?? false,
            RmsNormEps = eps,
            MlaLatentNormEps = json.Float("mla_latent_norm_eps", positive: true) ?? eps,
            MaxPositionEmbeddings = json.Int("max_position_embeddings", 2) ?? (modelType == "glm4_moe" ? 131072 : modelType == "llama" ? 2048 : 202752),
            TieWordEmbeddings = json.Bool("tie_word_embeddings") ?? false,
            InitializerRange = json.Float("initializer_range", positive: false) ?? 0.02f,
            SparseLayers = new bool[layers],
            NumNextnPredictLayers = modelType == "llama" ? 0 : json.Int("num_nextn_predict_layers", 0) ?? json.Int("num_mtp_layers", 0) ?? 0,
            PadTokenId = json.Int("pad_token_id", -1) is { } pad and >= 0 ? pad : null,
            EosTokenIds = eos,
        };
    }

    private static ModelConfig Glm4Moe(ConfigReader json, ModelConfig config)
    {
        int headDim = HeadDim(json, config);
        int firstSparse = json.Int("first_k_dense_replace", 0) ?? 1;
        return config with
        {
            HeadDim = headDim,
            UseQkNorm = json.Bool("use_qk_norm") ?? false,
            RotaryDim = RotaryDim(json, headDim, PartialRotaryFactor(json) ?? 0.5f),
            SparseLayers = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(i => i >= firstSparse)],
        };
    }

    // A llama checkpoint is a dense glm4_moe whose heads rotate in full.
    private static ModelConfig Llama(ConfigReader json, ModelConfig config)
    {
        if (config.AttentionBias)
            throw json.Unsupported("attention_bias", "true", "false for llama");
        if (json.Bool("mlp_bias") == true)
            throw json.Unsupported("mlp_bias", "true", "false");
        if (json.Bool("rope_interleaved") == true)
            throw json.Unsupported("rope_interleaved", "true", "false");
        if (PartialRotaryFactor(json) is { } factor && factor != 1)
            throw json.Unsupported("partial_rotary_factor", $"{factor}", "1");
        int headDim = HeadDim(json, config);
        return config with { HeadDim = headDim, RotaryDim = RotaryDim(json, headDim, 1) };
    }

    private static ModelConfig Mla(ConfigReader json, ModelConfig config, ModelArchitecture architecture, int nopeDim, int ropeDim, int valueDim, int qLora)
    {
        int rope = json.Int("qk_rope_head_dim", 1) ?? ropeDim;
        int nope = json.Int("qk_nope_head_dim", 1) ?? nopeDim;
        bool lite = architecture == ModelArchitecture.Glm4MoeLite;
        // 'head_dim' of published glm_moe_dsa files says nothing; in a glm4_moe_lite file it would be taken for the rotary width.
        if (lite && json.Int("head_dim", 1) is { } headDim && headDim != rope && headDim != rope + nope)
            throw json.Wrong($"'head_dim' is {headDim} but 'qk_rope_head_dim' is {rope}; MLA models have no other head size. Remove 'head_dim'.");
        if (lite && PartialRotaryFactor(json) is { } factor && factor != 1)
            throw json.Unsupported("partial_rotary_factor", $"{factor}", "1 for MLA");
        if (lite && json.Bool("rope_interleave") == false)
            throw json.Unsupported("rope_interleave", "false", "true");
        if (rope % 2 != 0)
            throw json.Wrong($"'qk_rope_head_dim' is {rope}; rotary dimensions come in pairs, so it must be even.");
        if (json.TryGet("qk_head_dim", out _) && json.Int("qk_head_dim", 1) != rope + nope)
            throw json.Wrong($"'qk_head_dim' is not qk_nope_head_dim + qk_rope_head_dim = {rope + nope}.");

        // Only a null (or, in lite, the key's absence with the class default) leaves out the query latent.
        int? rank = json.Int("q_lora_rank", 1) ?? (json.HasKey("q_lora_rank") ? null : qLora);
        if (rank is null && !lite)
            throw json.Unsupported("q_lora_rank", "null", "a width for glm_moe_dsa, whose indexer reads the query latent");
        return config with
        {
            Architecture = architecture,
            QLoraRank = rank,
            KvLoraRank = json.Int("kv_lora_rank", 1) ?? 512,
            QkNopeHeadDim = nope,
            QkRopeHeadDim = rope,
            VHeadDim = json.Int("v_head_dim", 1) ?? valueDim,
            RotaryDim = rope,
            SparseLayers = LayerTypes(json, config.NumHiddenLayers, lite ? 1 : json.Int("first_k_dense_replace", 0) ?? 3),
        };
    }

    private static ModelConfig Indexer(ConfigReader json, ModelConfig config)
    {
        if (json.Bool("indexer_rope_interleave") == false)
            throw json.Unsupported("indexer_rope_interleave", "false", "true");
        int headDim = json.Int("index_head_dim", 1) ?? 128;
        if (headDim < config.QkRopeHeadDim)
            throw json.Wrong($"'index_head_dim' is {headDim}, smaller than the rotated part 'qk_rope_head_dim' = {config.QkRopeHeadDim}.");
        return config with
        {
            IndexNHeads = json.Int("index_n_heads", 1) ?? 32,
            IndexHeadDim = headDim,
            IndexTopk = json.Int("index_topk", 1) ?? 2048,
            IndexerLayers = IndexerTypes(json, config.NumHiddenLayers),
            IndexShareForMtpIteration = json.Bool("index_share_for_mtp_iteration") ?? false,
        };
    }

    private static ModelConfig Experts(ConfigReader json, ModelConfig config)
    {
        if (json.Text("scoring_func") is { } scoring && scoring != "sigmoid")
            throw json.Unsupported("scoring_func", scoring, "sigmoid");
        if (json.Text("topk_method") is { } method && method != "noaux_tc")
            throw json.Unsupported("topk_method", method, "noaux_tc");
        // The GLM-5 class lets the alias win over the name.
        int? alias = json.Int("num_experts", 1) ?? json.Int("num_local_experts", 1);
        int? named = json.Int("n_routed_experts", 1);
        int experts = (config.Architecture == ModelArchitecture.GlmMoeDsa ? alias ?? named : named ?? alias) ?? throw json.Missing("n_routed_experts");
        int perToken = json.RequiredInt("num_experts_per_tok", 1);
        int groups = json.Int("n_group", 1) ?? 1;
        int chosenGroups = json.Int("topk_group", 1) ?? 1;
        if (experts > RouterShape.MostExperts)
            throw json.Wrong($"'n_routed_experts' is {experts}; at most {RouterShape.MostExperts} experts are supported.");
        if (perToken > experts)
            throw json.Wrong($"'num_experts_per_tok' is {perToken}, more than the {experts} of 'n_routed_experts'.");
        if (experts % groups != 0)
            throw json.Wrong($"'n_routed_experts' = {experts} is no multiple of 'n_group' = {groups}.");
        if (chosenGroups > groups)
            throw json.Wrong($"'topk_group' is {chosenGroups}, more than 'n_group' = {groups}.");
        if (perToken > chosenGroups * (experts / groups))
            throw json.Wrong($"'num_experts_per_tok' is {perToken}, more than the experts of 'topk_group' = {chosenGroups} groups.");
        return config with
        {
            NRoutedExperts = experts,
            NSharedExperts = json.Int("n_shared_experts", 0) ?? 1,
            NumExpertsPerTok = perToken,
            MoeIntermediateSize = json.RequiredInt("moe_intermediate_size", 1),
            RoutedScalingFactor = json.Float("routed_scaling_factor", positive: true) ?? (config.Architecture switch
            {
                ModelArchitecture.Glm4MoeLite => 1.8f,
                ModelArchitecture.GlmMoeDsa => 2.5f,
                _ => 1f,
            }),
            NormTopkProb = json.Bool("norm_topk_prob") ?? true,
            NGroup = groups,
            TopkGroup = chosenGroups,
        };
    }

    private static int HeadDim(ConfigReader json, ModelConfig config)
    {
        int heads = config.NumAttentionHeads;
        if (heads % config.NumKeyValueHeads != 0)
            throw json.Wrong($"'num_attention_heads' = {heads} is no multiple of 'num_key_value_heads' = {config.NumKeyValueHeads}.");
        if (json.Int("head_dim", 1) is { } given)
            return given;
        if (config.HiddenSize % heads != 0)
            throw json.Wrong($"'head_dim' is absent and 'hidden_size' = {config.HiddenSize} is no multiple of 'num_attention_heads' = {heads}.");
        return config.HiddenSize / heads;
    }

    private static int RotaryDim(ConfigReader json, int headDim, float factor)
    {
        double rotary = (double)headDim * factor;
        if (factor > 1 || rotary < 2 || rotary % 2 != 0)
            throw json.Wrong($"'partial_rotary_factor' {factor} of 'head_dim' {headDim} gives {rotary} rotated dimensions; expected an even number from 2 to {headDim}.");
        return (int)rotary;
    }

    // rope_parameters wins over the older top-level keys.
    private static float RopeTheta(ConfigReader json)
    {
        ConfigReader? parameters = json.Object("rope_parameters");
        CheckRopeType(parameters);
        CheckRopeType(json.Object("rope_scaling"));
        return parameters?.Float("rope_theta", positive: true) ?? json.Float("rope_theta", positive: true) ?? 10000;
    }

    private static float? PartialRotaryFactor(ConfigReader json) =>
        json.Object("rope_parameters")?.Float("partial_rotary_factor", positive: true) ?? json.Float("partial_rotary_factor", positive: true);

    private static void CheckRopeType(ConfigReader? rope)
    {
        if (rope is not { } json)
            return;
        foreach (string key in (ReadOnlySpan<string>)["rope_type", "type"])
        {
            if (json.Text(key) is { } type && type != "default")
                throw json.Unsupported(key, type, "default (no scaling)");
        }
    }

    private static bool[] LayerTypes(ConfigReader json, int layers, int firstSparse)
    {
        if (json.Texts("mlp_layer_types") is not { } types)
            return [.. Enumerable.Range(0, layers).Select(i => i >= firstSparse)];
        if (types.Length != layers)
            throw json.Wrong($"'mlp_layer_types' has {types.Length} entries for {layers} layers.");
        return [.. types.Select(type => type switch
        {
            "dense" => false,
            "sparse" => true,
            _ => throw json.Unsupported("mlp_layer_types", type, "dense or sparse"),
        })];
    }

    /// <summary>Which layers have their own indexer: <c>indexer_types</c>, else <c>index_topk_pattern</c>, else frequency and offset.</summary>
    private static bool[] IndexerTypes(ConfigReader json, int layers)
    {
        bool[] full;
        if (json.Texts("indexer_types") is { } types)
        {
            full = [.. types.Select(type => Full(type, "indexer_types"))];
        }
        else if (json.TryGet("index_topk_pattern", out var pattern))
        {
            string[] letters = pattern.ValueKind == System.Text.Json.JsonValueKind.String
                ? [.. json.Text("index_topk_pattern")!.Select(letter => letter.ToString())]
                : json.Texts("index_topk_pattern")!;
            full = [.. letters.Select(letter => Full(letter, "index_topk_pattern"))];
        }
        else
        {
            int frequency = Math.Max(json.Int("index_topk_freq", 0) ?? 1, 1);
            int offset = json.Int("index_skip_topk_offset", int.MinValue) ?? 2;
            full = [.. Enumerable.Range(0, layers).Select(i => Math.Max((long)i - offset + 1, 0) % frequency == 0)];
        }

        if (full.Length != layers)
            throw json.Wrong($"the indexer types have {full.Length} entries for {layers} layers.");
        if (!full[0])
            throw json.Wrong("layer 0 is 'shared', but there is no earlier indexer whose choice it could reuse.");
        return full;

        bool Full(string type, string key) => type switch
        {
            "full" or "F" => true,
            "shared" or "S" => false,
            _ => throw json.Unsupported(key, type, "full or shared (F or S)"),
        };
    }
}
