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

[Trait("Category", "Golden")]
public class CurveGoldenTests(ITestOutputHelper output)
{
    public static TheoryData<string> Cases => TrainingCase.Rows("curves", "training_curve");

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void A_training_run_follows_the_recorded_curve(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        JsonElement json = golden.Json;
        using var c = new Compute(1);
        using CausalLm model = RecordedRows.Load(Path.Combine(golden.Folder, json.GetProperty("initial_checkpoint").GetString()!), c.Team);
        using var trainer = new Trainer(model, c, Options(json));
        if (json.TryGetProperty("groups", out JsonElement groups) && groups.TryGetProperty("adamw_decay", out _))
            CheckGroups(model, groups, Options(json).Optimizer);

        using var curve = new CurveFile(Path.GetFileNameWithoutExtension(name));
        (double worstLoss, double worstNorm) = (0, 0);
        int steps = json.GetProperty("steps").GetInt32();
        for (int step = 0; step < steps; step++)
        {
            MicroBatch[] batch = Batch(golden, step);
            if (step == 0 && json.TryGetProperty("unpacked_loss_step0", out JsonElement unpacked))
                Assert.Equal(unpacked.GetDouble(), json.GetProperty("loss")[0].GetDouble(), 1e-5);
            StepReport report = trainer.Step(batch);
            curve.Add(step, json.GetProperty("loss")[step].GetDouble(), report.Loss);
            double loss = Math.Abs(report.Loss - json.GetProperty("loss")[step].GetDouble()), recordedNorm = json.GetProperty("grad_norm")[step].GetDouble();
            double norm = Math.Abs(report.GradientNorm - recordedNorm) / recordedNorm;
            (worstLoss, worstNorm) = (Math.Max(worstLoss, loss), Math.Max(worstNorm, norm));
            Assert.True(loss <= json.GetProperty("loss_tolerance")[step].GetDouble(), $"step {step}: loss {report.Loss:g9} is {loss:g3} away");
            double allowed = json.GetProperty("grad_norm_relative_tolerance")[step].GetDouble();
            Assert.True(norm <= allowed, $"step {step}: gradient norm {report.GradientNorm:g9} is {norm:g3} away");
            Assert.Equal(json.GetProperty("loss_tokens")[step].GetDouble(), report.TargetWeight);
            Assert.Equal(json.GetProperty("clip_coefficient")[step].GetDouble(), report.ClipFactor, allowed + 1e-6);
            if (step == 0 && json.TryGetProperty("first_step_gradients", out JsonElement file))
                FirstGradients(golden, file.GetString()!, model, report.ClipFactor);
            if (json.TryGetProperty("aux_loss", out JsonElement auxiliary))
                Balance(golden, model, report, step, auxiliary);
        }

        output.WriteLine($"{steps} steps: largest difference of the loss {worstLoss:g3}, of the gradient norm {worstNorm:g3} (relative)");
        if (json.GetProperty("final_checkpoint").ValueKind == JsonValueKind.String)
            FinalWeights(golden, model);
    }

    private static TrainerOptions Options(JsonElement json)
    {
        bool muon = json.GetProperty("optimizer").GetString() == "muon";
        double Number(string key, double otherwise) => json.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : otherwise;
        var plain = new MuonOptions();
        return new TrainerOptions
        {
            LearningRate = Schedule.Piecewise([.. json.GetProperty("lr_by_step").EnumerateArray().Select((rate, step) => ((double)step, rate.GetDouble()))]),
            Unit = ScheduleUnit.Steps,
            ClipNorm = json.GetProperty("clip").ValueKind == JsonValueKind.Number ? json.GetProperty("clip").GetDouble() : null,
            BalanceWeight = Number("seq_aux", 0),
            BiasRate = Schedule.Constant(Number("bias_rate", 0)),
            Optimizer = new OptimizerOptions
            {
                Matrices = muon ? MatrixRule.Muon : MatrixRule.AdamW,
                WeightDecay = json.GetProperty("weight_decay").GetSingle(),
                SplitHeads = false,
                AdamW = new AdamWOptions { Beta1 = json.GetProperty("betas")[0].GetDouble(), Beta2 = json.GetProperty("betas")[1].GetDouble(), Epsilon = Number("eps", 1e-8) },
                Muon = plain with
                {
                    Momentum = (float)Number("momentum", plain.Momentum),
                    Nesterov = !json.TryGetProperty("nesterov", out JsonElement nesterov) || nesterov.GetBoolean(),
                    ScaleFactor = (float)Number("update_rms", plain.ScaleFactor),
                    Iterations = json.TryGetProperty("ns_coefficients", out JsonElement list)
                        ? [.. Enumerable.Repeat(new NewtonSchulzStep(list[0].GetDouble(), list[1].GetDouble(), list[2].GetDouble()), json.GetProperty("ns_steps").GetInt32())] : plain.Iterations,
                },
            },
        };
    }

