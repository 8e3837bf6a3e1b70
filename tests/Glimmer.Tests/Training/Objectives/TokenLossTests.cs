using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Objectives;
using Glimmer.Training.Runs;

namespace Glimmer.Tests.Training.Objectives;

/// <summary>Losses that are told apart by source, and losses weighted by the probability of their target.</summary>
public class TokenLossTests
{
    private static readonly TrainingDocument[] s_documents =
    [
        .. Enumerable.Range(0, 5).Select(d => new TrainingDocument(
            [.. Enumerable.Range(0, 8 + d).Select(i => ((i * 7) + (d * 11)) % 40)],
            [.. Enumerable.Range(0, 8 + d).Select(i => i < 2 ? -1 : ((i * 5) + d) % 40)],
            [.. Enumerable.Range(0, 8 + d).Select(i => i == 4 ? 0.5f : 1)])
        { Channel = d switch { 0 or 3 => "maths", 1 => "code", _ => null } }),
    ];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_loss_of_each_source_is_the_mean_over_its_own_targets(bool dynamic)
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(2);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        double[] losses = [.. s_documents.Select(document => Sum(model, c, document).Loss)], weights = [.. s_documents.Select(document => Sum(model, c, document).Weight)];
        using var trainer = new Trainer(model, c, TinyRun.Options(model) with { ChannelLosses = true, Objective = dynamic ? TrainingObjective.DynamicFineTuning : TrainingObjective.CrossEntropy });
        StepReport report = trainer.Step([new MicroBatch([[s_documents[0], s_documents[1]]]), new MicroBatch([[s_documents[2]], [s_documents[3], s_documents[4]]])]);
        Assert.Equal(["code", "maths"], report.ChannelLosses.Keys.Order());
        Assert.Equal(losses[1] / weights[1], report.ChannelLosses["code"], 1e-5);
        Assert.Equal((losses[0] + losses[3]) / (weights[0] + weights[3]), report.ChannelLosses["maths"], 1e-5);
        if (!dynamic)
            Assert.Equal(losses.Sum() / weights.Sum(), report.Loss, 1e-5);

        using (RunRecorder record = RunRecorder.Open(folder["run"]))
            record.Step(report, 1);
        Assert.Equal(report.ChannelLosses["maths"], RunHistory.Read(folder["run"]).Steps[0]["channel_loss/maths"]);
        Assert.Contains(Glimmer.Training.Plots.RunPlots.Write(folder["run"]), path => path.EndsWith("channel_loss.svg", StringComparison.Ordinal));
    }

    [Fact]
    public void A_dynamic_loss_has_the_gradient_of_cross_entropy_weighted_by_the_probability_of_the_target()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        model.EnableGradients();
        double total = s_documents.Sum(document => document.Weights.Where((_, i) => document.Targets[i] >= 0).Sum(weight => (double)weight)), expected = 0;
        var weighted = new List<TrainingDocument>();
        foreach (TrainingDocument document in s_documents)
        {
            float[] logProbabilities = Sum(model, c, document).LogProbabilities;
            expected -= document.Targets.Select((target, i) => target < 0 ? 0 : document.Weights[i] * Math.Exp(logProbabilities[i]) * logProbabilities[i]).Sum();
            weighted.Add(new TrainingDocument(document.Tokens, document.Targets, [.. document.Weights.Select((weight, i) => (float)(weight * Math.Exp(logProbabilities[i])))]));
        }

        (double loss, Dictionary<string, float[]> gradients) = Gradients(model, c, TrainingObjective.DynamicFineTuning, s_documents, 1 / total);
        (_, Dictionary<string, float[]> oracle) = Gradients(model, c, TrainingObjective.CrossEntropy, weighted, 1 / total);
        Assert.Equal(expected / total, loss, 1e-6);
        double largest = oracle.Values.SelectMany(values => values).Max(Math.Abs);
        Assert.True(largest > 1e-3);
        foreach ((string name, float[] values) in oracle)
            Assert.True(values.Zip(gradients[name]).All(pair => Math.Abs(pair.First - pair.Second) <= 2e-6 * largest), name);
    }

    [Fact]
    public void Losses_by_source_are_refused_where_tokens_have_no_loss_of_their_own()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        var error = Assert.Throws<ArgumentException>(() => new Trainer(model, c, TinyRun.Options(model) with { ChannelLosses = true, Objective = new PreferenceObjective(new Glimmer.Training.Losses.PreferenceLoss(Glimmer.Training.Losses.PreferenceKind.Sigmoid, 0.1), null) }));
        Assert.Contains("ChannelLosses", error.Message, StringComparison.Ordinal);
    }

    private static (double Loss, double Weight, float[] LogProbabilities) Sum(CausalLm model, Compute c, TrainingDocument document)
    {
        c.Begin();
        var batch = new Batch();
        batch.AddDocument(document.Tokens);
        var logProbabilities = new float[document.Tokens.Length];
        double loss = model.Loss(c, model.Forward(c, batch), document.Targets, document.Weights, logProbabilities);
        return (loss, document.Weights.Where((_, i) => document.Targets[i] >= 0).Sum(weight => (double)weight), logProbabilities);
    }

    private static (double Loss, Dictionary<string, float[]> Gradients) Gradients(CausalLm model, Compute c, TrainingObjective objective, IReadOnlyList<TrainingDocument> documents, double scale)
    {
        foreach (Parameter parameter in model.Parameters)
            parameter.Gradient?.F32.Clear();
        var tape = new Tape();
        c.Begin(tape);
        var batch = new Batch();
        foreach (TrainingDocument document in documents)
            batch.AddDocument(document.Tokens);
        double loss = objective.Loss(c, model.Forward(c, batch), model.Head, new MicroBatch([documents]), scale, null);
        tape.Backward();
        c.Tape = null;
        return (loss, model.Parameters.Where(parameter => parameter.Gradient is not null).ToDictionary(parameter => parameter.Name, parameter => parameter.Gradient!.F32.ToArray()));
    }
}
