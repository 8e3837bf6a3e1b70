namespace Glimmer.Models.Gguf;

/// <summary>The groups of tensor names that architectures share, GGUF beside Hugging Face.</summary>
/// <remarks>Sources: ggml-org/llama.cpp gguf-py/gguf/tensor_mapping.py and conversion/*.py; transformers' modelling classes for the right-hand names.</remarks>
internal static class GgufNames
{
    private const string Block = "blk.{0}.";
    private const string Layer = "model.layers.{0}.";
    private const string Attention = Layer + "self_attn.";
    private const string Mlp = Layer + "mlp.";

    /// <summary>Embedding, final norm and head.</summary>
    public static GgufName[] Global =>
    [
        new("token_embd.weight", "model.embed_tokens.weight", GgufScope.Global, s => [s.Vocab, s.Hidden]),
        new("output_norm.weight", "model.norm.weight", GgufScope.Global, s => [s.Hidden]),
        new("output.weight", "lm_head.weight", GgufScope.Global, s => [s.Vocab, s.Hidden], When: s => !s.Tied),
    ];

    /// <summary>The two norms of a layer; the second has another GGUF name in glm4moe files.</summary>
    public static GgufName[] Norms(string second) =>
    [
        new(Block + "attn_norm.weight", Layer + "input_layernorm.weight", GgufScope.Layer, s => [s.Hidden]),
        new(Block + second + ".weight", Layer + "post_attention_layernorm.weight", GgufScope.Layer, s => [s.Hidden]),
    ];

    /// <summary>Grouped-query attention.</summary>
    public static GgufName[] GroupedQueryAttention(bool permuted) =>
    [
        new(Block + "attn_q.weight", Attention + "q_proj.weight", GgufScope.Layer,
            s => [s.Heads * s.HeadDim, s.Hidden], permuted ? GgufForm.QueryRows : GgufForm.AsIs),
        new(Block + "attn_k.weight", Attention + "k_proj.weight", GgufScope.Layer,
            s => [s.KvHeads * s.HeadDim, s.Hidden], permuted ? GgufForm.KeyRows : GgufForm.AsIs),
        new(Block + "attn_v.weight", Attention + "v_proj.weight", GgufScope.Layer, s => [s.KvHeads * s.HeadDim, s.Hidden]),
        new(Block + "attn_output.weight", Attention + "o_proj.weight", GgufScope.Layer, s => [s.Hidden, s.Heads * s.HeadDim]),
    ];

    /// <summary>Biases and head norms of glm4_moe.</summary>
    public static GgufName[] AttentionExtras =>
    [
        new(Block + "attn_q.bias", Attention + "q_proj.bias", GgufScope.Layer, s => [s.Heads * s.HeadDim], When: s => s.AttentionBias),
        new(Block + "attn_k.bias", Attention + "k_proj.bias", GgufScope.Layer, s => [s.KvHeads * s.HeadDim], When: s => s.AttentionBias),
        new(Block + "attn_v.bias", Attention + "v_proj.bias", GgufScope.Layer, s => [s.KvHeads * s.HeadDim], When: s => s.AttentionBias),
        new(Block + "attn_q_norm.weight", Attention + "q_norm.weight", GgufScope.Layer, s => [s.HeadDim], When: s => s.QkNorm),
        new(Block + "attn_k_norm.weight", Attention + "k_norm.weight", GgufScope.Layer, s => [s.HeadDim], When: s => s.QkNorm),
    ];

    /// <summary>Multi-head latent attention.</summary>
    public static GgufName[] LatentAttention =>
    [
        new(Block + "attn_q_a.weight", Attention + "q_a_proj.weight", GgufScope.Layer, s => [s.QLoraRank, s.Hidden]),
        new(Block + "attn_q_a_norm.weight", Attention + "q_a_layernorm.weight", GgufScope.Layer, s => [s.QLoraRank]),
        new(Block + "attn_q_b.weight", Attention + "q_b_proj.weight", GgufScope.Layer, s => [s.Heads * (s.NopeDim + s.RopeDim), s.QLoraRank]),
        new(Block + "attn_kv_a_mqa.weight", Attention + "kv_a_proj_with_mqa.weight", GgufScope.Layer, s => [s.KvLoraRank + s.RopeDim, s.Hidden]),
        new(Block + "attn_kv_a_norm.weight", Attention + "kv_a_layernorm.weight", GgufScope.Layer, s => [s.KvLoraRank]),
        new(Block + "attn_k_b.weight", Attention + "kv_b_proj.weight", GgufScope.Layer,
            s => [s.Heads * (s.NopeDim + s.ValueDim), s.KvLoraRank], GgufForm.LatentKv),
        new(Block + "attn_output.weight", Attention + "o_proj.weight", GgufScope.Layer, s => [s.Hidden, s.Heads * s.ValueDim]),
    ];

