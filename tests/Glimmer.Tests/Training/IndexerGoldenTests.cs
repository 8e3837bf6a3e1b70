using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training;

/// <summary>The recorded training of DSA indexers: the warm-up from dense attention, then everything with sparse attention.</summary>
[Trait("Category", "Golden")]
public class IndexerGoldenTests(ITestOutputHelper output)
{
    private static string Folder => Path.Combine(Fixtures.Folder("training2") ?? "", "indexer");

    [SkippableFact]
    public void The_warm_up_follows_the_recorded_curve()
    {
        using Recorded recorded = Open("before.safetensors", threads: 2);
        JsonElement run = recorded.Json.GetProperty("warm_up");
        using var trainer = new Trainer(recorded.Model, recorded.C, Options(run, IndexerStage.WarmUp) with
        {
            LearningRate = Schedule.Piecewise([.. run.GetProperty("steps").EnumerateArray().Select((s, i) => ((double)i, s.GetProperty("lr").GetDouble()))]),
        });
        double worst = 0;
        using var curve = new CurveFile("dsa_warm_up_kl");
        foreach (JsonElement step in run.GetProperty("steps").EnumerateArray())
        {
            worst = Math.Max(worst, Evaluation(recorded, run, (int)trainer.Steps));
            StepReport report = trainer.Step([recorded.Batch($"train.{trainer.Steps % 4}")]);
            curve.Add(report.Step, step.GetProperty("kl").EnumerateArray().Average(kl => kl.GetDouble()), report.IndexerLosses.Average());
            for (int layer = 0; layer < 3; layer++)
                Assert.Equal(step.GetProperty("kl")[layer].GetDouble(), report.IndexerLosses[layer], 2e-6);
            Assert.Equal(step.GetProperty("grad_norm").GetDouble(), report.GradientNorm, 1e-5);
            if (report.Step == 0)
                Gradients(recorded.Model, "values_warm_up.safetensors", "grad.");
        }

        worst = Math.Max(worst, Evaluation(recorded, run, (int)trainer.Steps));
        output.WriteLine($"largest difference of an evaluation: {worst:g3}");
        Assert.True(worst <= 1e-5, $"{worst:g3}");
        Weights(recorded.Model, "after_warm_up.safetensors");
        Assert.All(recorded.Model.Parameters.Where(p => !p.Name.Contains(".indexer.", StringComparison.Ordinal)), p => Assert.Null(p.Gradient));
    }

    [SkippableTheory]
    [InlineData(1, false)]
    [InlineData(2, true)]
    public void Sparse_training_follows_the_recorded_curve(int threads, bool recompute)
    {
        using Recorded recorded = Open("before.safetensors", threads);
        WarmUp(recorded.Model);
        JsonElement run = recorded.Json.GetProperty("sparse");
        using var trainer = new Trainer(recorded.Model, recorded.C, Options(run, IndexerStage.Sparse) with
        {
            LearningRate = Schedule.Constant(run.GetProperty("lr").GetDouble()),
            RecomputeBlocks = recompute,
        });
        double worst = 0;
        using CurveFile loss = new("dsa_sparse_loss"), divergence = new("dsa_sparse_kl");
        foreach (JsonElement step in run.GetProperty("steps").EnumerateArray())
        {
            Evaluation(recorded, run, (int)trainer.Steps);
            StepReport report = trainer.Step([recorded.Batch($"train.{trainer.Steps % 4}")]);
            loss.Add(report.Step, step.GetProperty("lm_loss").GetDouble(), report.Loss);
            divergence.Add(report.Step, step.GetProperty("kl").EnumerateArray().Average(kl => kl.GetDouble()), report.IndexerLosses.Average());
            worst = Math.Max(worst, Math.Abs(step.GetProperty("lm_loss").GetDouble() - report.Loss));
            for (int layer = 0; layer < 3; layer++)
                worst = Math.Max(worst, Math.Abs(step.GetProperty("kl")[layer].GetDouble() - report.IndexerLosses[layer]));
            Assert.True(worst <= 1e-5, $"step {report.Step}: {worst:g3}");
            Assert.Equal(report.Loss + report.IndexerLosses.Sum(), report.Objective, 1e-9);
            Assert.Equal(step.GetProperty("grad_norm_indexer").GetDouble(), Norm(recorded.Model, isIndexer: true), 1e-4);
            Assert.Equal(step.GetProperty("grad_norm_main").GetDouble(), Norm(recorded.Model, isIndexer: false), 1e-3);
            if (report.Step == 0)
                Gradients(recorded.Model, "values_sparse.safetensors", "grad.");
        }

        output.WriteLine($"largest difference of a loss: {worst:g3}");
        Weights(recorded.Model, "after_sparse.safetensors");
    }

