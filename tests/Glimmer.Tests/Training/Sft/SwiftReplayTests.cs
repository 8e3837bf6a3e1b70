using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Formats;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Loops;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;
using Glimmer.Training.Sft;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training.Sft;

/// <summary>Two short runs of ms-swift, replayed from the same records, flags and weights.</summary>
[Trait("Category", "Golden")]
public class SwiftReplayTests(ITestOutputHelper output)
{
    // ms-swift's own rendering, which keeps the text of answers as it is.
    private const string SwiftTemplate =
        "[gMASK]<sop>{%- for m in messages -%}{%- if m.role == 'system' -%}<|system|>\n{{ m.content }}{%- elif m.role == 'user' -%}<|user|>\n{{ m.content }}"
        + "{%- elif m.role == 'tool' -%}<|observation|>\n{{ m.content }}{%- else -%}<|assistant|>\n{{ '' if '<think>' in m.content else '<think></think>\n' }}{{ m.content }}{%- endif -%}{%- endfor -%}";

    [SkippableFact]
    public void Micro_batches_have_the_recorded_ids_and_labels()
    {
        (string root, JsonElement run) = Recorded("full");
        using var temporary = new TemporaryFolder();
        SftRows rows = Data(root, temporary).Rows();
        MicroBatch[] micro = [.. rows.Next(0)!, .. rows.Next(0)!];
        JsonElement[] recorded = [.. run.GetProperty("first_batches").EnumerateArray()];
        for (int b = 0; b < recorded.Length; b++)
        {
            for (int r = 0; r < 2; r++)
            {
                int length = recorded[b].GetProperty("attention_mask")[r].EnumerateArray().Sum(value => value.GetInt32());
                int[] ids = [.. recorded[b].GetProperty("input_ids")[r].EnumerateArray().Select(value => value.GetInt32()).Take(length)];
                int[] labels = [.. recorded[b].GetProperty("labels")[r].EnumerateArray().Select(value => value.GetInt32()).Take(length)];
                TrainingDocument document = Assert.Single(micro[b].Rows[r]);
                Assert.Equal(ids, document.Tokens);
                Assert.Equal(labels.Skip(1).Select(label => label < 0 ? -1 : label), document.Targets.Take(length - 1));
            }
        }
    }

    [SkippableFact]
    public void Full_fine_tuning_follows_the_recorded_curve_to_the_recorded_weights()
    {
        (string root, JsonElement run) = Recorded("full");
        using var temporary = new TemporaryFolder();
        SftData data = Data(root, temporary);
        SftOptions options = Options(temporary);
        using var sft = new SftRun(options, data);
        var reports = new List<StepReport>();
        RunResult result = sft.Run(new Recorder(progress => reports.Add(progress.Report)));
        Assert.Equal(12, result.Steps);
        Compare(run, reports, "swift_full");
        using WeightSource recorded = SafetensorsWeights.Open(Path.Combine(root, "full", "final.safetensors"));
        using WeightSource ours = SafetensorsWeights.Open(result.Checkpoint);
        double worst = 0;
        foreach (TensorInfo tensor in recorded.Tensors)
        {
            float[] expected = new float[tensor.Count], actual = new float[tensor.Count];
            recorded.ReadFloat32(tensor.Name, expected);
            ours.ReadFloat32(tensor.Name, actual);
            worst = Math.Max(worst, Difference(expected, actual));
        }

        output.WriteLine($"weights: {worst:g3} of 1e-4");
        Assert.InRange(worst, 0, 1e-4);
    }

    [SkippableFact]
    public void A_run_that_was_interrupted_ends_with_the_bits_of_one_that_was_not()
    {
        (string root, _) = Recorded("full");
        using var temporary = new TemporaryFolder();
        SftData data = Data(root, temporary);
        SftOptions options = Options(temporary) with { Lora = new LoraOptions { Rank = 2, TargetModules = ["linear_qkv"] }, Rows = new SftRowOptions { MicroBatchSize = 2, GlobalBatchSize = 4, Epochs = 1 } };
        string whole, parts;
        using (var run = new SftRun(options with { Run = options.Run with { Folder = temporary["whole"] } }, data))
            whole = run.Run().Checkpoint;
        using (var stop = new CancellationTokenSource())
        {
            using var run = new SftRun(options with { Run = options.Run with { Folder = temporary["parts"] } }, data);
            RunResult result = run.Run(new Recorder(progress =>
            {
                if (progress.Report.Step == 2)
                    stop.Cancel();
            }), stop.Token);
            Assert.Equal((RunEnd.Interrupted, 3), (result.End, result.Steps));
        }

        using (var run = new SftRun(options with { Run = options.Run with { Folder = temporary["parts"] } }, data))
        {
            RunResult result = run.Run();
            Assert.Equal((6, 3L), (result.Steps, result.ResumedAt));
            parts = result.Checkpoint;
        }

        foreach (string file in (string[])["adapter_model.safetensors", Path.Combine("optimizer", "model.safetensors")])
            Assert.Equal(File.ReadAllBytes(Path.Combine(whole, file)), File.ReadAllBytes(Path.Combine(parts, file)));
    }

