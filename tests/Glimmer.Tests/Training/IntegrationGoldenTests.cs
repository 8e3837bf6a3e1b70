using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training;

/// <summary>The recorded run with everything on, and the one whose Muon cuts MLA by head.</summary>
[Trait("Category", "Golden")]
public class IntegrationGoldenTests(ITestOutputHelper output)
{
    public static TheoryData<string> Integrations => Folders("log.json");

    public static TheoryData<string> Splits => Folders("updates.json");

    [SkippableTheory]
    [MemberData(nameof(Integrations))]
    public void Muon_MTP_balance_packing_masks_and_accumulation_together_follow_the_recorded_run(string name)
    {
        Fixtures.SkipIfAbsent(name);
        Run(name, "init.safetensors", 0, split: true);
    }

    [SkippableTheory]
    [MemberData(nameof(Integrations))]
    public void The_recorded_run_goes_on_from_its_stored_state(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string file = Directory.EnumerateFiles(Path.Combine(Fixtures.Folder("training2")!, name), "state_*.safetensors").Single();
        Run(name, Path.GetFileName(file), int.Parse(Path.GetFileNameWithoutExtension(file)["state_".Length..], System.Globalization.CultureInfo.InvariantCulture), split: true);
    }

    [SkippableTheory]
    [MemberData(nameof(Integrations))]
    public void One_batch_without_micro_batches_gives_the_same_run(string name)
    {
        Fixtures.SkipIfAbsent(name);
        Run(name, "init.safetensors", 0, split: false);
    }

