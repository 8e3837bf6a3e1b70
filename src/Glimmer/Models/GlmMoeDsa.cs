using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>
/// GLM-5, 5.1 and 5.2: multi-head latent attention over the keys that the lightning indexer chooses for each token (DSA). In
/// GLM-5.2 only some layers have an indexer; the others attend to the choice of the nearest layer before them that has one.
/// </summary>
/// <remarks>Reference <c>GlmMoeDsaForCausalLM</c> of transformers 5.24; report arXiv 2602.15763; DSA: DeepSeek-V3.2-Exp.</remarks>
internal sealed class GlmMoeDsa : CausalLm
{
    public GlmMoeDsa(ModelConfig config, ParameterLoader load) : base(config, load) => Build(load);

    private protected override DecoderLayer NewLayer(ParameterLoader load, int index) => new Layer(Config, load, Rotation, index);

    // The latents of all layers, then the index keys of all layers (empty pages where a layer has no indexer).
    private protected override IReadOnlyList<CacheSlot> Slots(int layers) =>
    [
        .. Enumerable.Repeat(MlaAttention.Slot(Config), layers),
        .. Enumerable.Range(0, layers).Select(layer => Config.HasIndexer(layer) ? new CacheSlot(1, Config.IndexHeadDim, 0) : default),
    ];

    private protected override Rotation NewRotation() => new(Config.RopeTheta, Config.RotaryDim, RopePairing.Interleaved);

    private sealed class Layer : DecoderLayer
    {
        private readonly MlaAttention _attention;
        private readonly LightningIndexer? _indexer;
        private readonly int _slots;

        public Layer(ModelConfig config, ParameterLoader load, Rotation rotation, int index) : base(config, load, index)
        {
            _attention = new MlaAttention(config, load, rotation, index);
            _indexer = config.HasIndexer(index) ? new LightningIndexer(config, load, rotation, index) : null;
            _slots = load.Layers;
        }

        public override void Dispose() => _attention.Dispose();

        protected override Tensor Attend(Compute c, Tensor h, ForwardPass pass)
        {
            Tensor latent = _attention.QueryLatent(c, h)!;
            KeySelection? selection = pass.Selection(Index);
            _indexer?.Choose(c, h, latent, pass, _slots + Index, pass.Fixed is null ? selection : null);
            if (selection is not null)
                c.Observe(Name, "index_positions", selection.Positions);
            return _attention.Forward(c, h, latent, pass, Index, selection, _indexer);
        }
    }
}
