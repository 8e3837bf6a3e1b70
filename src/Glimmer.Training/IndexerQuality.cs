using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Batching;

namespace Glimmer.Training;

/// <summary>How well the indexers of a DSA model stand for its attention.</summary>
/// <param name="DenseLoss">Mean cross-entropy with attention over all visible keys.</param>
/// <param name="SparseLoss">Mean cross-entropy with attention over the chosen keys.</param>
/// <param name="DenseDivergence">KL of each indexer from dense attention, a mean over the tokens.</param>
/// <param name="SparseDivergence">KL of each indexer from the attention over the chosen keys, over these keys.</param>
/// <param name="RecallMass">Share of dense attention that lies on the chosen keys, a mean over the tokens that see more keys than are chosen.</param>
/// <param name="BestRecallMass">The same with the best possible choice.</param>
/// <param name="RecallSet">Share of the best possible choice among the chosen keys.</param>
public sealed record IndexerQuality(
    double DenseLoss, double SparseLoss, IReadOnlyList<double> DenseDivergence, IReadOnlyList<double> SparseDivergence, IReadOnlyList<double> RecallMass, IReadOnlyList<double> BestRecallMass,
    IReadOnlyList<double> RecallSet)
{
    /// <summary>The figures by the names that they have in the log; those of the indexers are means over the layers, NaN where no token sees more keys than are chosen.</summary>
    public IReadOnlyDictionary<string, double> Named() => new Dictionary<string, double>
    {
        ["dense_loss"] = DenseLoss,
        ["sparse_loss"] = SparseLoss,
        ["indexer_kl_dense"] = Mean(DenseDivergence),
        ["indexer_kl_chosen"] = Mean(SparseDivergence),
        ["indexer_recall"] = Mean(RecallMass),
        ["indexer_recall_best"] = Mean(BestRecallMass),
        ["indexer_recall_worst_layer"] = RecallMass.Count == 0 ? double.NaN : RecallMass.Min(),
        ["indexer_recall_set"] = Mean(RecallSet),
    };

    /// <summary>Measures a model between two steps. Parameters and gradients stay as they are.</summary>
    /// <param name="model">The model.</param>
    /// <param name="c">Context; begun here.</param>
    /// <param name="batch">What it is measured on.</param>
    /// <exception cref="ArgumentException">The model has no indexers, or nothing is to be predicted.</exception>
    public static IndexerQuality Of(CausalLm model, Compute c, IReadOnlyList<MicroBatch> batch)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (model.Config.IndexTopk == 0)
            throw new ArgumentException($"This {model.Config.ModelType} model has no indexers.", nameof(model));
        double targets = batch.Sum(micro => micro.WeightOf(0));
        long tokens = batch.Sum(micro => micro.TokenCount);
        if (targets == 0)
            throw new ArgumentException("Nothing in the batch is to be predicted: every target is masked.", nameof(batch));
        var losses = new double[2];
        IndexerObjective[] objectives = [new(IsDense: true, 0) { WantsRecall = true }, new(IsDense: false, 0)];
        for (int mode = 0; mode < 2; mode++)
        {
            c.IndexerObjective = objectives[mode];
            try
            {
                foreach (MicroBatch micro in batch)
                {
                    c.Begin();
                    Tensor hidden = model.Forward(c, Trainer.BatchOf(micro, 0));
                    (int[] ids, float[] weights) = micro.TargetsOf(0, 1 / targets);
                    losses[mode] += model.Loss(c, hidden, ids, weights);
                }
            }
            finally
            {
                c.IndexerObjective = null;
            }
        }

        return new IndexerQuality(
            losses[0], losses[1], [.. objectives[0].Losses.Values.Select(loss => loss / tokens)], [.. objectives[1].Losses.Values.Select(loss => loss / tokens)],
            [.. objectives[0].Recalls.Values.Select(recall => recall.Mass / recall.Tokens)], [.. objectives[0].Recalls.Values.Select(recall => recall.BestMass / recall.Tokens)],
            [.. objectives[0].Recalls.Values.Select(recall => recall.Common / recall.Tokens)]);
    }

    private static double Mean(IReadOnlyList<double> layers) => layers.Count == 0 ? double.NaN : layers.Average();
}
