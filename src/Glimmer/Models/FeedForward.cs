using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>The feed-forward half of a layer: dense, or a mixture of experts.</summary>
internal abstract class FeedForward
{
    public static FeedForward Load(ModelConfig config, ParameterLoader load, int layer) =>
        config.IsSparse(layer)
            ? new MixtureOfExperts(config, load, $"model.layers.{layer}.mlp.")
            : new DenseFeedForward(load, $"model.layers.{layer}.mlp.", config.HiddenSize, config.IntermediateSize);

    /// <param name="c">Context.</param>
    /// <param name="h">Normalised hidden states, [T, D].</param>
    /// <param name="name">Prefix of observed values.</param>
    /// <returns>[T, D].</returns>
    public abstract Tensor Forward(Compute c, Tensor h, string name);
}

/// <summary><c>down(silu(gate(x)) * up(x))</c>.</summary>
internal sealed class DenseFeedForward(ParameterLoader load, string prefix, int hidden, int width) : FeedForward
{
    private readonly Parameter _gate = load.Matrix(prefix + "gate_proj.weight", width, hidden);
    private readonly Parameter _up = load.Matrix(prefix + "up_proj.weight", width, hidden);
    private readonly Parameter _down = load.Matrix(prefix + "down_proj.weight", hidden, width);

    public override Tensor Forward(Compute c, Tensor h, string name)
    {
        (Tensor gate, Tensor up) = Linear.Pair(c, h, _gate, _up);
        return Linear.Forward(c, GatedActivation.Forward(c, gate, up), _down);
    }
}

/// <summary>Routed experts chosen a token by the sigmoid router, plus shared experts that see every token.</summary>
/// <remarks>GLM-4.5 report (arXiv 2508.06471), section 2.1; reference <c>Glm4MoeMoE</c> of transformers.</remarks>
internal sealed class MixtureOfExperts : FeedForward
{
    private readonly Parameter _gate;
    private readonly Parameter _bias;
    private readonly RouterShape _router;
    private readonly Expert[] _experts;
    private readonly DenseFeedForward? _shared;
    private readonly ExpertStore? _store;
    private readonly StoredExpert[] _stored = [];

    // Many tokens choose nearly all experts anyway.
    private const int ForeseenTokens = 8;

    /// <summary>The next layer with experts; the store reads ahead what it will probably choose.</summary>
    public MixtureOfExperts? NextSparse { get; set; }

    public MixtureOfExperts(ModelConfig config, ParameterLoader load, string prefix)
    {
        (int hidden, int width, int experts) = (config.HiddenSize, config.MoeIntermediateSize, config.NRoutedExperts);
        _gate = load.Float32Matrix(prefix + "gate.weight", experts, hidden);
        _bias = load.Buffer(prefix + "gate.e_score_correction_bias", experts);
        _router = new RouterShape(experts, config.NumExpertsPerTok, config.NGroup, config.TopkGroup, config.NormTopkProb, config.RoutedScalingFactor);
        _experts = new Expert[experts];
        for (int e = 0; e < experts; e++)
        {
            string name = $"{prefix}experts.{e}.";
            bool isHere = load.HoldsExpert(e, experts);
            _experts[e] = new Expert(
                load.Matrix(name + "gate_proj.weight", width, hidden, isHere), load.Matrix(name + "up_proj.weight", width, hidden, isHere),
                load.Matrix(name + "down_proj.weight", hidden, width, isHere));
        }

        if (load.Experts is { } store)
            (_store, _stored) = (store, store.Add(_experts));
        if (config.NSharedExperts > 0)
            _shared = new DenseFeedForward(load, prefix + "shared_experts.", hidden, width * config.NSharedExperts);
    }

    public override Tensor Forward(Compute c, Tensor h, string name)
    {
        Routes routes = Routing.Forward(c, h, _gate, _bias, _router, name);
        // With a tape weights are trained, so they are in memory or read from the mapped file.
        ExpertStore? store = c.Tape is null ? _store : null;
        store?.Begin(_stored, routes.Experts.I32);
        if (store is not null && h.Shape[0] <= ForeseenTokens)
            NextSparse?.Foresee(c, h);
        Tensor? shared = _shared?.Forward(c, h, name);
        if (c.ExpertRanks is not null)
            return RankedExperts.Forward(c, h, routes, _experts, shared);
        return Experts.Forward(c, h, routes, _experts, shared, store);
    }

    // The residual stream changes little from layer to layer, so the router of this layer guesses from the hidden states of the layer before. A wrong guess costs a read.
    private void Foresee(Compute c, Tensor h)
    {
        Workspace.Mark mark = c.Workspace.Save();
        (Action<string, Tensor>? observer, c.Observer) = (c.Observer, null);
        (Action<Parameter, Tensor, Tensor>? forward, c.RouterForward) = (c.RouterForward, null);
        _store!.Foresee(_stored, Routing.Forward(c, h, _gate, _bias, _router, "").Experts.I32);
        (c.Observer, c.RouterForward) = (observer, forward);
        c.Workspace.Release(mark);
    }
}
