using System.Globalization;

namespace Glimmer.Models.Megatron;

/// <summary>The tensors of a model under the names of Megatron-core, with its fusions: q, k, v interleaved by group, gate and up one behind the other.</summary>
/// <remarks>
/// Names of the fused layout (Transformer Engine). Indexer and latent norms of DSA as mcore-bridge 1.6.5 spells them, or as slime does, which has the two 64-row halves of each index head swapped.
/// Checked element by element against slime's converters run both ways, and against a GPTModel of megatron-core 0.16.1.
/// </remarks>
internal sealed class MegatronLayout
{
    private readonly ModelConfig _config;
    private readonly bool _slime;
    private readonly Dictionary<string, LayoutTensor> _hf;
    private readonly List<MegatronTensor> _tensors = [];

    private MegatronLayout(ModelConfig config, bool hasNextToken, bool slime)
    {
        (_config, _slime) = (config, slime);
        _hf = CheckpointLayout.All(config, hasNextToken).ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
    }

    /// <summary>Lists the tensors.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="hasNextToken">Whether the MTP layer is there.</param>
    /// <param name="hasHead">Whether the output matrix is a tensor of its own.</param>
    /// <param name="slime">Whether the indexer is spelled as in slime.</param>
    public static IReadOnlyList<MegatronTensor> Of(ModelConfig config, bool hasNextToken, bool hasHead, bool slime = false)
    {
        var layout = new MegatronLayout(config, hasNextToken, slime);
        layout.Copy("embedding.word_embeddings.weight", "model.embed_tokens.weight");
        for (int i = 0; i < config.NumHiddenLayers; i++)
            layout.Layer(string.Create(CultureInfo.InvariantCulture, $"decoder.layers.{i}."), i);
        layout.Copy("decoder.final_layernorm.weight", "model.norm.weight");
        if (hasHead)
            layout.Copy("output_layer.weight", "lm_head.weight");
        if (hasNextToken)
            layout.NextToken();
        return layout._tensors;
    }

    private void NextToken()
    {
        string hf = string.Create(CultureInfo.InvariantCulture, $"model.layers.{_config.NumHiddenLayers}.");
        foreach (string name in (ReadOnlySpan<string>)["enorm.weight", "hnorm.weight", "eh_proj.weight"])
            Copy("mtp.layers.0." + name, hf + name);
        Copy("mtp.layers.0.final_layernorm.weight", hf + "shared_head.norm.weight");
        Layer("mtp.layers.0.transformer_layer.", _config.NumHiddenLayers);
    }

    private void Layer(string name, int index)
    {
        string hf = string.Create(CultureInfo.InvariantCulture, $"model.layers.{index}.");
        bool isSparse = _config.IsSparse(index);
        if (_config.Architecture == ModelArchitecture.Glm4Moe)
            GroupedQuery(name, hf);
        else
            Latent(name, hf, index);
        Copy(name + (isSparse ? "pre_mlp_layernorm.weight" : "mlp.linear_fc1.layer_norm_weight"), hf + "post_attention_layernorm.weight");
        if (!isSparse)
        {
            Gated(name + "mlp.linear_fc1.weight", name + "mlp.linear_fc2.weight", hf + "mlp.");
            return;
        }

        Copy(name + "mlp.router.weight", hf + "mlp.gate.weight");
        Copy(name + "mlp.router.expert_bias", hf + "mlp.gate.e_score_correction_bias");
        if (_config.NSharedExperts > 0)
            Gated(name + "mlp.shared_experts.linear_fc1.weight", name + "mlp.shared_experts.linear_fc2.weight", hf + "mlp.shared_experts.");
        for (int e = 0; e < _config.NRoutedExperts; e++)
        {
            string number = e.ToString(CultureInfo.InvariantCulture);
            Gated(name + "mlp.experts.linear_fc1.weight" + number, name + "mlp.experts.linear_fc2.weight" + number, $"{hf}mlp.experts.{number}.");
        }
    }

    private void GroupedQuery(string name, string hf)
    {
        Copy(name + "self_attention.linear_qkv.layer_norm_weight", hf + "input_layernorm.weight");
        string attention = hf + "self_attn.";
        Interleave(name + "self_attention.linear_qkv.weight", attention, ".weight");
        if (_hf.ContainsKey(attention + "q_proj.bias"))
            Interleave(name + "self_attention.linear_qkv.bias", attention, ".bias");
        CopyIfPresent(name + "self_attention.q_layernorm.weight", attention + "q_norm.weight");
        CopyIfPresent(name + "self_attention.k_layernorm.weight", attention + "k_norm.weight");
        Copy(name + "self_attention.linear_proj.weight", attention + "o_proj.weight");
    }