    [SkippableFact]
    public void Packed_documents_have_keys_of_their_own()
    {
        using (Recorded recorded = Open("before.safetensors", threads: 3))
        {
            WarmUp(recorded.Model);
            using var trainer = new Trainer(recorded.Model, recorded.C, Options(recorded.Json.GetProperty("warm_up"), IndexerStage.WarmUp) with { LearningRate = Schedule.Constant(0) });
            StepReport report = trainer.Step([recorded.PackedBatch()]);
            for (int layer = 0; layer < 3; layer++)
                Assert.Equal(recorded.Json.GetProperty("packed_dense").GetProperty("kl")[layer].GetDouble(), report.IndexerLosses[layer], 2e-6);
            Gradients(recorded.Model, "packed_dense_grads.safetensors", "");
        }

        using (Recorded recorded = Open("after_sparse.safetensors", threads: 1))
        {
            using var trainer = new Trainer(recorded.Model, recorded.C, Options(recorded.Json.GetProperty("sparse"), IndexerStage.Sparse) with { LearningRate = Schedule.Constant(0) });
            StepReport report = trainer.Step([recorded.PackedBatch()]);
            Assert.Equal(recorded.Json.GetProperty("packed_sparse").GetProperty("lm_loss").GetDouble(), report.Loss, 1e-5);
            for (int layer = 0; layer < 3; layer++)
                Assert.Equal(recorded.Json.GetProperty("packed_sparse").GetProperty("kl")[layer].GetDouble(), report.IndexerLosses[layer], 1e-5);
            Gradients(recorded.Model, "packed_sparse.safetensors", "grad.");
        }
    }

    [SkippableFact]
    public void Threads_recomputation_and_micro_batches_are_as_everywhere()
    {
        Dictionary<string, float[]>? expected = null;
        foreach ((int threads, bool recompute) in (ReadOnlySpan<(int, bool)>)[(1, false), (3, false), (2, true)])
        {
            using Recorded recorded = Open("before.safetensors", threads);
            using var trainer = new Trainer(recorded.Model, recorded.C, Options(recorded.Json.GetProperty("sparse"), IndexerStage.Sparse) with { LearningRate = Schedule.Constant(1e-3), RecomputeBlocks = recompute });
            trainer.Step([recorded.Batch("train.0"), recorded.Batch("train.1")]);
            Dictionary<string, float[]> state = TinyRun.State(trainer);
            if (expected is null)
                expected = state;
            else
                TinyRun.AssertSame(expected, state);
        }
    }

