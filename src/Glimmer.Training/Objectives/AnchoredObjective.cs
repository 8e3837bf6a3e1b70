using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Batching;

namespace Glimmer.Training.Objectives;

/// <summary>
/// Cross-entropy, but some documents are anchors: there the model is held to the distribution of another one, <c>KL(anchor || model)</c> at every target. With texts of many kinds as anchors and
/// the model before training as the other one, fine-tuning keeps what it does not teach.
/// </summary>
/// <remarks>
/// One mean over all targets of the step, anchors and others. The anchor's vocabulary may be shorter: its probability of the model's further tokens is 0. Softmax and log-sum-exp in fp32
/// (<see cref="Softmax"/>), the sum of a divergence in fp64. Li and Hoiem 2016 (arXiv 1606.09282), "Learning without forgetting".
/// </remarks>
public sealed class AnchoredObjective : TrainingObjective
{
    private readonly CausalLm _anchor;
    private readonly Compute _compute;
    private readonly Func<TrainingDocument, bool> _isAnchor;

    /// <summary>Creates the objective.</summary>
    /// <param name="anchor">The model to be held to; not owned, not trained.</param>
    /// <param name="compute">A context of its own; it may share the threads of the model that is trained.</param>
    /// <param name="isAnchor">Which documents are anchors.</param>
    public AnchoredObjective(CausalLm anchor, Compute compute, Func<TrainingDocument, bool> isAnchor)
    {
        ArgumentNullException.ThrowIfNull(anchor);
        ArgumentNullException.ThrowIfNull(compute);
        ArgumentNullException.ThrowIfNull(isAnchor);
        (_anchor, _compute, _isAnchor) = (anchor, compute, isAnchor);
    }

    internal override double Loss(Compute c, Tensor hidden, Parameter head, MicroBatch micro, double scale, ChannelLosses? channels)
    {
        (int[] targets, float[] weights) = micro.TargetsOf(0, scale);
        var rows = new List<int>();
        var anchorRows = new int[targets.Length];
        var batch = new Batch();
        int row = 0, anchorRow = 0;
        foreach (TrainingDocument document in micro.Documents)
        {
            if (!_isAnchor(document))
            {
                row += document.Tokens.Length;
                continue;
            }

            batch.AddDocument(document.Tokens);
            for (int i = 0; i < document.Tokens.Length; i++, row++, anchorRow++)
            {
                if (targets[row] < 0 || weights[row] == 0)
                    continue;
                rows.Add(row);
                anchorRows[row] = anchorRow;
            }
        }

        if (rows.Count == 0)
            return CrossEntropyLoss.Forward(c, hidden, head, targets, weights);
        float[] own = [.. weights];
        foreach (int anchored in rows)
            own[anchored] = 0;
        double loss = own.All(weight => weight == 0) ? 0 : CrossEntropyLoss.Forward(c, hidden, head, targets, own);
        _compute.Begin();
        return loss + LogitsLoss.Forward(c, hidden, head, rows.ToArray(), new Rows(this, c.Team, _anchor.Forward(_compute, batch), anchorRows, weights));
    }

    private sealed unsafe class Rows(AnchoredObjective owner, ThreadTeam team, Tensor hidden, int[] anchorRows, float[] weights) : RowLoss
    {
        private readonly Workspace.Mark _mark = owner._compute.Workspace.Save();
        private Tensor? _logits;
        private Tensor? _probabilities;
        private float[] _softmax = [];

        public override void Begin(ReadOnlySpan<int> rows)
        {
            var wanted = new int[rows.Length];
            for (int i = 0; i < wanted.Length; i++)
                wanted[i] = anchorRows[rows[i]];
            owner._compute.Workspace.Release(_mark);
            _logits = owner._anchor.Logits(owner._compute, hidden, wanted);
            _probabilities = owner._compute.Workspace.F32(_logits.Shape[0], _logits.Shape[1]);
            Softmax.Forward(team, _logits.F32Pointer, _logits.Shape[1], wanted.Length, _logits.Shape[1], _probabilities.F32Pointer, _logits.Shape[1]);
        }

        // KL = sum p (t - s) + lse(s) - lse(t) with the logits t of the anchor and s of the model; its gradient is softmax(s) - p.
        public override double Of(int index, int row, ReadOnlySpan<float> logits, Span<float> gradient)
        {
            ReadOnlySpan<float> anchor = _logits!.Row(index).F32, p = _probabilities!.Row(index).F32;
            if (anchor.Length > logits.Length)
                throw new ArgumentException($"The anchor has {anchor.Length} tokens, the model only {logits.Length}.");
            if (_softmax.Length != logits.Length)
                _softmax = new float[logits.Length];
            float lse, anchorLse;
            fixed (float* s = logits, t = anchor, q = _softmax)
            {
                Softmax.LogSumExp(null, s, logits.Length, 1, logits.Length, &lse);
                Softmax.LogSumExp(null, t, anchor.Length, 1, anchor.Length, &anchorLse);
                Softmax.Forward(null, s, logits.Length, 1, logits.Length, q, logits.Length);
            }

            float weight = weights[row];
            double value = 0;
            for (int i = 0; i < anchor.Length; i++)
            {
                value += (double)p[i] * (anchor[i] - logits[i]);
                gradient[i] += weight * (_softmax[i] - p[i]);
            }

            for (int i = anchor.Length; i < logits.Length; i++)
                gradient[i] += weight * _softmax[i];
            return weight * (value + lse - anchorLse);
        }
    }
}
