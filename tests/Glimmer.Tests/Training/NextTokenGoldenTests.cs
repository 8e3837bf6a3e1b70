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

/// <summary>Recorded runs with the MTP loss at one and at several depths.</summary>
[Trait("Category", "Golden")]
public class NextTokenGoldenTests(ITestOutputHelper output)
{
    public static TheoryData<string> Runs
    {
        get
        {
            string? root = Fixtures.Folder("training2");
            return Fixtures.Rows(root is null ? null : Directory.EnumerateFiles(root, "curves.json", SearchOption.AllDirectories).SelectMany(file =>
            {
                using JsonDocument json = JsonDocument.Parse(File.ReadAllText(file));
                string folder = Path.GetRelativePath(root, Path.GetDirectoryName(file)!);
                return json.RootElement.EnumerateObject().Where(p => p.Value.ValueKind == JsonValueKind.Object && p.Value.TryGetProperty("depths", out _)).Select(p => $"{folder}/{p.Name}").ToArray();
            }));
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Runs))]
    public void MTP_training_follows_the_recorded_curve(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string folder = Path.Combine(Fixtures.Folder("training2")!, Path.GetDirectoryName(name)!), key = Path.GetFileName(name);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "curves.json")));
        JsonElement json = document.RootElement, run = json.GetProperty(key);
        JsonElement[] steps = [.. run.GetProperty("steps").EnumerateArray()], evals = [.. run.GetProperty("evals").EnumerateArray()];
        using SafetensorsFile batches = SafetensorsFile.Open(Path.Combine(folder, "batches.safetensors"));
        int cycle = batches.Tensors.Count(t => t.Name.StartsWith("train.", StringComparison.Ordinal));
        using var c = new Compute(1);
        using CausalLm model = RecordedRows.Load(Path.Combine(folder, "init.safetensors"), c.Team);
        int depths = run.GetProperty("depths").GetInt32();
        using var trainer = new Trainer(model, c, Options(json, depths, Schedule.Piecewise([.. steps.Select((s, i) => ((double)i, s.GetProperty("lambda_mtp").GetDouble()))])));
        (double worstLoss, double worstNorm) = (0, 0);
        using CurveFile loss = new($"mtp_{key}_loss"), drafts = new($"mtp_{key}_mtp_loss");
        foreach (JsonElement step in steps)
        {
            string batch = $"train.{trainer.Steps % cycle}";
            StepReport report = trainer.Step([RecordedRows.Packed(batches.View(batch).I32, default, default, batches.Find(batch)!.Shape[1])]);
            loss.Add(report.Step, step.GetProperty("main_loss").GetDouble(), report.Loss);
            drafts.Add(report.Step, step.GetProperty("mtp_loss").EnumerateArray().Average(value => value.GetDouble()), report.NextTokenLosses.Average());
            worstLoss = Math.Max(worstLoss, Math.Abs(report.Loss - step.GetProperty("main_loss").GetDouble()));
            for (int j = 0; j < depths; j++)
                worstLoss = Math.Max(worstLoss, Math.Abs(report.NextTokenLosses[j] - step.GetProperty("mtp_loss")[j].GetDouble()));
            worstNorm = Math.Max(worstNorm, Math.Abs((report.GradientNorm / step.GetProperty("grad_norm").GetDouble()) - 1));
            if (report.Step == 0 && File.Exists(Path.Combine(folder, $"grads_{key}.safetensors")))
                Gradients(Path.Combine(folder, $"grads_{key}.safetensors"), model);
        }

        output.WriteLine($"largest difference of a loss {worstLoss:g3}, allowed 1e-5; of the gradient norm {worstNorm:g3}, allowed 1e-4");
        Assert.True(worstLoss <= 1e-5 && worstNorm <= 1e-4, $"{worstLoss:g3}, {worstNorm:g3}");
        foreach (JsonProperty norm in run.GetProperty("final_norms").EnumerateObject())
        {
            if (!norm.Name.EndsWith("k_proj.bias", StringComparison.Ordinal) || model.Config.UseQkNorm)
                Assert.Equal(norm.Value.GetDouble(), Math.Sqrt(RecordedRows.Values(model, norm.Name).Sum(w => (double)w * w)), 1e-3);
        }

        if (!File.Exists(Path.Combine(folder, $"final_{key}.safetensors")))
            return;
        using SafetensorsFile final = SafetensorsFile.Open(Path.Combine(folder, $"final_{key}.safetensors"));
        (double share, string worst) = RecordedRows.Worst(
            final, tensor => tensor.EndsWith("k_proj.bias", StringComparison.Ordinal) && !model.Config.UseQkNorm ? null : 3e-4, tensor => RecordedRows.Values(model, tensor));
        Assert.True(share <= 1, $"final weights: {worst} is {share:g3} times 3e-4 away");
    }

    [SkippableTheory]
    [MemberData(nameof(Runs))]
    public void MTP_never_crosses_the_border_of_a_packed_document(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string folder = Path.Combine(Fixtures.Folder("training2")!, Path.GetDirectoryName(name)!), key = Path.GetFileName(name);
        using JsonDocument curves = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "curves.json"))), packed = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "packed.json")));
        int depths = curves.RootElement.GetProperty(key).GetProperty("depths").GetInt32();
        using SafetensorsFile batches = SafetensorsFile.Open(Path.Combine(folder, "batches.safetensors"));
        foreach (JsonElement recorded in packed.RootElement.EnumerateArray().Where(p => p.GetProperty("depths").GetInt32() == depths))
        {
            using var c = new Compute(1);
            using CausalLm model = RecordedRows.Load(Path.Combine(folder, "init.safetensors"), c.Team);
            using var trainer = new Trainer(model, c, Options(curves.RootElement, depths, Schedule.Constant(recorded.GetProperty("lambda_mtp").GetDouble())));
            MicroBatch batch = RecordedRows.Packed(batches.View("packed.ids").I32, batches.View("packed.doc").I32, batches.View("packed.label_mask").I32, batches.Find("packed.ids")!.Shape[1]);
            Assert.Equal(recorded.GetProperty("tokens").EnumerateArray().Select(t => t.GetDouble()), Enumerable.Range(0, depths + 1).Select(batch.WeightOf));
            StepReport report = trainer.Step([batch]);
            Assert.Equal(recorded.GetProperty("main_loss").GetDouble(), report.Loss, 1e-5);
            for (int j = 0; j < depths; j++)
                Assert.Equal(recorded.GetProperty("mtp_loss")[j].GetDouble(), report.NextTokenLosses[j], 1e-5);
            Assert.Equal(recorded.GetProperty("total").GetDouble(), report.Objective, 2e-5);
            if (File.Exists(Path.Combine(folder, $"packed_{key}_grads.safetensors")))
                Gradients(Path.Combine(folder, $"packed_{key}_grads.safetensors"), model);
        }
    }

    private static TrainerOptions Options(JsonElement json, int depths, Schedule weight) => new()
    {
        LearningRate = Schedule.Constant(json.GetProperty("lr").GetDouble()),
        Unit = ScheduleUnit.Steps,
        ClipNorm = json.GetProperty("clip").ValueKind == JsonValueKind.Number ? json.GetProperty("clip").GetDouble() : null,
        NextTokenDepths = depths,
        NextTokenWeight = weight,
        Optimizer = new OptimizerOptions
        {
            Matrices = MatrixRule.AdamW,
            WeightDecay = json.GetProperty("weight_decay").GetSingle(),
            AdamW = new AdamWOptions { Beta1 = json.GetProperty("betas")[0].GetDouble(), Beta2 = json.GetProperty("betas")[1].GetDouble(), Epsilon = json.GetProperty("eps").GetDouble() },
        },
    };

    private void Gradients(string path, CausalLm model)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        (double share, string worst) = RecordedRows.Worst(
            file, tensor => tensor.StartsWith("grad.", StringComparison.Ordinal) ? 2e-6 : null, tensor => RecordedRows.Gradient(model, tensor["grad.".Length..]));
        output.WriteLine($"{Path.GetFileName(path)}: {share:p0} of the tolerance 2e-6 at {worst}");
        Assert.True(share <= 1 && worst != "none", $"{Path.GetFileName(path)}: {worst} is {share:g3} times 2e-6 away");
    }
}
