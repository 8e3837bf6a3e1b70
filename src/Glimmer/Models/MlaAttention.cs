using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>
/// Multi-head latent attention in absorbed form: the cache holds one latent and one rotated key a token, all heads attend to it, and the
/// up-projections of keys and values are applied to queries and to the result instead.
/// </summary>
/// <remarks>r = KvLoraRank, n = QkNopeHeadDim, p = QkRopeHeadDim, v = VHeadDim. Reference <c>Glm4MoeLiteAttention</c> (expanded form there).</remarks>
internal sealed class MlaAttention : IDisposable
{
    private readonly ModelConfig _config;
    private readonly Rotation _rotation;
    private readonly AttentionShape _shape;
    private readonly string _name;
    private readonly Parameter _q; // q_b_proj, or q_proj without a query latent
    private readonly Parameter? _qDown;
    private readonly Parameter? _qDownBias;
    private readonly Parameter? _qNorm;
    private readonly Parameter _kvDown;
    private readonly Parameter? _kvDownBias;
    private readonly Parameter _kvNorm;
    private readonly LatentProjection _kvUp;
    private readonly Parameter _o;
    private readonly Parameter? _oBias;

    public MlaAttention(ModelConfig config, ParameterLoader load, Rotation rotation, int index)
    {
        (_config, _rotation, _name) = (config, rotation, $"layer{index}.");
        (int hidden, int heads, int rank) = (config.HiddenSize, config.NumAttentionHeads, config.KvLoraRank);
        (int nope, int rope, int value) = (config.QkNopeHeadDim, config.QkRopeHeadDim, config.VHeadDim);
        _shape = new AttentionShape(heads, 1, rank + rope, rank, Scale: 1f / MathF.Sqrt(nope + rope), ValueIsKeyPrefix: true);
        string prefix = $"model.layers.{index}.self_attn.";
        if (config.QLoraRank is { } qRank)
        {
            _qDown = load.Matrix(prefix + "q_a_proj.weight", qRank, hidden);
            _qDownBias = config.AttentionBias ? load.Vector(prefix + "q_a_proj.bias", qRank) : null;
            _qNorm = load.Vector(prefix + "q_a_layernorm.weight", qRank);
            _q = load.Matrix(prefix + "q_b_proj.weight", heads * (nope + rope), qRank);
        }
        else
        {
            _q = load.Matrix(prefix + "q_proj.weight", heads * (nope + rope), hidden);
        }

        _kvDown = load.Matrix(prefix + "kv_a_proj_with_mqa.weight", rank + rope, hidden);
        _kvDownBias = config.AttentionBias ? load.Vector(prefix + "kv_a_proj_with_mqa.bias", rank + rope) : null;
        _kvNorm = load.Vector(prefix + "kv_a_layernorm.weight", rank);
        _kvUp = new LatentProjection(load.Matrix(prefix + "kv_b_proj.weight", heads * (nope + value), rank), heads, nope, value);
        _o = load.Matrix(prefix + "o_proj.weight", hidden, heads * value);
        _oBias = config.AttentionBias ? load.Vector(prefix + "o_proj.bias", hidden) : null;
    }

    /// <summary>What a position stores: the key [r + p]; its first r elements are the value.</summary>
    public static CacheSlot Slot(ModelConfig config) => new(1, config.KvLoraRank + config.QkRopeHeadDim, config.KvLoraRank, ValueIsKeyPrefix: true);

    /// <summary>The normalised query latent, [T, q_lora_rank]; null without one.</summary>
    public Tensor? QueryLatent(Compute c, Tensor h)
    {
        if (_qDown is null)
            return null;
        Tensor latent = Normalisation.Forward(c, Linear.Forward(c, h, _qDown, _qDownBias), _qNorm!, _config.MlaLatentNormEps);
        c.Observe(_name, "q_latent", latent);
        return latent;
    }

    /// <param name="c">Context.</param>
    /// <param name="h">Normalised hidden states, [T, D].</param>
    /// <param name="queryLatent">From <see cref="QueryLatent"/>.</param>
    /// <param name="pass">Batch and positions.</param>
    /// <param name="slot">Cache slot of the layer.</param>
    /// <param name="selection">Keys chosen by the indexer; null for all visible keys.</param>
    /// <param name="indexer">The layer's indexer, which learns from this attention when the context says so; null for none.</param>
    /// <returns>[T, D].</returns>
    public Tensor Forward(Compute c, Tensor h, Tensor? queryLatent, ForwardPass pass, int slot, KeySelection? selection, LightningIndexer? indexer = null)
    {
        int heads = _config.NumAttentionHeads;
        Tensor q = Linear.Forward(c, queryLatent ?? h, _q);                                                         // [T, H (n + p)]
        Tensor query = LatentHeads.Query(c, q, _kvUp, heads, _config.QkNopeHeadDim, _rotation, pass.Positions);       // [T, H (r + p)]
        Tensor kv = Linear.Forward(c, h, _kvDown, _kvDownBias);                                                     // [T, r + p]
        Tensor key = LatentHeads.Key(c, kv, _kvNorm, _config.MlaLatentNormEps, _rotation, pass.Positions);            // [T, r + p]
        c.Observe(_name, "q_projected", q);
        c.Observe(_name, "query", query);
        c.Observe(_name, "key", key);
        if (c.IndexerObjective is { } objective)
            indexer?.Learn(c, objective, h, queryLatent!, pass, _shape, query, key, selection);
        Tensor context = CausalAttention.Forward(c, pass.Batch, slot, _shape, query, key, null, selection);         // [T, H r]
        Tensor values = LatentHeads.Value(c, context, _kvUp, heads, _config.VHeadDim);                              // [T, H v]
        c.Observe(_name, "attn_heads", values);
        return Linear.Forward(c, values, _o, _oBias);
    }

    public void Dispose() => _kvUp.Dispose();
}
