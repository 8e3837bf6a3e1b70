using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>GLM-4.7-Flash: multi-head latent attention over all visible keys; a dense first layer, then mixtures of experts.</summary>
/// <remarks>Reference <c>Glm4MoeLiteForCausalLM</c> of transformers 5.24.</remarks>
internal sealed class Glm4MoeLite : CausalLm
{
    public Glm4MoeLite(ModelConfig config, ParameterLoader load) : base(config, load) => Build(load);

    private protected override DecoderLayer NewLayer(ParameterLoader load, int index) => new Layer(Config, load, Rotation, index);

    private protected override IReadOnlyList<CacheSlot> Slots(int layers) => [.. Enumerable.Repeat(MlaAttention.Slot(Config), layers)];

    private protected override Rotation NewRotation() => new(Config.RopeTheta, Config.RotaryDim, RopePairing.Interleaved);

    private sealed class Layer(ModelConfig config, ParameterLoader load, Rotation rotation, int index) : DecoderLayer(config, load, index)
    {
        private readonly MlaAttention _attention = new(config, load, rotation, index);

        public override void Dispose() => _attention.Dispose();

        protected override Tensor Attend(Compute c, Tensor h, ForwardPass pass) =>
            _attention.Forward(c, h, _attention.QueryLatent(c, h), pass, Index, selection: null);
    }
}
