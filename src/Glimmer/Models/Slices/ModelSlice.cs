namespace Glimmer.Models.Slices;

/// <summary>A few layers with the real shapes of a published model, to be filled with random weights: what a machine can hold of a model that it cannot.</summary>
/// <param name="Name">How it is asked for.</param>
/// <param name="Description">What it is, in a line.</param>
/// <param name="ConfigJson">Its configuration with Hugging Face keys.</param>
/// <remarks>Vocabularies are short, so that the output matrix has about the share of a token's bytes that it has in the whole model.</remarks>
public sealed record ModelSlice(string Name, string Description, string ConfigJson)
{
    /// <summary>All slices.</summary>
    public static IReadOnlyList<ModelSlice> All { get; } =
    [
        new("air-mtp", "layer shapes of GLM-4.5-Air: 1 dense and 2 MoE layers, and the MTP layer", GroupedQuery(
            vocabulary: 4096, hidden: 4096, layers: 3, dense: 1, intermediate: 10944, width: 1408, experts: 128, chosen: 8, heads: 96, kvHeads: 8, headDim: 128)),
        new("mid-mtp", "2 billion parameters of the same architecture: 1 dense and 12 MoE layers, and the MTP layer", GroupedQuery(
            vocabulary: 8192, hidden: 1536, layers: 13, dense: 1, intermediate: 4096, width: 512, experts: 64, chosen: 6, heads: 12, kvHeads: 4, headDim: 128)),
        new("glm5-dsa", "layer shapes of GLM-5 with sparse attention: 3 dense layers and 1 MoE layer of 256 experts", Sparse(
            vocabulary: 4096, hidden: 6144, layers: 4, dense: 3, intermediate: 12288, width: 2048, experts: 256, chosen: 8, heads: 64,
            queryRank: 2048, latent: 512, nope: 192, rope: 64, value: 256, indexHeads: 32, indexDim: 128, topk: 2048)),
        new("glm5-dsa-thin", "the same with 1 dense layer and 1 MoE layer of 32 experts: equal work for a token, an eighth of the memory", Sparse(
            vocabulary: 4096, hidden: 6144, layers: 2, dense: 1, intermediate: 12288, width: 2048, experts: 32, chosen: 8, heads: 64,
            queryRank: 2048, latent: 512, nope: 192, rope: 64, value: 256, indexHeads: 32, indexDim: 128, topk: 2048)),
        new("tiny-mtp", "a toy of the architecture of GLM-4.5 with an MTP layer, for trying things out", GroupedQuery(
            vocabulary: 512, hidden: 128, layers: 3, dense: 1, intermediate: 256, width: 64, experts: 16, chosen: 4, heads: 4, kvHeads: 2, headDim: 32)),
        new("tiny-dsa", "a toy of the architecture of GLM-5", Sparse(
            vocabulary: 512, hidden: 128, layers: 3, dense: 1, intermediate: 256, width: 64, experts: 16, chosen: 4, heads: 4,
            queryRank: 64, latent: 64, nope: 32, rope: 32, value: 64, indexHeads: 4, indexDim: 64, topk: 32)),
    ];

    /// <summary>The slice of a name.</summary>
    /// <exception cref="UnsupportedModelException">There is none.</exception>
    public static ModelSlice Find(string name) => All.FirstOrDefault(slice => string.Equals(slice.Name, name, StringComparison.OrdinalIgnoreCase))
        ?? throw new UnsupportedModelException($"There is no slice '{name}'; choose one of {string.Join(", ", All.Select(slice => slice.Name))}.");

    private static string GroupedQuery(
        int vocabulary, int hidden, int layers, int dense, int intermediate, int width, int experts, int chosen, int heads, int kvHeads, int headDim) => $$"""
        {
          "architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "vocab_size": {{vocabulary}}, "hidden_size": {{hidden}},
          "num_hidden_layers": {{layers}}, "first_k_dense_replace": {{dense}}, "num_nextn_predict_layers": 1, "intermediate_size": {{intermediate}},
          "moe_intermediate_size": {{width}}, "n_routed_experts": {{experts}}, "n_shared_experts": 1, "num_experts_per_tok": {{chosen}},
          "routed_scaling_factor": 1.0, "norm_topk_prob": true, "n_group": 1, "topk_group": 1, "num_attention_heads": {{heads}},
          "num_key_value_heads": {{kvHeads}}, "head_dim": {{headDim}}, "attention_bias": true, "use_qk_norm": false, "partial_rotary_factor": 0.5,
          "rope_theta": 1000000.0, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": false
        }
        """;

    private static string Sparse(
        int vocabulary, int hidden, int layers, int dense, int intermediate, int width, int experts, int chosen, int heads, int queryRank, int latent, int nope,
        int rope, int value, int indexHeads, int indexDim, int topk) => $$"""
        {
          "architectures": ["GlmMoeDsaForCausalLM"], "model_type": "glm_moe_dsa", "vocab_size": {{vocabulary}}, "hidden_size": {{hidden}},
          "num_hidden_layers": {{layers}}, "first_k_dense_replace": {{dense}}, "intermediate_size": {{intermediate}}, "moe_intermediate_size": {{width}},
          "n_routed_experts": {{experts}}, "n_shared_experts": 1, "num_experts_per_tok": {{chosen}}, "routed_scaling_factor": 2.5, "norm_topk_prob": true,
          "n_group": 1, "topk_group": 1, "scoring_func": "sigmoid", "num_attention_heads": {{heads}}, "num_key_value_heads": {{heads}},
          "attention_bias": false, "q_lora_rank": {{queryRank}}, "kv_lora_rank": {{latent}}, "qk_nope_head_dim": {{nope}}, "qk_rope_head_dim": {{rope}},
          "v_head_dim": {{value}}, "rope_theta": 1000000.0, "rope_interleave": true, "indexer_rope_interleave": true, "index_n_heads": {{indexHeads}},
          "index_head_dim": {{indexDim}}, "index_topk": {{topk}}, "max_position_embeddings": 202752, "rms_norm_eps": 1e-5, "hidden_act": "silu",
          "tie_word_embeddings": false
        }
        """;
}