    [Fact]
    public void Models_without_indexers_are_refused()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.Latent, folder["model"], c);
        var error = Assert.Throws<ArgumentException>(() => new Trainer(model, c, TinyRun.Options(model) with { Indexer = IndexerStage.WarmUp }));
        Assert.Contains("glm4_moe_lite", error.Message, StringComparison.Ordinal);
    }

    // The evaluation that was recorded at a step, if there is one: the largest difference.
    private static double Evaluation(Recorded recorded, JsonElement run, int step)
    {
        JsonElement json = run.GetProperty("evals").EnumerateArray().FirstOrDefault(e => e.GetProperty("step").GetInt32() == step);
        if (json.ValueKind == JsonValueKind.Undefined)
            return 0;
        IndexerQuality quality = IndexerQuality.Of(recorded.Model, recorded.C, [recorded.Batch("eval")]);
        double worst = Math.Max(Math.Abs(json.GetProperty("dense_lm_loss").GetDouble() - quality.DenseLoss), Math.Abs(json.GetProperty("sparse_lm_loss").GetDouble() - quality.SparseLoss));
        foreach ((string name, IReadOnlyList<double> values) in (ReadOnlySpan<(string, IReadOnlyList<double>)>)
            [("dense_kl", quality.DenseDivergence), ("sparse_kl", quality.SparseDivergence), ("recall_mass", quality.RecallMass), ("recall_mass_best_possible", quality.BestRecallMass), ("recall_set", quality.RecallSet)])
        {
            for (int layer = 0; layer < values.Count; layer++)
                worst = Math.Max(worst, Math.Abs(json.GetProperty(name)[layer].GetDouble() - values[layer]));
        }

        Assert.True(worst <= 1e-5, $"evaluation at step {step}: {worst:g3} away, 1e-5 allowed");
        return worst;
    }

    private static double Norm(CausalLm model, bool isIndexer) => Math.Sqrt(model.Parameters
        .Where(p => p.Gradient is not null && p.Name.Contains(".indexer.", StringComparison.Ordinal) == isIndexer).Sum(p => p.Gradient!.F32.ToArray().Sum(g => (double)g * g)));

    private static void Gradients(CausalLm model, string file, string prefix)
    {
        using SafetensorsFile recorded = SafetensorsFile.Open(Path.Combine(Folder, file));
        (double share, string worst) = RecordedRows.Worst(
            recorded, name => name.StartsWith(prefix + "model.", StringComparison.Ordinal) || name.StartsWith(prefix + "lm_head", StringComparison.Ordinal) ? 2e-6 : null,
            name => RecordedRows.Gradient(model, name[prefix.Length..]));
        Assert.True(share <= 1, $"{worst} is {share:g3} times 2e-6 away");
    }

    private static void Weights(CausalLm model, string file)
    {
        using SafetensorsFile recorded = SafetensorsFile.Open(Path.Combine(Folder, file));
        (double share, string worst) = RecordedRows.Worst(recorded, _ => 3e-4, name => RecordedRows.Values(model, name));
        Assert.True(share <= 1, $"{worst} is {share:g3} times 3e-4 away");
    }

    private static void WarmUp(CausalLm model)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(Folder, "after_warm_up.safetensors"));
        foreach (Parameter parameter in model.Parameters.Where(p => file.Find(p.Name) is not null))
        {
            file.View(parameter.Name).F32.CopyTo(parameter.EnsureValue().F32);
            parameter.Touch();
        }
    }

    private static TrainerOptions Options(JsonElement run, IndexerStage stage) => new()
    {
        LearningRate = Schedule.Constant(0),
        Unit = ScheduleUnit.Steps,
        ClipNorm = null,
        Indexer = stage,
        Optimizer = new OptimizerOptions
        {
            Matrices = MatrixRule.AdamW,
            WeightDecay = run.GetProperty("weight_decay").GetSingle(),
            AdamW = new AdamWOptions { Beta1 = run.GetProperty("betas")[0].GetDouble(), Beta2 = run.GetProperty("betas")[1].GetDouble(), Epsilon = run.GetProperty("eps").GetDouble() },
        },
    };

    private static Recorded Open(string weights, int threads)
    {
        Fixtures.SkipIfAbsent(Directory.Exists(Folder) ? weights : "");
        return new Recorded(weights, threads);
    }

    private sealed class Recorded : IDisposable
    {
        private readonly JsonDocument _document = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, "curves.json")));
        private readonly SafetensorsFile _batches = SafetensorsFile.Open(Path.Combine(Folder, "batches.safetensors"));

        public Recorded(string weights, int threads)
        {
            C = new Compute(threads);
            Model = RecordedRows.Load(Path.Combine(Folder, weights), C.Team);
        }

        public Compute C { get; }

        public CausalLm Model { get; }

        public JsonElement Json => _document.RootElement;

        public MicroBatch Batch(string name) => RecordedRows.Packed(_batches.View(name).I32, default, default, _batches.Find(name)!.Shape[1]);

        public MicroBatch PackedBatch() => RecordedRows.Packed(_batches.View("packed.ids").I32, _batches.View("packed.doc").I32, default, _batches.Find("packed.ids")!.Shape[1]);

        public void Dispose()
        {
            Model.Dispose();
            C.Dispose();
            _batches.Dispose();
            _document.Dispose();
        }
    }
}
