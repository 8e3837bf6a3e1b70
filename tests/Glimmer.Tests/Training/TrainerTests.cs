using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training;

public class TrainerTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(TinyRun.GroupedQuery)]
    [InlineData(TinyRun.Latent)]
    public void Threads_and_recomputation_change_no_bit(string config)
    {
        Dictionary<string, float[]> expected = After(config, threads: 1, recompute: false);
        foreach ((int threads, bool recompute) in (ReadOnlySpan<(int, bool)>)[(2, false), (3, false), (1, true), (2, true)])
            TinyRun.AssertSame(expected, After(config, threads, recompute));
    }

    [Fact]
    public void Any_cut_into_micro_batches_gives_the_gradients_of_the_whole_batch()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        CutRows data = TinyRun.Data(5);
        IReadOnlyList<TrainingDocument>[] rows = [.. Enumerable.Range(0, 6).Select(_ => data.Next()!)];
        Dictionary<string, float[]>? whole = null;
        double worst = 0;
        foreach (int[] cut in (ReadOnlySpan<int[]>)[[6], [1, 5], [2, 2, 2], [1, 1, 1, 1, 1, 1]])
        {
            using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
            using var trainer = new Trainer(model, c, TinyRun.Options(model) with { ClipNorm = null });
            var batch = new List<MicroBatch>();
            int first = 0;
            foreach (int count in cut)
                batch.Add(new MicroBatch(rows[first..(first += count)]));
            trainer.Step(batch);
            Dictionary<string, float[]> gradients = model.Parameters.Where(p => p.Gradient is not null).ToDictionary(p => p.Name, p => p.Gradient!.F32.ToArray());
            whole ??= gradients;
            foreach ((string name, float[] expected) in whole)
            {
                double norm = Math.Sqrt(expected.Sum(g => (double)g * g));
                double difference = Math.Sqrt(expected.Zip(gradients[name], (a, b) => (double)(a - b) * (a - b)).Sum());
                worst = Math.Max(worst, norm == 0 ? difference : difference / norm);
            }
        }

        output.WriteLine($"largest relative difference of a gradient: {worst:g3}");
        Assert.True(worst < 1e-6, $"{worst:g3}");
    }

    [Fact]
    public void Packed_documents_train_like_documents_alone()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        TrainingDocument[] documents = [.. TinyRun.Data(6).Next()!.Where(d => d.Tokens.Length > 1)];
        var gradients = new List<Dictionary<string, float[]>>();
        foreach (bool packed in (ReadOnlySpan<bool>)[true, false])
        {
            using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
            using var trainer = new Trainer(model, c, TinyRun.Options(model) with { ClipNorm = null, BalanceWeight = 0 });
            trainer.Step(packed ? [new MicroBatch([documents])] : [.. documents.Select(d => new MicroBatch([[d]]))]);
            gradients.Add(model.Parameters.Where(p => p.Gradient is not null).ToDictionary(p => p.Name, p => p.Gradient!.F32.ToArray()));
        }

        foreach ((string name, float[] expected) in gradients[0])
            Assert.True(TrainingCase.Largest(expected, gradients[1][name]) < 1e-6, name);
    }

    [Fact]
    public void Training_lowers_the_loss()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model));
        MicroBatch[] batch = TinyRun.Batch(TinyRun.Data(7));
        StepReport first = trainer.Step(batch), last = first;
        for (int i = 0; i < 15; i++)
            last = trainer.Step(batch);
        output.WriteLine($"loss {first.Loss:f3} -> {last.Loss:f3}");
        Assert.True(last.Loss < first.Loss - 0.3);
        Assert.Equal((15, 15 * first.Tokens), (last.Step, last.TokensSeen));
    }

    [Theory]
    [InlineData(NotFiniteGradient.Stop)]
    [InlineData(NotFiniteGradient.Skip)]
    public void A_gradient_that_is_not_finite_leaves_the_weights_alone(NotFiniteGradient policy)
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model) with { NotFinite = policy });
        Parameter head = model.Parameters.Single(p => p.Name == "lm_head.weight");
        head.EnsureValue().F32[3] = float.NaN;
        head.Touch();
        Dictionary<string, float[]> before = TinyRun.State(trainer);
        MicroBatch[] batch = TinyRun.Batch(TinyRun.Data(8));
        if (policy == NotFiniteGradient.Stop)
            Assert.Contains("is not finite in step 0", Assert.Throws<ArithmeticException>(() => trainer.Step(batch)).Message, StringComparison.Ordinal);
        else
            Assert.NotNull(trainer.Step(batch).SkippedBecauseOf);
        TinyRun.AssertSame(before, TinyRun.State(trainer));
    }

    [Theory]
    [InlineData("model.layers.0.self_attn.o_proj.weight", NotFiniteGradient.Stop)]
    [InlineData("model.layers.0.self_attn.o_proj.weight", NotFiniteGradient.Skip)]
    [InlineData("model.layers.1.mlp.gate.weight", NotFiniteGradient.Skip)]
    public void NaN_before_a_router_is_treated_like_one_in_a_gradient(string name, NotFiniteGradient policy)
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(2);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model) with { NotFinite = policy });
        MicroBatch[] batch = TinyRun.Batch(TinyRun.Data(8));
        Parameter weight = model.Parameters.Single(p => p.Name == name);
        float was = weight.EnsureValue().F32[0];
        weight.Value!.F32[0] = float.NaN;
        weight.Touch();
        Dictionary<string, float[]> before = TinyRun.State(trainer);
        if (policy == NotFiniteGradient.Stop)
        {
            Assert.StartsWith($"The weight '{name}' is not finite in step 0: The router of token", Assert.Throws<ArithmeticException>(() => trainer.Step(batch)).Message, StringComparison.Ordinal);
        }
        else
        {
            StepReport skipped = trainer.Step(batch);
            Assert.Equal((name, double.NaN, 0L), (skipped.SkippedBecauseOf, skipped.Loss, skipped.Step));
        }

        TinyRun.AssertSame(before, TinyRun.State(trainer));
        // What is left of the broken pass does not reach the next one.
        weight.Value!.F32[0] = was;
        weight.Touch();
        Assert.Null(trainer.Step(batch).SkippedBecauseOf);
    }

    [Fact]
    public void NaN_in_a_factor_of_an_adapter_is_named_too()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 1, TargetModules = ["o_proj"] });
        adapter.Attach(model);
        using var trainer = new Trainer(model, c, TinyRun.Options(model) with { NotFinite = NotFiniteGradient.Skip, NextTokenDepths = 0, BiasRate = Schedule.Constant(0) }, adapter);
        Parameter factor = adapter.Parameters[1];
        factor.Value!.F32[0] = float.NaN;
        factor.Touch();
        Assert.Equal(factor.Name, trainer.Step(TinyRun.Batch(TinyRun.Data(8))).SkippedBecauseOf);
    }

    [Fact]
    public void A_batch_without_targets_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model));
        Assert.Throws<ArgumentException>(() => trainer.Step([new MicroBatch([[TrainingDocument.NextToken([1, 2, 3], [false, false, false])]])]));
    }

    private static Dictionary<string, float[]> After(string config, int threads, bool recompute)
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(threads);
        using CausalLm model = TinyRun.Model(config, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model, recompute));
        CutRows data = TinyRun.Data(3);
        for (int step = 0; step < 3; step++)
            trainer.Step(TinyRun.Batch(data));
        return TinyRun.State(trainer);
    }
}
