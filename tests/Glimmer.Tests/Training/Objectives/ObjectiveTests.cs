using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Losses;
using Glimmer.Training.Objectives;
using Glimmer.Training.Schedules;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training.Objectives;

/// <summary>Distillation and preference losses as steps of a trainer: their values are those of the functions, their gradients those of central differences.</summary>
public class ObjectiveTests(ITestOutputHelper output)
{
    private static readonly TrainingDocument[] s_documents =
        [.. Enumerable.Range(0, 4).Select(d => TrainingDocument.NextToken([.. Enumerable.Range(0, 9 + (3 * d)).Select(i => ((i * 7) + (d * 11)) % 40)], [.. Enumerable.Range(0, 9 + (3 * d)).Select(i => i > 3)]))];

    public static TheoryData<PreferenceKind> Preferences() => [PreferenceKind.Sigmoid, PreferenceKind.Ipo, PreferenceKind.Hinge, PreferenceKind.BcoPair];

    [Theory]
    [InlineData(0.0, 1.0)]
    [InlineData(0.5, 2.0)]
    [InlineData(1.0, 1.0)]
    public void A_teacher_that_runs_beside_the_student_gives_the_loss_of_its_logits(double beta, double temperature)
    {
        using var run = new Run();
        using var own = new Compute(run.C.Team);
        using CausalLm teacher = TinyRun.Model(TinyRun.GroupedQuery, run.Folder["teacher"], run.C, seed: 2);
        float[][] logits = Logits(teacher, run.C);
        Check(run, DistillationObjective.FromModel(teacher, own, beta, temperature), (student, count) =>
            Targets().Sum(t => Distillation.Full(student[t], logits[t], beta, temperature, 1.0 / count, new float[40])));
    }

    [Theory]
    [InlineData(OutsideSupport.Renormalise)]
    [InlineData(OutsideSupport.Bucket)]
    public void A_recorded_teacher_gives_the_loss_of_its_best_tokens(OutsideSupport outside)
    {
        const int Kept = 5;
        using var run = new Run();
        using CausalLm teacher = TinyRun.Model(TinyRun.GroupedQuery, run.Folder["teacher"], run.C, seed: 2);
        float[][] logits = Logits(teacher, run.C);
        int[][] tokens = [.. logits.Select(row => Enumerable.Range(0, 40).OrderByDescending(i => row[i]).Take(Kept).ToArray())];
        double[][] kept = [.. logits.Select((row, t) => tokens[t].Select(token => SequenceLogProbability.Of(row, token).LogProbability).ToArray())];
        var recorded = new Dictionary<TrainingDocument, TeacherTopK>();
        int first = 0;
        foreach (TrainingDocument document in s_documents)
        {
            recorded.Add(document, new TeacherTopK(Kept, [.. tokens.Skip(first).Take(document.Tokens.Length).SelectMany(row => row)], [.. kept.Skip(first).Take(document.Tokens.Length).SelectMany(row => row)]));
            first += document.Tokens.Length;
        }

        Check(run, DistillationObjective.FromTopK(document => recorded[document], outside), (student, count) =>
            Targets().Sum(t => Distillation.TopK(student[t], tokens[t], kept[t], outside, 0, 1.0 / count, new float[40])));
    }

    [Fact]
    public void Anchors_are_held_to_the_other_model_and_the_rest_learns_its_targets()
    {
        using var run = new Run();
        using var own = new Compute(run.C.Team);
        using CausalLm anchor = TinyRun.Model(TinyRun.GroupedQuery, run.Folder["anchor"], run.C, seed: 2);
        float[][] logits = Logits(anchor, run.C);
        Check(run, new AnchoredObjective(anchor, own, document => Array.IndexOf(s_documents, document) % 2 == 1), (student, count) => Targets().Sum(t => DocumentOf(t) % 2 == 1
            ? Distillation.Full(student[t], logits[t], 0, 1, 1.0 / count, new float[40])
            : -SequenceLogProbability.Of(student[t], TargetAt(t)).LogProbability / count));
    }

    [Fact]
    public void A_model_that_equals_its_anchor_is_left_alone()
    {
        using var run = new Run();
        using var own = new Compute(run.C.Team);
        using var trainer = new Trainer(run.Model, run.C, run.Options with { Objective = new AnchoredObjective(run.Model, own, _ => true), NextTokenDepths = 0 });
        StepReport report = trainer.Step([new MicroBatch([s_documents])]);
        Assert.Equal(0, report.Loss, 1e-6);
        Assert.Equal(0, report.GradientNorm, 1e-5);
    }

