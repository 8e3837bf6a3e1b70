using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Models.Lora;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training;

/// <summary>Adapters of PEFT: logits, gradients, merging, and training curves.</summary>
[Trait("Category", "Golden")]
public class LoraGoldenTests(ITestOutputHelper output)
{
    public static TheoryData<string> Cases => TrainingCase.Rows("lora", "lora");

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void An_adapter_gives_the_recorded_numbers(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        JsonElement json = golden.Json;
        using var c = new Compute(1);
        using CausalLm model = RecordedRows.Load(Path.Combine(golden.Folder, json.GetProperty("base_checkpoint").GetString()!), c.Team);
        using LoraAdapter adapter = LoraAdapter.Load(model, Path.Combine(golden.Folder, json.GetProperty("adapter").GetString()!));
        AssertWarnings(adapter, json.GetProperty("peft_reload").GetString()!);
        adapter.Attach(model);
        using SafetensorsFile batches = golden.Beside("batches.safetensors");
        int[] tokens = batches.View("eval_tokens").I32.ToArray(), labels = batches.View("eval_labels").I32.ToArray();
        double allowed = json.GetProperty("tolerance_max_abs").GetProperty("logits").GetDouble();
        output.WriteLine($"logits: {Check(golden, "logits", Logits(model, c, tokens, 12), allowed):g3} of {allowed:g3}");
        Gradients(golden, model, c, adapter, tokens, labels);
        if (json.TryGetProperty("curve", out JsonElement curve))
            Curve(golden, model, c, adapter, batches, curve);
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Merging_gives_the_recorded_weights_and_detaching_the_base(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        JsonElement json = golden.Json;
        using var c = new Compute(1);
        using CausalLm model = RecordedRows.Load(Path.Combine(golden.Folder, json.GetProperty("base_checkpoint").GetString()!), c.Team);
        using LoraAdapter adapter = LoraAdapter.Load(model, Path.Combine(golden.Folder, json.GetProperty("adapter").GetString()!));
        using SafetensorsFile batches = golden.Beside("batches.safetensors");
        int[] tokens = batches.View("eval_tokens").I32.ToArray();
        float[] plain = Logits(model, c, tokens, 12);
        adapter.Attach(model);
        adapter.Detach();
        Assert.Equal(plain, Logits(model, c, tokens, 12));
        adapter.MergeInto(model);
        Check(golden, golden.Has("logits_merged") ? "logits_merged" : "logits", Logits(model, c, tokens, 12), json.GetProperty("tolerance_max_abs").GetProperty("logits_merged").GetDouble());
        if (!json.TryGetProperty("merged_weights", out JsonElement file) || file.ValueKind != JsonValueKind.String)
            return;
        using SafetensorsFile merged = golden.Beside(file.GetString()!);
        foreach (TensorInfo tensor in merged.Tensors)
            Assert.True(TrainingCase.Largest(merged.View(tensor.Name).F32, model.Parameters.Single(p => p.Name == tensor.Name).EnsureValue().F32) < 1e-6, tensor.Name);
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void An_adapter_is_written_as_it_was_read(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        string source = Path.Combine(golden.Folder, golden.Json.GetProperty("adapter").GetString()!);
        using var c = new Compute(1);
        using CausalLm model = RecordedRows.Load(Path.Combine(golden.Folder, golden.Json.GetProperty("base_checkpoint").GetString()!), c.Team);
        using LoraAdapter adapter = LoraAdapter.Load(model, source);
        using var folder = new TemporaryFolder();
        adapter.Save(folder.ToString(), "base");
        using SafetensorsFile expected = SafetensorsFile.Open(Path.Combine(source, "adapter_model.safetensors")), written = SafetensorsFile.Open(folder["adapter_model.safetensors"]);
        Assert.Equal(expected.Tensors.Select(tensor => tensor.Name).Order(StringComparer.Ordinal), written.Tensors.Select(tensor => tensor.Name).Order(StringComparer.Ordinal));
        foreach (TensorInfo tensor in expected.Tensors)
        {
            Assert.Equal(tensor.Shape, written.Find(tensor.Name)!.Shape);
            Assert.True(expected.View(tensor.Name).F32.SequenceEqual(written.View(tensor.Name).F32), tensor.Name);
        }

        // What it says equals what PEFT wrote, in every field that we write.
        using JsonDocument ours = JsonDocument.Parse(File.ReadAllText(folder["adapter_config.json"])), theirs = JsonDocument.Parse(File.ReadAllText(Path.Combine(source, "adapter_config.json")));
        foreach (JsonProperty field in ours.RootElement.EnumerateObject())
        {
            if (field.Name == "base_model_name_or_path" || (field.Name == "target_parameters" && field.Value.GetArrayLength() == 0))
                continue;
            Assert.True(JsonElement.DeepEquals(field.Value, theirs.RootElement.GetProperty(field.Name)), field.ToString());
        }
    }

    [SkippableFact]
    public void A_new_adapter_changes_no_bit_and_only_its_factors_learn()
    {
        Fixtures.SkipIfAbsent(Fixtures.Folder("training") is null ? "" : "lora");
        using TrainingCase golden = TrainingCase.Open("lora/attention.json");
        using var c = new Compute(1);
        using CausalLm model = RecordedRows.Load(Path.Combine(golden.Folder, golden.Json.GetProperty("base_checkpoint").GetString()!), c.Team);
        int[] tokens = [.. Enumerable.Range(0, 24).Select(i => i % 20)];
        float[] plain = Logits(model, c, tokens, 12);
        using LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 4, Seed = 3 });
        adapter.Attach(model);
        Assert.Equal(plain, Logits(model, c, tokens, 12));
        using var trainer = new Trainer(model, c, new TrainerOptions { LearningRate = Schedule.Constant(0.01) }, adapter);
        trainer.Step([RecordedRows.Labelled(tokens, tokens, default, 12, 12)]);
        Assert.All(model.Parameters, parameter => Assert.Null(parameter.Gradient));
        Assert.NotEqual(plain, Logits(model, c, tokens, 12));
        adapter.Detach();
        Assert.Equal(plain, Logits(model, c, tokens, 12));
    }

