using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Batching;
using Glimmer.Training.Losses;

namespace Glimmer.Training.Objectives;

/// <summary>Distillation: at every target the student's distribution is drawn to the teacher's. The mean is over the weights of the targets.</summary>
/// <remarks>See <see cref="Distillation"/> for the losses.</remarks>
public sealed class DistillationObjective : TrainingObjective
{
    private readonly Func<Compute, MicroBatch, TeacherRows> _teacher;

    private DistillationObjective(Func<Compute, MicroBatch, TeacherRows> teacher) => _teacher = teacher;

    /// <summary>A teacher that runs beside the student and gives its whole distribution.</summary>
    /// <param name="teacher">The teacher; not owned, not trained. Not the student itself, unless it runs without its adapter elsewhere.</param>
    /// <param name="compute">A context of the teacher's own; it may share the student's threads.</param>
    /// <param name="beta">0 forward KL, 1 reverse KL, between a Jensen-Shannon divergence.</param>
    /// <param name="temperature">Divides the logits of both.</param>
    public static DistillationObjective FromModel(CausalLm teacher, Compute compute, double beta = 0, double temperature = 1)
    {
        ArgumentNullException.ThrowIfNull(teacher);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(temperature);
        return new DistillationObjective((_, micro) => new ModelRows(teacher, compute, micro, beta, temperature));
    }

    /// <summary>A teacher of whose distribution the best tokens were recorded.</summary>
    /// <param name="teacher">What was recorded for a document.</param>
    /// <param name="outside">What becomes of the rest of the vocabulary.</param>
    /// <param name="alpha">As beta of <see cref="FromModel"/>.</param>
    public static DistillationObjective FromTopK(Func<TrainingDocument, TeacherTopK> teacher, OutsideSupport outside = OutsideSupport.Renormalise, double alpha = 0)
    {
        ArgumentNullException.ThrowIfNull(teacher);
        return new DistillationObjective((_, micro) => new TopKRows(teacher, micro, outside, alpha));
    }

    internal override double Loss(Compute c, Tensor hidden, Parameter head, MicroBatch micro, double scale, ChannelLosses? channels)
    {
        (int[] targets, float[] weights) = micro.TargetsOf(0, scale);
        int[] rows = [.. Enumerable.Range(0, targets.Length).Where(i => targets[i] >= 0 && weights[i] != 0)];
        TeacherRows teacher = _teacher(c, micro);
        teacher.Weights = weights;
        return LogitsLoss.Forward(c, hidden, head, rows, teacher);
    }

    private abstract class TeacherRows : RowLoss
    {
        public float[] Weights { get; set; } = [];
    }

    private sealed class ModelRows : TeacherRows
    {
        private readonly CausalLm _teacher;
        private readonly Compute _c;
        private readonly Tensor _hidden;
        private readonly double _beta;
        private readonly double _temperature;
        private Tensor? _logits;

        public ModelRows(CausalLm teacher, Compute c, MicroBatch micro, double beta, double temperature)
        {
            (_teacher, _c, _beta, _temperature) = (teacher, c, beta, temperature);
            c.Begin();
            var batch = new Batch();
            foreach (TrainingDocument document in micro.Documents)
                batch.AddDocument(document.Tokens);
            _hidden = teacher.Forward(c, batch);
        }

        public override void Begin(ReadOnlySpan<int> rows) => _logits = _teacher.Logits(_c, _hidden, rows);

        public override double Of(int index, int row, ReadOnlySpan<float> logits, Span<float> gradient) =>
            Distillation.Full(logits, _logits!.Row(index).F32, _beta, _temperature, Weights[row], gradient);
    }

    private sealed class TopKRows(Func<TrainingDocument, TeacherTopK> teacher, MicroBatch micro, OutsideSupport outside, double alpha) : TeacherRows
    {
        private readonly (TeacherTopK Kept, int Position)[] _rows =
            [.. micro.Documents.SelectMany(document => Enumerable.Repeat(Checked(teacher(document), document), document.Tokens.Length).Select((kept, position) => (kept, position)))];

        public override double Of(int index, int row, ReadOnlySpan<float> logits, Span<float> gradient)
        {
            (TeacherTopK kept, int position) = _rows[row];
            int[] tokens = [.. kept.Tokens.Skip(position * kept.Count).Take(kept.Count)];
            double[] logProbabilities = [.. kept.LogProbabilities.Skip(position * kept.Count).Take(kept.Count)];
            return Distillation.TopK(logits, tokens, logProbabilities, outside, alpha, Weights[row], gradient);
        }

        private static TeacherTopK Checked(TeacherTopK kept, TrainingDocument document)
        {
            int wanted = kept.Count * document.Tokens.Length;
            if (kept.Count < 1 || kept.Tokens.Count != wanted || kept.LogProbabilities.Count != wanted)
                throw new ArgumentException($"A document of {document.Tokens.Length} tokens needs {wanted} teacher tokens and log-probabilities, not {kept.Tokens.Count} and {kept.LogProbabilities.Count}.");
            return kept;
        }
    }
}