    [Theory]
    [MemberData(nameof(Preferences))]
    public void Pairs_give_the_preference_loss_of_their_log_probabilities(PreferenceKind kind)
    {
        using var run = new Run();
        using CausalLm reference = TinyRun.Model(TinyRun.GroupedQuery, run.Folder["reference"], run.C, seed: 2);
        double[] scores = PreferenceObjective.Scores(reference, run.C, new MicroBatch([s_documents]));
        var loss = new PreferenceLoss(kind, 0.3);
        Check(run, new PreferenceObjective(loss, document => scores[Array.IndexOf(s_documents, document)]), (student, _) =>
        {
            double[] own = [.. s_documents.Select((document, d) => Targets().Where(t => DocumentOf(t) == d).Sum(t => SequenceLogProbability.Of(student[t], TargetAt(t)).LogProbability))];
            int[] counts = [.. Enumerable.Range(0, 4).Select(d => Targets().Count(t => DocumentOf(t) == d))];
            return Enumerable.Range(0, 2).Average(p => loss.Of(new PreferencePair(own[2 * p], own[(2 * p) + 1], scores[2 * p], scores[(2 * p) + 1], counts[2 * p], counts[(2 * p) + 1])).Value);
        }, hasMemory: kind == PreferenceKind.BcoPair);
    }

    [Fact]
    public void Documents_without_a_partner_are_refused()
    {
        using var run = new Run();
        using var trainer = new Trainer(run.Model, run.C, run.Options with { Objective = new PreferenceObjective(new PreferenceLoss(PreferenceKind.Sigmoid, 0.1), null) });
        var error = Assert.Throws<ArgumentException>(() => trainer.Step([new MicroBatch([s_documents[..3]])]));
        Assert.Contains("pairs", error.Message, StringComparison.Ordinal);
    }

    // The value of a step, whole and in two micro-batches; its gradient along itself.
    private void Check(Run run, TrainingObjective objective, Func<float[][], int, double> expected, bool hasMemory = false)
    {
        double value = expected(Logits(run.Model, run.C), Targets().Length);
        using var trainer = new Trainer(run.Model, run.C, run.Options with { Objective = objective });
        double whole = trainer.Step([new MicroBatch([s_documents])]).Loss, parts = trainer.Step([new MicroBatch([s_documents[..2]]), new MicroBatch([s_documents[2..]])]).Loss;
        Assert.Equal(value, whole, 1e-5 * Math.Max(1, Math.Abs(value)));
        if (!hasMemory)
            Assert.Equal(value, parts, 1e-5 * Math.Max(1, Math.Abs(value)));
        if (objective is PreferenceObjective preference)
            (preference.Center, preference.Rewards) = (0, 0);

        Parameter[] parameters = [.. run.Model.Parameters.Where(p => p.Gradient is not null)];
        float[][] gradients = [.. parameters.Select(p => p.Gradient!.F32.ToArray())], start = [.. parameters.Select(p => p.Value!.F32.ToArray())];
        double norm = Math.Sqrt(gradients.Sum(g => g.Sum(v => (double)v * v)));
        const double Step = 1e-3;
        double slope = (At(Step) - At(-Step)) / (2 * Step);
        output.WriteLine($"value {whole:g6}, gradient {norm:g6}, difference quotient {slope:g6}");
        Assert.True(norm > 1e-3);
        Assert.Equal(norm, slope, 0.01 * norm);

        double At(double distance)
        {
            for (int p = 0; p < parameters.Length; p++)
            {
                for (int i = 0; i < start[p].Length; i++)
                    parameters[p].Value!.F32[i] = (float)(start[p][i] + (distance * gradients[p][i] / norm));
                parameters[p].Touch();
            }

            if (objective is PreferenceObjective again)
                (again.Center, again.Rewards) = (0, long.MaxValue / 2); // keeps the centre where it is
            return trainer.Step([new MicroBatch([s_documents])]).Loss;
        }
    }

    private static int[] Targets()
    {
        int[] targets = [.. s_documents.SelectMany(document => document.Targets)];
        return [.. Enumerable.Range(0, targets.Length).Where(t => targets[t] >= 0)];
    }

    private static int TargetAt(int row) => s_documents.SelectMany(document => document.Targets).ElementAt(row);

    private static int DocumentOf(int row)
    {
        int d = 0;
        for (; row >= s_documents[d].Tokens.Length; d++)
            row -= s_documents[d].Tokens.Length;
        return d;
    }

    private static float[][] Logits(CausalLm model, Compute c)
    {
        c.Begin();
        var batch = new Batch();
        foreach (TrainingDocument document in s_documents)
            batch.AddDocument(document.Tokens);
        Tensor logits = model.Logits(c, model.Forward(c, batch));
        return [.. Enumerable.Range(0, batch.TokenCount).Select(t => logits.Row(t).F32.ToArray())];
    }

    private sealed class Run : IDisposable
    {
        public Run() => Model = TinyRun.Model(TinyRun.GroupedQuery, Folder["model"], C);

        public TemporaryFolder Folder { get; } = new();

        public Compute C { get; } = new(1);

        public CausalLm Model { get; }

        public TrainerOptions Options { get; } = new() { LearningRate = Schedule.Constant(0), ClipNorm = null };

        public void Dispose()
        {
            Model.Dispose();
            C.Dispose();
            Folder.Dispose();
        }
    }
}
