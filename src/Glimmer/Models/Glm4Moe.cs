using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>
/// GLM-4.5, 4.5-Air, 4.6 and 4.7: grouped-query attention with partial half-split rotation and, in the 355B models, normalised query and key heads; dense
/// first layers, then mixtures of experts. A <c>llama</c> checkpoint is the same with dense layers only and full rotation.
/// </summary>
/// <remarks>Reference <c>Glm4MoeForCausalLM</c> of transformers 5.24; report arXiv 2508.06471.</remarks>
internal sealed class Glm4Moe : CausalLm
{
    public Glm4Moe(ModelConfig config, ParameterLoader load) : base(config, load) => Build(load);

    private protected override DecoderLayer NewLayer(ParameterLoader load, int index) => new Layer(Config, load, Rotation, index);

    private protected override IReadOnlyList<CacheSlot> Slots(int layers) =>
        [.. Enumerable.Repeat(new CacheSlot(Config.NumKeyValueHeads, Config.HeadDim, Config.HeadDim), layers)];

    private protected override Rotation NewRotation() => new(Config.RopeTheta, Config.RotaryDim, RopePairing.HalfSplit);

    private sealed class Layer : DecoderLayer
    {
        private readonly ModelConfig _config;
        private readonly Rotation _rotation;
        private readonly AttentionShape _shape;
        private readonly Parameter _q;
        private readonly Parameter _k;
        private readonly Parameter _v;
        private readonly Parameter _o;
        private readonly Parameter? _qBias;
        private readonly Parameter? _kBias;
        private readonly Parameter? _vBias;
        private readonly Parameter? _qNorm;
        private readonly Parameter? _kNorm;

        public Layer(ModelConfig config, ParameterLoader load, Rotation rotation, int index) : base(config, load, index)
        {
            (_config, _rotation) = (config, rotation);
            (int hidden, int dim, int heads, int kvHeads) = (config.HiddenSize, config.HeadDim, config.NumAttentionHeads, config.NumKeyValueHeads);
            _shape = new AttentionShape(heads, kvHeads, dim, dim, Scale: 1f / MathF.Sqrt(dim));
            string prefix = $"model.layers.{index}.self_attn.";
            _q = load.Matrix(prefix + "q_proj.weight", heads * dim, hidden);
            _k = load.Matrix(prefix + "k_proj.weight", kvHeads * dim, hidden);
            _v = load.Matrix(prefix + "v_proj.weight", kvHeads * dim, hidden);
            _o = load.Matrix(prefix + "o_proj.weight", hidden, heads * dim);
            if (config.AttentionBias)
            {
                _qBias = load.Vector(prefix + "q_proj.bias", heads * dim);
                _kBias = load.Vector(prefix + "k_proj.bias", kvHeads * dim);
                _vBias = load.Vector(prefix + "v_proj.bias", kvHeads * dim);
            }

            if (config.UseQkNorm)
            {
                _qNorm = load.Vector(prefix + "q_norm.weight", dim);
                _kNorm = load.Vector(prefix + "k_norm.weight", dim);
            }
        }

        protected override Tensor Attend(Compute c, Tensor h, ForwardPass pass)
        {
            (Tensor q, Tensor k, Tensor v) = Linear.Triple(c, h, (_q, _qBias), (_k, _kBias), (_v, _vBias)); // [T, H Dh], [T, Hkv Dh], [T, Hkv Dh]
            if (_qNorm is not null)
            {
                q = Normalisation.Forward(c, q, _qNorm, _config.RmsNormEps); // a head at a time, before the rotation
                k = Normalisation.Forward(c, k, _kNorm!, _config.RmsNormEps);
            }

            _rotation.Forward(c, q, _config.HeadDim, pass.Positions);
            _rotation.Forward(c, k, _config.HeadDim, pass.Positions);
            c.Observe(Name, "q", q);
            c.Observe(Name, "k", k);
            c.Observe(Name, "v", v);
            Tensor heads = CausalAttention.Forward(c, pass.Batch, Index, _shape, q, k, v); // [T, H Dh]
            c.Observe(Name, "attn_heads", heads);
            return Linear.Forward(c, heads, _o);
        }
    }
}
