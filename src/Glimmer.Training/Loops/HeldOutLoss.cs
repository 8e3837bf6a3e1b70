using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Batching;
using Glimmer.Training.Distributed;

namespace Glimmer.Training.Loops;

/// <summary>Figures of a model on rows that it is not trained on.</summary>
/// <param name="Loss">Mean cross-entropy of the targets, weighted, in nats.</param>
/// <param name="Accuracy">Share of the targets that have the largest logit, weighted.</param>
/// <param name="TargetWeight">Sum of the weights.</param>
/// <param name="NextTokenAcceptance">Share of the targets of the first MTP depth that its draft meets; NaN without MTP.</param>
public sealed record HeldOutLoss(double Loss, double Accuracy, double TargetWeight, double NextTokenAcceptance)
{
    private const int Sums = 5; // of a micro-batch, see SumsOf
    private const int LogitRows = 256; // logits of so many tokens are held at once

    /// <summary><c>exp(loss)</c>.</summary>
    public double Perplexity => Math.Exp(Loss);

    /// <summary>The figures by the names that they have in the log.</summary>
    public IReadOnlyDictionary<string, double> Named()
    {
        var figures = new Dictionary<string, double> { ["valid_loss"] = Loss, ["valid_accuracy"] = Accuracy };
        if (!double.IsNaN(NextTokenAcceptance))
            figures["mtp_acceptance"] = NextTokenAcceptance;
        figures["valid_target_weight"] = TargetWeight;
        return figures;
    }

    /// <summary>Computes the figures; weights and gradients stay as they are.</summary>
    /// <param name="model">The model.</param>
    /// <param name="c">Context whose threads compute.</param>
    /// <param name="rows">The rows, in micro-batches.</param>
    /// <param name="stop">Ends the computation early with an exception.</param>
    /// <param name="ranks">Ranks that share the work, each with the same model; null for this process alone. The figures are the same bits for any number of ranks.</param>
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    public static HeldOutLoss Of(CausalLm model, Compute c, IReadOnlyList<MicroBatch> rows, CancellationToken stop = default, Communicator? ranks = null)
    {
        ranks ??= Communicator.Single;
        double[] own = c.ExpertRanks is not null ? InStep(model, c, rows, ranks)
            : ranks.Together(() => rows.Where((_, i) => i % ranks.Size == ranks.Rank).SelectMany(micro => SumsOf(model, c, micro, stop)).ToArray());
        double[][] all = ranks.AllGather(own.AsSpan());
        var total = new double[Sums];
        for (int i = 0; i < rows.Count; i++)
        {
            for (int sum = 0; sum < Sums; sum++)
                total[sum] += all[i % ranks.Size][(i / ranks.Size * Sums) + sum];
        }

        (double loss, double hits, double weight, double accepted, double drafts) = (total[0], total[1], total[2], total[3], total[4]);
        return new HeldOutLoss(loss / weight, hits / weight, weight, accepted / drafts);
    }

    // Experts lie on all ranks, so all of them compute as often: one that has no rows left computes the last ones along.
    private static double[] InStep(CausalLm model, Compute c, IReadOnlyList<MicroBatch> rows, Communicator ranks)
    {
        var own = new List<double>();
        for (int first = 0; first < rows.Count; first += ranks.Size)
        {
            int mine = first + ranks.Rank;
            double[] sums = SumsOf(model, c, rows[Math.Min(mine, rows.Count - 1)], CancellationToken.None);
            if (mine < rows.Count)
                own.AddRange(sums);
        }

        return [.. own];
    }

    // Sums over a micro-batch: loss, hits, weights, accepted drafts, weights of drafts.
    private static double[] SumsOf(CausalLm model, Compute c, MicroBatch micro, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        c.Begin();
        Tensor hidden = model.Forward(c, Trainer.BatchOf(micro, 0));
        (int[] targets, float[] weights) = micro.TargetsOf(0, 1);
        double loss = model.Loss(c, hidden, targets, weights), hits = Hits(c, hidden, model.Logits, column => column, targets, weights), weight = weights.Sum(w => (double)w);
        if (model.NextToken is not { } next)
            return [loss, hits, weight, 0, 0];
        Tensor state = next.Forward(c, Trainer.BatchOf(micro, 1), hidden);
        (targets, weights) = micro.TargetsOf(1, 1);
        return [loss, hits, weight, Hits(c, state, next.Logits, next.TokenAt, targets, weights), weights.Sum(w => (double)w)];
    }

    private static double Hits(Compute c, Tensor hidden, Func<Compute, Tensor, Tensor> logits, Func<int, int> tokenAt, int[] targets, float[] weights)
    {
        double hits = 0;
        for (int first = 0; first < targets.Length; first += LogitRows)
        {
            Workspace.Mark mark = c.Workspace.Save();
            int[] rows = [.. Enumerable.Range(first, Math.Min(LogitRows, targets.Length - first))];
            Tensor values = logits(c, Rows.Gather(c, hidden, rows));
            int vocabulary = values.Shape[1];
            foreach (int row in rows.Where(row => targets[row] >= 0 && weights[row] > 0))
            {
                if (tokenAt(TopK.ArgMax(values.F32.Slice((row - first) * vocabulary, vocabulary))) == targets[row])
                    hits += weights[row];
            }

            c.Workspace.Release(mark);
        }

        return hits;
    }
}