    /// <summary>The indexer of sparse attention.</summary>
    public static GgufName[] Indexer =>
    [
        new(Block + "indexer.k_norm.weight", Attention + "indexer.k_norm.weight", GgufScope.Indexer, s => [s.IndexDim]),
        new(Block + "indexer.k_norm.bias", Attention + "indexer.k_norm.bias", GgufScope.Indexer, s => [s.IndexDim]),
        new(Block + "indexer.proj.weight", Attention + "indexer.weights_proj.weight", GgufScope.Indexer, s => [s.IndexHeads, s.Hidden]),
        new(Block + "indexer.attn_k.weight", Attention + "indexer.wk.weight", GgufScope.Indexer, s => [s.IndexDim, s.Hidden]),
        new(Block + "indexer.attn_q_b.weight", Attention + "indexer.wq_b.weight", GgufScope.Indexer, s => [s.IndexHeads * s.IndexDim, s.QLoraRank]),
    ];

    /// <summary>Dense feed-forward layers.</summary>
    public static GgufName[] Dense =>
    [
        new(Block + "ffn_gate.weight", Mlp + "gate_proj.weight", GgufScope.Dense, s => [s.Intermediate, s.Hidden]),
        new(Block + "ffn_up.weight", Mlp + "up_proj.weight", GgufScope.Dense, s => [s.Intermediate, s.Hidden]),
        new(Block + "ffn_down.weight", Mlp + "down_proj.weight", GgufScope.Dense, s => [s.Hidden, s.Intermediate]),
    ];

    /// <summary>Router, routed and shared experts.</summary>
    public static GgufName[] Experts =>
    [
        new(Block + "ffn_gate_inp.weight", Mlp + "gate.weight", GgufScope.Sparse, s => [s.Experts, s.Hidden]),
        new(Block + "exp_probs_b.bias", Mlp + "gate.e_score_correction_bias", GgufScope.Sparse, s => [s.Experts]),
        new(Block + "ffn_gate_exps.weight", Mlp + "experts.{1}.gate_proj.weight", GgufScope.Sparse, s => [s.ExpertWidth, s.Hidden], GgufForm.ExpertStack),
        new(Block + "ffn_up_exps.weight", Mlp + "experts.{1}.up_proj.weight", GgufScope.Sparse, s => [s.ExpertWidth, s.Hidden], GgufForm.ExpertStack),
        new(Block + "ffn_down_exps.weight", Mlp + "experts.{1}.down_proj.weight", GgufScope.Sparse, s => [s.Hidden, s.ExpertWidth], GgufForm.ExpertStack),
        new(Block + "ffn_gate_shexp.weight", Mlp + "shared_experts.gate_proj.weight", GgufScope.Sparse,
            s => [s.ExpertWidth * s.SharedExperts, s.Hidden], When: s => s.SharedExperts > 0),
        new(Block + "ffn_up_shexp.weight", Mlp + "shared_experts.up_proj.weight", GgufScope.Sparse,
            s => [s.ExpertWidth * s.SharedExperts, s.Hidden], When: s => s.SharedExperts > 0),
        new(Block + "ffn_down_shexp.weight", Mlp + "shared_experts.down_proj.weight", GgufScope.Sparse,
            s => [s.Hidden, s.ExpertWidth * s.SharedExperts], When: s => s.SharedExperts > 0),
    ];

    /// <summary>What the MTP layer has beside a usual sparse layer. Its own embedding and head are optional and used where present.</summary>
    public static GgufName[] Nextn =>
    [
        new(Block + "nextn.eh_proj.weight", Layer + "eh_proj.weight", GgufScope.Nextn, s => [s.Hidden, 2 * s.Hidden]),
        new(Block + "nextn.embed_tokens.weight", Layer + "embed_tokens.weight", GgufScope.Nextn, s => [s.Vocab, s.Hidden], Optional: true),
        new(Block + "nextn.enorm.weight", Layer + "enorm.weight", GgufScope.Nextn, s => [s.Hidden]),
        new(Block + "nextn.hnorm.weight", Layer + "hnorm.weight", GgufScope.Nextn, s => [s.Hidden]),
        new(Block + "nextn.shared_head_head.weight", Layer + "shared_head.head.weight", GgufScope.Nextn, s => [s.Vocab, s.Hidden], Optional: true),
        new(Block + "nextn.shared_head_norm.weight", Layer + "shared_head.norm.weight", GgufScope.Nextn, s => [s.Hidden]),
    ];
}