    [SkippableTheory]
    [MemberData(nameof(Splits))]
    public void Muon_Split_follows_the_recorded_run(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string folder = Path.Combine(Fixtures.Folder("training2")!, name);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "curves.json")));
        JsonElement json = document.RootElement;
        using SafetensorsFile batches = SafetensorsFile.Open(Path.Combine(folder, "batches.safetensors"));
        int cycle = batches.Tensors.Count(t => t.Name.StartsWith("train.", StringComparison.Ordinal));
        foreach (string run in (ReadOnlySpan<string>)["split", "plain"])
        {
            using var c = new Compute(1);
            using CausalLm model = RecordedRows.Load(Path.Combine(folder, "init.safetensors"), c.Team);
            JsonElement adam = json.GetProperty("adamw");
            var options = new TrainerOptions
            {
                LearningRate = Schedule.Constant(json.GetProperty("lr").GetDouble()),
                ClipNorm = null,
                Optimizer = new OptimizerOptions
                {
                    SplitHeads = run == "split",
                    WeightDecay = json.GetProperty("weight_decay").GetSingle(),
                    Muon = new MuonOptions { Momentum = json.GetProperty("momentum").GetSingle(), Nesterov = json.GetProperty("nesterov").GetBoolean() },
                    AdamW = new AdamWOptions { Beta1 = adam.GetProperty("betas")[0].GetDouble(), Beta2 = adam.GetProperty("betas")[1].GetDouble(), Epsilon = adam.GetProperty("eps").GetDouble() },
                },
            };
            using var trainer = new Trainer(model, c, options);
            (double worstLoss, double worstNorm) = (0, 0);
            JsonElement[] steps = [.. json.GetProperty(run).EnumerateArray()];
            using var curve = new CurveFile($"muon_{run}");
            foreach (JsonElement step in steps)
            {
                string key = $"train.{trainer.Steps % cycle}";
                if (trainer.Steps == steps.Length - 1)
                    Final(folder, $"final_{run}.safetensors", model);
                StepReport report = trainer.Step([RecordedRows.Packed(batches.View(key).I32, default, default, batches.Find(key)!.Shape[1])]);
                curve.Add(report.Step, step.GetProperty("loss").GetDouble(), report.Loss);
                worstLoss = Math.Max(worstLoss, Math.Abs(report.Loss - step.GetProperty("loss").GetDouble()));
                worstNorm = Math.Max(worstNorm, Math.Abs((report.GradientNorm / step.GetProperty("grad_norm").GetDouble()) - 1));
            }

            output.WriteLine($"{run}: largest difference of the loss {worstLoss:g3}, allowed 5e-6; of the gradient norm {worstNorm:g3}, allowed 1e-5");
            Assert.True(worstLoss <= 5e-6 && worstNorm <= 1e-5, $"{run}: {worstLoss:g3}, {worstNorm:g3}");
        }
    }

    private void Run(string name, string start, int first, bool split)
    {
        string folder = Path.Combine(Fixtures.Folder("training2")!, name);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "log.json")));
        JsonElement json = document.RootElement;
        JsonElement[] steps = [.. json.GetProperty("steps").EnumerateArray()];
        using SafetensorsFile batches = SafetensorsFile.Open(Path.Combine(folder, "batches.safetensors"));
        using SafetensorsFile biases = SafetensorsFile.Open(Path.Combine(folder, "biases.safetensors"));
        using SafetensorsFile state = SafetensorsFile.Open(Path.Combine(folder, start));
        using var c = new Compute(1);
        using CausalLm model = RecordedRows.Load(Path.Combine(folder, start), c.Team);
        using var trainer = new Trainer(model, c, new TrainerOptions
        {
            LearningRate = PerStep(steps, "lr"),
            NextTokenWeight = PerStep(steps, "lambda_mtp"),
            BiasRate = PerStep(steps, "bias_rate"),
            Unit = ScheduleUnit.Steps,
            ClipNorm = json.GetProperty("clip").GetDouble(),
            NextTokenDepths = json.GetProperty("mtp_depths").GetInt32(),
            BalanceWeight = json.GetProperty("balance_weight").GetDouble(),
            Optimizer = new OptimizerOptions { WeightDecay = json.GetProperty("weight_decay").GetSingle() },
        });
        if (first > 0)
        {
            foreach ((string key, Tensor value) in trainer.Optimizer.State)
                state.View(key).F32.CopyTo(value.F32);
            (trainer.Steps, trainer.Optimizer.Steps) = (first, first);
        }

        (double worstLoss, double worstMtp, double worstBalance, double worstNorm) = (0, 0, 0, 0);
        using var curve = new CurveFile($"everything_on_from_{first}{(split ? "" : "_whole")}");
        for (int s = first; s < steps.Length; s++)
        {
            StepReport report = trainer.Step(Batch(batches, s, split));
            JsonElement step = steps[s];
            curve.Add(s, step.GetProperty("main_loss").GetDouble(), report.Loss);
            worstLoss = Math.Max(worstLoss, Math.Abs(report.Loss - step.GetProperty("main_loss").GetDouble()));
            worstMtp = Math.Max(worstMtp, Math.Abs(report.NextTokenLosses.Average() - step.GetProperty("mtp_loss").GetDouble()));
            worstNorm = Math.Max(worstNorm, Math.Abs((report.GradientNorm / step.GetProperty("grad_norm").GetDouble()) - 1));
            Assert.Equal(step.GetProperty("total").GetDouble(), report.Objective, 2e-5);
            Assert.Equal(step.GetProperty("clip_coef").GetDouble(), report.ClipFactor, 2e-5);
            Assert.Equal(step.GetProperty("main_tokens").GetDouble(), report.TargetWeight);
            int routers = biases.Find("counts")!.Shape[1], experts = biases.Find("counts")!.Shape[2];
            for (int r = 0; r < routers; r++)
            {
                int at = ((s * routers) + r) * experts;
                Assert.Equal(biases.View("counts").I32.Slice(at, experts).ToArray().Select(n => (long)n), report.Experts[r].Counts);
                Assert.True(TrainingCase.Largest(biases.View("bias_after_step").F32.Slice(at, experts), RecordedRows.Values(model, report.Experts[r].Router)) <= 1e-7, $"step {s}: bias {r}");
                Assert.Equal(step.GetProperty("max_vio")[r].GetDouble(), report.Experts[r].MaxVio, 1e-6);
                worstBalance = Math.Max(worstBalance, Math.Abs(report.BalanceLosses[r] - step.GetProperty("balance_loss")[r].GetDouble()));
            }
        }

        output.WriteLine($"main {worstLoss:g3} and MTP {worstMtp:g3} of 1e-5, balance {worstBalance:g3} of 1e-6, gradient norm {worstNorm:g3} of 1e-5 relative");
        Assert.True(worstLoss <= 1e-5 && worstMtp <= 1e-5 && worstBalance <= 1e-6 && worstNorm <= 1e-5, $"{worstLoss:g3}, {worstMtp:g3}, {worstBalance:g3}, {worstNorm:g3}");
        Final(folder, "final.safetensors", model);
    }

    private static MicroBatch[] Batch(SafetensorsFile batches, int step, bool split)
    {
        int[] shape = batches.Find("ids")!.Shape.ToArray();
        int parts = split ? shape[1] : 1, count = shape[1] * shape[2] * shape[3] / parts;
        return [.. Enumerable.Range(0, parts).Select(i =>
        {
            int at = ((step * parts) + i) * count;
            return RecordedRows.Packed(batches.View("ids").I32.Slice(at, count), batches.View("doc").I32.Slice(at, count), batches.View("label_mask").I32.Slice(at, count), shape[3]);
        })];
    }

    private void Final(string folder, string file, CausalLm model)
    {
        using SafetensorsFile final = SafetensorsFile.Open(Path.Combine(folder, file));
        bool shiftInvariant = !model.Config.UseQkNorm;
        (double share, string worst) = RecordedRows.Worst(
            final, tensor => shiftInvariant && tensor.EndsWith("k_proj.bias", StringComparison.Ordinal) ? null : 3e-4, tensor => RecordedRows.Values(model, tensor));
        output.WriteLine($"{file}: {share:p1} of the tolerance 3e-4 at {worst}");
        Assert.True(share <= 1, $"{file}: {worst} is {share:g3} times the tolerance away");
    }

    private static Schedule PerStep(JsonElement[] steps, string key) =>
        Schedule.Piecewise([.. steps.Select((step, index) => ((double)index, step.GetProperty(key).GetDouble()))]);

    private static TheoryData<string> Folders(string file)
    {
        string? root = Fixtures.Folder("training2");
        return Fixtures.Rows(root is null ? null : Directory.EnumerateDirectories(root).Where(d => File.Exists(Path.Combine(d, file))).Select(Path.GetFileName).OfType<string>());
    }
}
