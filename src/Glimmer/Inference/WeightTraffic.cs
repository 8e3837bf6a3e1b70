using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;

namespace Glimmer.Inference;

/// <summary>Bytes of packed weights by how often a pass reads them. Embedding rows count as nothing.</summary>
/// <param name="Fixed">Trunk: attention, dense layers, router, shared experts, norms; once a pass.</param>
/// <param name="Head">Output matrix; once a pass that wants logits.</param>
/// <param name="Expert">One routed expert; 0 for a model without.</param>
/// <param name="MoeLayers">MoE layers of the trunk.</param>
/// <param name="Chosen">Experts of a token.</param>
/// <param name="DraftFixed">MTP layer without routed experts.</param>
/// <param name="DraftHead">Output matrix of the MTP layer.</param>
/// <param name="Total">All weights in memory.</param>
internal sealed record WeightTraffic(long Fixed, long Head, double Expert, int MoeLayers, int Chosen, long DraftFixed, long DraftHead, long Total)
{
    /// <summary>Bytes of a pass of the trunk with logits over one token.</summary>
    public double Single => Pass(Chosen);

    /// <summary>Bytes of a pass of the trunk with logits that reads so many different experts a MoE layer.</summary>
    public double Pass(double experts) => Fixed + Head + (MoeLayers * experts * Expert);

    /// <summary>
    /// Cost of a step that verifies so many drafts, in steps without any: bytes, with experts that tokens choose independently of each other, and a tenth for the arithmetic of several
    /// tokens, which memory does not hide.
    /// </summary>
    /// <param name="most">Most drafts.</param>
    /// <param name="experts">Routed experts of a layer.</param>
    /// <param name="layer">Whether the MTP layer makes the drafts; else they cost nothing.</param>
    /// <returns>[most + 1], the first 1; null for a model so small that its weights stay in the processor's caches, where bytes are not what a step costs.</returns>
    public float[]? DraftCosts(int most, int experts, bool layer)
    {
        const long Caches = 32 << 20;
        const double Arithmetic = 1.1; // measured beyond the bytes on a slice of GLM-4.5-Air in Q4_0, 2 threads: 1.05 to 1.23
        if (Total < Caches)
            return null;
        var costs = new float[most + 1];
        for (int drafts = 0; drafts <= most; drafts++)
        {
            double union = experts == 0 ? 0 : experts * (1 - Math.Pow(1 - ((double)Chosen / experts), drafts + 1));
            // The layer runs over the tokens that became final, at best all of them, then over each further draft.
            double draft = !layer || drafts == 0 ? 0 : DraftFixed + (union * Expert) + ((drafts - 1) * (DraftFixed + (Chosen * Expert))) + (drafts * DraftHead);
            costs[drafts] = (float)((drafts == 0 ? 1 : Arithmetic) * (Pass(union) + draft) / Single);
        }

        return costs;
    }

    public static WeightTraffic Of(CausalLm model, ThreadTeam team)
    {
        ModelConfig config = model.Config;
        long fixedBytes = 0, routed = 0, draft = 0, total = 0;
        foreach (Parameter parameter in model.Parameters)
        {
            long bytes = BytesOf(parameter, team);
            total += bytes;
            if (ReferenceEquals(parameter, model.EmbeddingMatrix) || ReferenceEquals(parameter, model.Head))
                continue;
            bool isRouted = parameter.Name.Contains(".mlp.experts.", StringComparison.Ordinal);
            bool isDraft = Benchmarks.ExpertReads.LayerOf(parameter.Name) >= config.NumHiddenLayers;
            if (isRouted)
                routed += isDraft ? 0 : bytes;
            else if (!isDraft)
                fixedBytes += bytes;
            else if (!parameter.Name.EndsWith("embed_tokens.weight", StringComparison.Ordinal) && !parameter.Name.EndsWith("shared_head.head.weight", StringComparison.Ordinal))
                draft += bytes;
        }

        int moe = config.SparseLayers.Count(sparse => sparse);
        long head = BytesOf(model.Head, team);
        Parameter? own = model.Parameters.FirstOrDefault(parameter => parameter.Name.EndsWith("shared_head.head.weight", StringComparison.Ordinal));
        return new WeightTraffic(
            fixedBytes, head, moe == 0 ? 0 : (double)routed / moe / config.NRoutedExperts, moe, moe == 0 ? 0 : config.NumExpertsPerTok, draft,
            (own is null ? head : BytesOf(own, team)) * (model.NextToken?.DraftCount ?? 1) / (model.NextToken is null ? 1 : config.VocabSize), total);
    }

    private static long BytesOf(Parameter parameter, ThreadTeam team) =>
        parameter.Value is { } value ? value.Count * sizeof(float) : parameter.Packed(team).Bytes;
}