    private static float[] Logits(CausalLm model, Compute c, int[] tokens, int length)
    {
        c.Begin();
        var batch = new Batch();
        for (int first = 0; first < tokens.Length; first += length)
            batch.AddDocument(tokens[first..(first + length)]);
        return model.Logits(c, model.Forward(c, batch), [.. Enumerable.Range(0, tokens.Length)]).F32.ToArray();
    }

    private static double Check(TrainingCase golden, string name, float[] actual, double allowed)
    {
        double largest = TrainingCase.Largest(golden.F32(name), actual);
        Assert.True(largest <= allowed, $"{name}: {largest:g3} away, {allowed:g3} allowed");
        return largest;
    }

    private static void Gradients(TrainingCase golden, CausalLm model, Compute c, LoraAdapter adapter, int[] tokens, int[] labels)
    {
        foreach (Parameter parameter in adapter.Parameters)
            parameter.EnableGradient();
        MicroBatch micro = RecordedRows.Labelled(tokens, labels, default, 12, 12);
        var tape = new Tape();
        c.Begin(tape);
        var batch = new Batch();
        foreach (TrainingDocument document in micro.Documents)
            batch.AddDocument(document.Tokens);
        (int[] targets, float[] weights) = micro.TargetsOf(0, 1 / micro.WeightOf(0));
        double loss = model.Loss(c, model.Forward(c, batch), targets, weights);
        tape.Backward();
        c.Tape = null;
        Assert.Equal(golden.Json.GetProperty("loss").GetDouble(), loss, 1e-5);
        double allowed = golden.Json.GetProperty("tolerance_max_abs").GetProperty("grad").GetDouble();
        foreach (LoraTensor tensor in adapter.Tensors)
            Check(golden, "grad." + tensor.Name, tensor.Gather(parameter => parameter.Gradient), allowed);
        foreach (Parameter parameter in adapter.Parameters)
            parameter.ClearGradient();
    }

    private static void AssertWarnings(LoraAdapter adapter, string reload)
    {
        if (reload == "equal")
            Assert.Empty(adapter.PeftWarnings);
        else
            Assert.Contains(reload.StartsWith("error", StringComparison.Ordinal) ? "refuses" : "drops", Assert.Single(adapter.PeftWarnings), StringComparison.Ordinal);
    }

    private void Curve(TrainingCase golden, CausalLm model, Compute c, LoraAdapter adapter, SafetensorsFile batches, JsonElement curve)
    {
        JsonElement rule = golden.Json.GetProperty("optimizer");
        using var trainer = new Trainer(model, c, new TrainerOptions
        {
            LearningRate = Schedule.Constant(rule.GetProperty("lr").GetDouble()),
            Unit = ScheduleUnit.Steps,
            ClipNorm = null,
            Optimizer = new OptimizerOptions
            {
                Matrices = MatrixRule.AdamW,
                WeightDecay = rule.GetProperty("weight_decay").GetSingle(),
                AdamW = new AdamWOptions { Beta1 = rule.GetProperty("betas")[0].GetDouble(), Beta2 = rule.GetProperty("betas")[1].GetDouble(), Epsilon = rule.GetProperty("eps").GetDouble() },
            },
        }, adapter);
        int[] tokens = batches.View("tokens").I32.ToArray(), labels = batches.View("labels").I32.ToArray();
        double worst = 0;
        using var file = new CurveFile("lora_" + golden.Name);
        for (int step = 0; step < curve.GetProperty("steps").GetInt32(); step++)
        {
            StepReport report = trainer.Step([RecordedRows.Labelled(tokens.AsSpan(step * 64, 64), labels.AsSpan(step * 64, 64), default, 16, 16)]);
            file.Add(step, curve.GetProperty("loss")[step].GetDouble(), report.Loss);
            double difference = Math.Abs(report.Loss - curve.GetProperty("loss")[step].GetDouble()), allowed = curve.GetProperty("loss_tolerance")[step].GetDouble();
            worst = Math.Max(worst, difference / allowed);
            Assert.True(difference <= allowed, $"step {step}: loss {report.Loss:g9} is {difference:g3} away, {allowed:g3} allowed");
            Assert.Equal(curve.GetProperty("grad_norm")[step].GetDouble(), report.GradientNorm, 1e-3);
        }

        using SafetensorsFile final = golden.Beside(curve.GetProperty("final_adapter").GetString()!);
        double limit = curve.GetProperty("final_adapter_tolerance_max_abs").GetDouble();
        foreach (LoraTensor tensor in adapter.Tensors)
            Assert.True(TrainingCase.Largest(final.View(tensor.Name).F32, tensor.Gather(parameter => parameter.Value)) <= limit, tensor.Name);
        output.WriteLine($"curve: {worst:p0} of what is allowed");
    }
}