    private static MicroBatch[] Batch(TrainingCase golden, int step)
    {
        int[] shape = golden.Shape("tokens");
        int length = shape[^1], perStep = shape[1..].Aggregate(1, (a, b) => a * b), micro = shape.Length == 4 ? shape[1] : 1;
        int[] tokens = golden.I32("tokens"), labels = golden.I32("labels"), documents = golden.Has("document_ids") ? golden.I32("document_ids") : [];
        return [.. Enumerable.Range(0, micro).Select(i =>
        {
            int first = (step * perStep) + (i * perStep / micro), count = perStep / micro;
            int used = golden.Json.TryGetProperty("micro_lengths", out JsonElement lengths) ? lengths[i].GetInt32() : length;
            return RecordedRows.Labelled(tokens.AsSpan(first, count), labels.AsSpan(first, count), documents.Length == 0 ? default : documents.AsSpan(first, count), length, used);
        })];
    }

    private static void CheckGroups(CausalLm model, JsonElement groups, OptimizerOptions options)
    {
        string[] decayed = [.. groups.GetProperty("adamw_decay").EnumerateArray().Select(n => n.GetString()!)], others = [.. groups.GetProperty("adamw_no_decay").EnumerateArray().Select(n => n.GetString()!)];
        foreach (ParameterRule rule in ParameterRule.For(model, options))
        {
            bool adam = decayed.Contains(rule.Parameter.Name) || others.Contains(rule.Parameter.Name);
            Assert.True(adam == (rule.Rule == MatrixRule.AdamW), $"{rule.Parameter} belongs to the wrong optimizer");
            Assert.Equal(others.Contains(rule.Parameter.Name) ? 0 : options.WeightDecay, rule.WeightDecay);
        }
    }

    private void FirstGradients(TrainingCase golden, string file, CausalLm model, double clip)
    {
        double tolerance = golden.Json.GetProperty("first_step_gradient_tolerance_max_abs").GetDouble();
        using SafetensorsFile gradients = golden.Beside(file);
        (double share, string worst) = RecordedRows.Worst(gradients, _ => tolerance, tensor => [.. RecordedRows.Gradient(model, tensor).Select(g => (float)(g / clip))]);
        output.WriteLine($"gradients of the first step: {share:p0} of the tolerance at {worst}");
        Assert.True(share <= 1, $"gradient of {worst}: {share:g3} times the tolerance");
    }

    private static void Balance(TrainingCase golden, CausalLm model, StepReport report, int step, JsonElement auxiliary)
    {
        Assert.Equal(auxiliary[step].GetDouble(), report.Objective - report.Loss, 1e-7);
        int routers = golden.Shape("expert_tokens")[1], experts = golden.Shape("expert_tokens")[2];
        for (int r = 0; r < routers; r++)
        {
            int at = ((step * routers) + r) * experts;
            Assert.Equal(golden.I32("expert_tokens").AsSpan(at, experts).ToArray().Select(n => (long)n), report.Experts[r].Counts);
            Assert.Equal(golden.Json.GetProperty("max_vio")[step][r].GetDouble(), report.Experts[r].MaxVio, 1e-6);
            double difference = TrainingCase.Largest(golden.F32("bias_after_step").AsSpan(at, experts), RecordedRows.Values(model, report.Experts[r].Router));
            Assert.True(difference <= 1e-7, $"step {step}: the bias of {report.Experts[r].Router} is {difference:g3} away");
        }
    }

    private void FinalWeights(TrainingCase golden, CausalLm model)
    {
        JsonElement json = golden.Json, exceptions = json.GetProperty("final_checkpoint_tolerance_max_abs");
        double standard = json.GetProperty("final_checkpoint_tolerance_default").GetDouble();
        using SafetensorsFile final = golden.Beside(Path.Combine(json.GetProperty("final_checkpoint").GetString()!, "model.safetensors"));
        (double share, string worst) = RecordedRows.Worst(
            final, tensor => exceptions.TryGetProperty(tensor, out JsonElement own) ? own.GetDouble() : standard, tensor => RecordedRows.Values(model, tensor));
        output.WriteLine($"final weights: {share:p0} of the tolerance at {worst}");
        Assert.True(share <= 1, $"{worst}: {share:g3} times the tolerance");
    }
}