    [SkippableFact]
    public void An_adapter_follows_the_recorded_curve_to_the_recorded_factors()
    {
        (string root, JsonElement run) = Recorded("lora");
        using var temporary = new TemporaryFolder();
        SftRows rows = Data(root, temporary).Rows();
        using LoadedModel loaded = LoadedModel.Open(temporary["model"], 1);
        using LoraAdapter adapter = LoraAdapter.Load(loaded.Model, Path.Combine(root, "lora", "initial"));
        adapter.Attach(loaded.Model);
        var options = new TrainerOptions
        {
            LearningRate = LearningRates.Cosine(1e-3, 0, 2, 12),
            Unit = ScheduleUnit.Steps,
            Optimizer = new OptimizerOptions { Matrices = MatrixRule.AdamW },
        };
        using var trainer = new Trainer(loaded.Model, loaded.Compute, options, adapter);
        var reports = new List<StepReport>();
        while (rows.Next(0) is { } batch)
            reports.Add(trainer.Step(batch));
        Compare(run, reports, "swift_lora");
        using SafetensorsFile recorded = SafetensorsFile.Open(Path.Combine(root, "lora", "final", "adapter_model.safetensors"));
        double worst = adapter.Parameters.Max(parameter => Difference(recorded.View(parameter.Name).F32, parameter.Value!.F32));
        output.WriteLine($"factors: {worst:g3} of 1e-4");
        Assert.InRange(worst, 0, 1e-4);
    }

    [SkippableFact]
    public void Packing_needs_no_more_rows_than_the_recorded_bins()
    {
        string? root = Fixtures.Folder("swift");
        Fixtures.SkipIfAbsent(root ?? "");
        using JsonDocument packing = JsonDocument.Parse(File.ReadAllText(Path.Combine(root!, "packing.json")));
        foreach (JsonElement set in packing.RootElement.GetProperty("cases").EnumerateArray())
        {
            int[] lengths = [.. set.GetProperty("lengths").EnumerateArray().Select(length => length.GetInt32())];
            int capacity = set.GetProperty("max_length").GetInt32();
            IReadOnlyList<IReadOnlyList<PackedPiece>> rows = Packing.BestFit(lengths, capacity, LongDocuments.Drop);
            output.WriteLine($"{set.GetProperty("name")}: {rows.Count} rows, ms-swift {set.GetProperty("binpack").GetProperty("packs")}, at least {set.GetProperty("lower_bound")}");
            Assert.InRange(rows.Count, set.GetProperty("lower_bound").GetInt32(), set.GetProperty("binpack").GetProperty("packs").GetInt32());
            Assert.Equal(Enumerable.Range(0, lengths.Length), rows.SelectMany(row => row).Select(piece => piece.Document).Order());
            Assert.All(rows, row => Assert.InRange(row.Sum(piece => piece.Length), 1, capacity));
        }
    }

    private static (string Root, JsonElement Run) Recorded(string name)
    {
        string? root = Fixtures.Folder("swift");
        Fixtures.SkipIfAbsent(root ?? "");
        return (root!, JsonDocument.Parse(File.ReadAllText(Path.Combine(root!, name, "run.json"))).RootElement);
    }

    // The model with ms-swift's rendering as its template, and the data of the runs.
    private static SftData Data(string root, TemporaryFolder temporary)
    {
        Directory.CreateDirectory(temporary["model"]);
        foreach (string file in Directory.GetFiles(Path.Combine(root, "model")))
            File.Copy(file, Path.Combine(temporary["model"], Path.GetFileName(file)));
        File.WriteAllText(Path.Combine(temporary["model"], "chat_template.jinja"), SwiftTemplate);
        return SftData.Load(Options(temporary) with { Dataset = [Path.Combine(root, "train.jsonl")] });
    }

    private static SftOptions Options(TemporaryFolder temporary) => new()
    {
        Model = temporary["model"],
        Sample = new SftSampleOptions { ControlTokensInText = true },
        MaxLength = 256,
        Rows = new SftRowOptions { MicroBatchSize = 2, GlobalBatchSize = 4, Epochs = 2, Shuffle = false },
        LearningRate = 1e-3,
        WarmupFraction = 0.1,
        Run = new RunOptions { Folder = temporary["run"], SaveEvery = 0 },
        Threads = 1,
    };

    private void Compare(JsonElement run, List<StepReport> reports, string name)
    {
        JsonElement[] steps = [.. run.GetProperty("steps").EnumerateArray()];
        Assert.Equal(steps.Length, reports.Count);
        double loss = 0, norm = 0;
        using var curve = new CurveFile(name);
        for (int s = 0; s < steps.Length; s++)
        {
            curve.Add(s, steps[s].GetProperty("loss").GetDouble(), reports[s].Loss);
            loss = Math.Max(loss, Math.Abs(steps[s].GetProperty("loss").GetDouble() - reports[s].Loss));
            double expected = steps[s].GetProperty("grad_norm").GetDouble();
            norm = Math.Max(norm, Math.Abs(expected - reports[s].GradientNorm) / expected);
            // The printed rate is that of the next step.
            if (s + 1 < steps.Length)
                Assert.Equal(steps[s].GetProperty("learning_rate").GetDouble(), reports[s + 1].LearningRate, 1e-8);
        }

        output.WriteLine($"loss: {loss:g3} of 1e-4, gradient norm: {norm:g3} of 1e-3");
        Assert.InRange(loss, 0, 1e-4);
        Assert.InRange(norm, 0, 1e-3);
    }

    private static double Difference(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double worst = 0;
        for (int i = 0; i < expected.Length; i++)
            worst = Math.Max(worst, Math.Abs((double)expected[i] - actual[i]));
        return worst;
    }

    private sealed class Recorder(Action<RunProgress> record) : IProgress<RunProgress>
    {
        public void Report(RunProgress value) => record(value);
    }
}
