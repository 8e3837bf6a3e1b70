using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Batching;
using Glimmer.Training.Losses;

namespace Glimmer.Training.Objectives;

/// <summary>DPO and its relatives: documents come in pairs, the chosen answer and then the rejected one; the mean is over the pairs of the step.</summary>
/// <remarks>
/// The log-probability of a document is the sum over its targets, in fp64. Its gradient goes through the fused cross-entropy with the weights <c>-d loss / d log p</c>. See
/// <see cref="PreferenceLoss"/>.
/// </remarks>
/// <param name="loss">Which loss.</param>
/// <param name="reference">Log-probability of a document under the reference, see <see cref="Scores"/>; null for a loss without one.</param>
public sealed class PreferenceObjective(PreferenceLoss loss, Func<TrainingDocument, double>? reference) : TrainingObjective
{
    private double _stepRewards;
    private int _pairs;

    /// <summary>Running mean of the rewards, which <see cref="PreferenceKind.BcoPair"/> compares with; set it when a run is resumed.</summary>
    public double Center { get; set; }

    /// <summary>Rewards that <see cref="Center"/> is a mean of.</summary>
    public long Rewards { get; set; }

    /// <summary>Log-probability of each document: the sum over its targets. With an adapter that is detached meanwhile, those of the reference.</summary>
    /// <param name="model">The model.</param>
    /// <param name="c">Context; begun here.</param>
    /// <param name="micro">Documents.</param>
    public static double[] Scores(CausalLm model, Compute c, MicroBatch micro)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(micro);
        c.Begin();
        var batch = new Batch();
        foreach (TrainingDocument document in micro.Documents)
            batch.AddDocument(document.Tokens);
        return Sums(micro, LogProbabilities(c, model.Forward(c, batch), model.Head, micro));
    }

    internal override void Begin(IReadOnlyList<MicroBatch> batch)
    {
        if (_pairs > 0)
        {
            Center = ((Center * Rewards) + _stepRewards) / (Rewards + (2 * _pairs));
            Rewards += 2 * _pairs;
        }

        (_pairs, _stepRewards) = (0, 0);
        foreach (MicroBatch micro in batch)
        {
            int documents = micro.Documents.Count();
            if (documents % 2 != 0)
                throw new ArgumentException($"A micro-batch of preferences has {documents} documents; they must come in pairs, the chosen answer first.", nameof(batch));
            _pairs += documents / 2;
        }
    }

    internal override double Loss(Compute c, Tensor hidden, Parameter head, MicroBatch micro, double scale, ChannelLosses? channels)
    {
        float[] logProbabilities = LogProbabilities(c, hidden, head, micro);
        double[] sums = Sums(micro, logProbabilities);
        TrainingDocument[] documents = [.. micro.Documents];
        (int[] targets, float[] weights) = micro.TargetsOf(0, 1);
        double total = 0;
        for (int i = 0, row = 0; i < documents.Length; i += 2)
        {
            (TrainingDocument chosen, TrainingDocument rejected) = (documents[i], documents[i + 1]);
            (double chosenReference, double rejectedReference) = reference is null ? (0, 0) : (reference(chosen), reference(rejected));
            PreferenceGradient value = loss.Of(new PreferencePair(sums[i], sums[i + 1], chosenReference, rejectedReference, Counted(chosen), Counted(rejected)), Center);
            total += value.Value / _pairs;
            _stepRewards += loss.Beta * (sums[i] - chosenReference + sums[i + 1] - rejectedReference);
            row = Fill(weights, row, chosen, -value.Chosen / _pairs);
            row = Fill(weights, row, rejected, -value.Rejected / _pairs);
        }

        CrossEntropyLoss.Forward(c, hidden, head, targets, weights);
        return total;
    }

    private static int Fill(float[] weights, int row, TrainingDocument document, double weight)
    {
        for (int i = 0; i < document.Tokens.Length; i++, row++)
            weights[row] = IsCounted(document, i) ? (float)weight : 0;
        return row;
    }

    private static int Counted(TrainingDocument document) => Enumerable.Range(0, document.Tokens.Length).Count(i => IsCounted(document, i));

    private static bool IsCounted(TrainingDocument document, int position) => document.Targets[position] >= 0 && document.Weights[position] != 0;

    private static float[] LogProbabilities(Compute c, Tensor hidden, Parameter head, MicroBatch micro)
    {
        (int[] targets, float[] weights) = micro.TargetsOf(0, 1);
        var values = new float[targets.Length];
        (Tape? tape, c.Tape) = (c.Tape, null);
        CrossEntropyLoss.Forward(c, hidden, head, targets, weights, values);
        c.Tape = tape;
        return values;
    }

    private static double[] Sums(MicroBatch micro, float[] logProbabilities)
    {
        var sums = new List<double>();
        int row = 0;
        foreach (TrainingDocument document in micro.Documents)
        {
            double sum = 0;
            for (int i = 0; i < document.Tokens.Length; i++, row++)
                sum += logProbabilities[row];
            sums.Add(sum);
        }

        return [.. sums];
    }
}
