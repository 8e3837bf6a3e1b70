using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Where the tokens of a batch go in a mixture-of-experts layer.</summary>
/// <param name="Experts">Chosen experts in ascending order, I32 [T, K].</param>
/// <param name="Weights">Their weights in that order, F32 [T, K]; carries the gradient back to the router.</param>
internal readonly record struct Routes(Tensor Experts, Tensor Weights);

/// <summary>Sigmoid router: chooses by biased scores, weighs by unbiased ones.</summary>
internal static unsafe class Routing
{
    /// <param name="c">Context.</param>
    /// <param name="x">Normalised hidden states, [T, D].</param>
    /// <param name="gate">Router matrix, [E, D], fp32.</param>
    /// <param name="bias"><c>e_score_correction_bias</c>, [E]: shifts the choice, not the weights, and receives no gradient.</param>
    /// <param name="shape">K, groups, normalisation and factor.</param>
    /// <param name="name">Prefix for observers.</param>
    public static Routes Forward(Compute c, Tensor x, Parameter gate, Parameter bias, in RouterShape shape, string name)
    {
        (int tokens, int experts) = (x.Shape[0], gate.Shape[0]);
        Tensor logits = Linear.Forward(c, x, gate);
        Tensor scores = c.Workspace.F32(tokens, experts);
        Tensor chosen = c.Workspace.Allocate(DType.I32, tokens, shape.Chosen);
        Tensor weights = c.Workspace.F32(tokens, shape.Chosen);
        Router.Forward(c.Team, shape, logits.F32Pointer, bias.Vector, tokens, (int*)chosen.Data, weights.F32Pointer, scores.F32Pointer);
        c.Observe(name, "router_logits", logits);
        c.Observe(name, "router_scores", scores);
        c.Observe(name, "experts", chosen);
        c.Observe(name, "expert_weights", weights);
        c.RouterForward?.Invoke(bias, logits, chosen);
        c.Tape?.Record(new Entry(c, shape, bias, logits, chosen, weights));
        return new Routes(chosen, weights);
    }

    private sealed class Entry(Compute c, RouterShape shape, Parameter bias, Tensor logits, Tensor chosen, Tensor weights) : TapeEntry
    {
        public override void Backward()
        {
            if (weights.Gradient is not { } dweights)
                return;
            Tensor dlogits = c.Workspace.F32(logits.Shape);
            Router.Backward(c.Team, shape, logits.F32Pointer, (int*)chosen.Data, dweights.F32Pointer, logits.Shape[0], dlogits.F32Pointer);
            c.RouterBackward?.Invoke(bias, logits, dlogits);
            c.AddGradient(logits, dlogits);
        }
    }
}