    private void Latent(string name, string hf, int index)
    {
        bool isSparse = _config.Architecture == ModelArchitecture.GlmMoeDsa;
        string attention = hf + "self_attn.", self = name + "self_attention.";
        Copy(name + "input_layernorm.weight", hf + "input_layernorm.weight");
        if (_config.QLoraRank is null)
        {
            Copy(self + "linear_q_proj.weight", attention + "q_proj.weight");
        }
        else
        {
            Copy(self + "linear_q_down_proj.weight", attention + "q_a_proj.weight");
            CopyIfPresent(self + "linear_q_down_proj.bias", attention + "q_a_proj.bias");
            Copy(self + "linear_q_up_proj.weight", attention + "q_b_proj.weight");
            Copy(self + (isSparse && !_slime ? "q_layernorm.weight" : "linear_q_up_proj.layer_norm_weight"), attention + "q_a_layernorm.weight");
        }

        Copy(self + "linear_kv_down_proj.weight", attention + "kv_a_proj_with_mqa.weight");
        CopyIfPresent(self + "linear_kv_down_proj.bias", attention + "kv_a_proj_with_mqa.bias");
        Copy(self + "linear_kv_up_proj.weight", attention + "kv_b_proj.weight");
        Copy(self + (isSparse && !_slime ? "kv_layernorm.weight" : "linear_kv_up_proj.layer_norm_weight"), attention + "kv_a_layernorm.weight");
        if (_config.HasIndexer(index))
            Indexer(self, attention + "indexer.");
        Copy(self + "linear_proj.weight", attention + "o_proj.weight");
        CopyIfPresent(self + "linear_proj.bias", attention + "o_proj.bias");
    }

    private void Indexer(string self, string hf)
    {
        string prefix = _slime ? self : self + "core_attention.indexer.", linear = _slime ? "" : "linear_";
        Halves(prefix + linear + "wq_b.weight", hf + "wq_b.weight");
        Halves(prefix + linear + "wk.weight", hf + "wk.weight");
        Copy(prefix + linear + "weights_proj.weight", hf + "weights_proj.weight");
        Halves(prefix + "k_norm.weight", hf + "k_norm.weight");
        Halves(prefix + "k_norm.bias", hf + "k_norm.bias");
    }

    private void CopyIfPresent(string name, string source)
    {
        if (_hf.ContainsKey(source))
            Copy(name, source);
    }

    private void Copy(string name, string source) => Add(name, [source], [new MegatronPiece(source, 0, Rows(source))]);

    private void Gated(string first, string second, string hf)
    {
        string gate = hf + "gate_proj.weight", up = hf + "up_proj.weight";
        Add(first, [gate, up], [new MegatronPiece(gate, 0, Rows(gate)), new MegatronPiece(up, 0, Rows(up))]);
        Copy(second, hf + "down_proj.weight");
    }

    // Each group: its query heads, then its key head, then its value head.
    private void Interleave(string name, string attention, string end)
    {
        string q = attention + "q_proj" + end, k = attention + "k_proj" + end, v = attention + "v_proj" + end;
        int groups = _config.NumKeyValueHeads, dim = _config.HeadDim, queries = Rows(q) / groups;
        var pieces = new List<MegatronPiece>(3 * groups);
        for (int g = 0; g < groups; g++)
            pieces.AddRange([new MegatronPiece(q, g * queries, queries), new MegatronPiece(k, g * dim, dim), new MegatronPiece(v, g * dim, dim)]);
        Add(name, [q, k, v], pieces);
    }

    // slime keeps the rotated half of each index head last.
    private void Halves(string name, string source)
    {
        if (!_slime)
        {
            Copy(name, source);
            return;
        }

        int head = _config.IndexHeadDim, half = _config.QkRopeHeadDim;
        var pieces = new List<MegatronPiece>();
        for (int row = 0; row < Rows(source); row += head)
            pieces.AddRange([new MegatronPiece(source, row + half, head - half), new MegatronPiece(source, row, half)]);
        Add(name, [source], pieces);
    }

    private int Rows(string source) => _hf[source].Rows;

    private void Add(string name, string[] sources, IReadOnlyList<MegatronPiece> pieces)
    {
        int rows = sources.Sum(Rows), columns = _hf[sources[0]].Columns;
        _tensors.Add(new MegatronTensor(name, columns == 0 ? [rows] : [rows, columns], pieces));
    }
}
