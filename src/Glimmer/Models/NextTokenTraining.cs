using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>The MTP loss: the layer is applied several times, each time one token further ahead, with the same parameters.</summary>
/// <remarks>
/// Depth k = 1, 2, ... takes for position i the token at i + k and the state z of depth k - 1 (the trunk's hidden state for k = 1), attends afresh within the document, and
/// predicts the token at i + k + 1. Each depth is a mean over its own targets. GLM-5 report (arXiv 2602.15763): three depths share one set of parameters.
/// </remarks>
internal static class NextTokenTraining
{
    /// <summary>Targets and weights of packed documents for the trunk (depth 0) or an MTP depth.</summary>
    /// <param name="documents">Tokens of each document.</param>
    /// <param name="masks">1 where a token counts as a target, or null for all.</param>
    /// <param name="depth">Row i of a document predicts token i + depth + 1; rows 0 to length - depth - 1 exist.</param>
    /// <param name="scale">Weights sum to this.</param>
    public static (int[] Targets, float[] Weights) Targets(IReadOnlyList<int[]> documents, IReadOnlyList<int[]>? masks, int depth, float scale = 1)
    {
        var targets = new List<int>();
        var weights = new List<float>();
        int total = 0;
        for (int d = 0; d < documents.Count; d++)
        {
            for (int i = 0; i < documents[d].Length - depth; i++)
            {
                int target = i + depth + 1;
                bool counts = target < documents[d].Length && (masks is null || masks[d][target] != 0);
                targets.Add(counts ? documents[d][target] : -1);
                weights.Add(counts ? 1 : 0);
                total += counts ? 1 : 0;
            }
        }

        for (int i = 0; i < weights.Count; i++)
            weights[i] *= scale / Math.Max(total, 1);
        return ([.. targets], [.. weights]);
    }

    /// <summary>Runs all depths.</summary>
    /// <param name="c">Context, with a tape for gradients.</param>
    /// <param name="head">The MTP layer.</param>
    /// <param name="hidden">Trunk hidden states of the packed documents, [T, D].</param>
    /// <param name="documents">Tokens of each document.</param>
    /// <param name="masks">Loss masks or null.</param>
    /// <param name="depths">Number of depths.</param>
    /// <param name="scale">Factor of each depth's mean.</param>
    /// <param name="observe">Sees z of each depth.</param>
    /// <returns>The loss of each depth, scaled.</returns>
    public static double[] Losses(
        Compute c, NextTokenHead head, Tensor hidden, IReadOnlyList<int[]> documents, IReadOnlyList<int[]>? masks, int depths, float scale,
        Action<int, Tensor>? observe = null)
    {
        var losses = new double[depths];
        Tensor state = hidden;
        for (int k = 1; k <= depths; k++)
        {
            var batch = new Batch();
            var rows = new List<int>();
            int first = 0;
            foreach (int[] document in documents)
            {
                // The state has one row more a document than this depth needs.
                int before = Math.Max(document.Length - (k - 1), 0);
                int count = document.Length - k;
                if (count > 0)
                {
                    batch.AddDocument(document.AsSpan(k));
                    rows.AddRange(Enumerable.Range(first, count));
                }

                first += before;
            }

            if (rows.Count == 0)
                break;
            state = head.Forward(c, batch, Rows.Gather(c, state, [.. rows]));
            observe?.Invoke(k, state);
            (int[] targets, float[] weights) = Targets([.. documents.Where(document => document.Length > k)], Kept(documents, masks, k), k, scale);
            losses[k - 1] = head.Loss(c, state, targets, weights);
        }

        return losses;
    }

    private static int[][]? Kept(IReadOnlyList<int[]> documents, IReadOnlyList<int[]>? masks, int depth) =>
        masks is null ? null : [.. masks.Where((_, d) => documents[d].Length > depth)];
}
