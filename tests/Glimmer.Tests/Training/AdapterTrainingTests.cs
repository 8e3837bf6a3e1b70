using System.Text.Json;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training;

/// <summary>What training of adapters promises: the same bits however it runs, and no fp32 copy of a quantised base.</summary>
public class AdapterTrainingTests(ITestOutputHelper output)
{
    private static readonly LoraOptions s_everything = new()
    {
        Rank = 2,
        Alpha = 4,
        TargetModules = ["all-linear", "all-router"],
        RankPattern = [KeyValuePair.Create("o_proj", 3)],
        AlphaPattern = [KeyValuePair.Create("q_proj", 1f)],
        ModulesToSave = ["lm_head"],
        Dropout = 0.2f,
        Seed = 5,
    };

    public static TheoryData<string> QuantisedModels() => Fixtures.Rows(
        Fixtures.Folder("formats") is null ? null : ["glm4moe-q8_0-mtp", "glm4moe-q4_1", "llama-q4_1-tied", "deepseek2-q4_k"]);

    [Theory]
    [InlineData(1, 0, "k_proj,kv_a_proj_with_mqa,kv_b_proj,o_proj,q_a_proj,q_b_proj,q_proj,v_proj", "mlp.experts.down_proj,mlp.experts.gate_up_proj")]
    [InlineData(2, 0.05, "down_proj,gate_proj,k_proj,kv_a_proj_with_mqa,kv_b_proj,o_proj,q_a_proj,q_b_proj,q_proj,up_proj,v_proj", "")]
    public void The_configuration_of_a_new_adapter_lets_peft_make_the_factors_of_the_file(int denseLayers, double dropout, string modules, string parameters)
    {
        // PEFT refuses dropout beside stacked experts, and takes the names of dense layers for theirs with twice the rank.
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery.Replace("\"first_k_dense_replace\": 1", $"\"first_k_dense_replace\": {denseLayers}", StringComparison.Ordinal), folder["model"], c);
        using LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 2, Dropout = 0.05f, TargetModules = ["all-linear"] });
        Directory.CreateDirectory(folder["adapter"]);
        adapter.Save(folder["adapter"]);
        using (JsonDocument config = JsonDocument.Parse(File.ReadAllBytes(folder["adapter/adapter_config.json"])))
        {
            Assert.Equal(dropout, config.RootElement.GetProperty("lora_dropout").GetDouble(), 1e-6);
            Assert.Equal(modules, Names("target_modules"));
            Assert.Equal(parameters, Names("target_parameters"));

            string Names(string key) => string.Join(',', config.RootElement.GetProperty(key).EnumerateArray().Select(name => name.GetString()));
        }

        // All factors come back, those of dense and shared layers too.
        using LoraAdapter read = LoraAdapter.Load(model, folder["adapter"]);
        Assert.Equal(adapter.Tensors.Select(tensor => tensor.Name).Order(StringComparer.Ordinal), read.Tensors.Select(tensor => tensor.Name).Order(StringComparer.Ordinal));
        Assert.Contains(read.Tensors, tensor => tensor.Name.Contains("layers.0.mlp.gate_proj", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(TinyRun.GroupedQuery)]
    [InlineData(TinyRun.Latent)]
    public void Threads_recomputation_and_resuming_change_no_bit(string config)
    {
        Dictionary<string, float[]> expected = After(config, threads: 1, recompute: false, stopAt: 4);
        foreach ((int threads, bool recompute, int stop) in (ReadOnlySpan<(int, bool, int)>)[(2, false, 4), (3, true, 4), (1, true, 2)])
            TinyRun.AssertSame(expected, After(config, threads, recompute, stop));
    }

    [Theory]
    [InlineData(TinyRun.GroupedQuery)]
    [InlineData(TinyRun.Latent)]
    public void Gradients_of_every_factor_are_those_of_central_differences(string config)
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(2);
        using CausalLm model = TinyRun.Model(config, folder["model"], c);
        using LoraAdapter adapter = LoraAdapter.Create(model, s_everything);
        Shake(adapter);
        adapter.Attach(model);
        MicroBatch[] batch = TinyRun.Batch(TinyRun.Data(3));
        TrainerOptions options = new() { LearningRate = Schedule.Constant(0), ClipNorm = null, Seed = 9, EmbeddingNoise = 1 };
        using var trainer = new Trainer(model, c, options, adapter);
        trainer.Step(batch);
        Dictionary<Parameter, float[]> gradients = adapter.Parameters.ToDictionary(p => p, p => p.Gradient!.F32.ToArray());
        double worst = 0;
        foreach (Parameter parameter in adapter.Parameters)
        {
            // Along its own gradient, where the difference is largest beside the rounding of fp32.
            float[] gradient = gradients[parameter], start = parameter.Value!.F32.ToArray();
            double norm = Math.Sqrt(gradient.Sum(g => (double)g * g));
            if (norm < 1e-4)
                continue;
            const double Step = 2e-3;
            double up = LossAt(Step), down = LossAt(-Step);
            LossAt(0);
            worst = Math.Max(worst, Math.Abs(((up - down) / (2 * Step)) - norm) / norm);

            double LossAt(double distance)
            {
                for (int i = 0; i < start.Length; i++)
                    parameter.Value.F32[i] = (float)(start[i] + (distance * gradient[i] / norm));
                parameter.Touch();
                trainer.Steps = 0; // the same draws
                return trainer.Step(batch).Loss;
            }
        }

        output.WriteLine($"largest relative difference: {worst:g3}");
        Assert.True(worst < 0.02, $"{worst:g3}");
    }

    [SkippableTheory]
    [MemberData(nameof(QuantisedModels))]
    public void A_quantised_base_gives_the_bits_of_its_fp32_values_and_is_never_kept_as_them(string name)
    {
        Fixtures.SkipIfAbsent(name);
        Dictionary<string, float[]>? expected = null;
        foreach (bool keepsValues in (ReadOnlySpan<bool>)[true, false])
        {
            using var c = new Compute(2);
            using Checkpoint checkpoint = Checkpoint.Open(Directory.EnumerateFiles(Path.Combine(Fixtures.Folder("formats")!, "gguf", name), "*.gguf").Order(StringComparer.Ordinal).First());
            using CausalLm model = checkpoint.LoadModel(c.Team);
            if (keepsValues)
            {
                foreach (Parameter parameter in model.Parameters)
                    parameter.EnsureValue();
            }

            using LoraAdapter adapter = LoraAdapter.Create(model, s_everything with { ModulesToSave = [], TargetModules = model.Config.NRoutedExperts > 0 ? ["all-linear", "all-router"] : ["all-linear"] });
            Shake(adapter);
            adapter.Attach(model);
            using var trainer = new Trainer(model, c, new TrainerOptions { LearningRate = Schedule.Constant(1e-3), RecomputeBlocks = true }, adapter);
            int vocabulary = model.Config.VocabSize;
            for (int step = 0; step < 2; step++)
                trainer.Step([new MicroBatch([[TrainingDocument.NextToken([.. Enumerable.Range(0, 40).Select(i => ((i * 37) + step) % vocabulary)])]])]);
            Dictionary<string, float[]> state = adapter.Parameters.ToDictionary(p => p.Name, p => p.Value!.F32.ToArray());
            if (expected is null)
                expected = state;
            else
                TinyRun.AssertSame(expected, state);
            Parameter[] quantised = [.. model.Parameters.Where(p => p.PackedOrNull is { Type: not (DType.F32 or DType.BF16) })];
            Assert.NotEmpty(quantised);
            Assert.All(quantised, p => Assert.Equal(keepsValues, p.Value is not null));
            Assert.All(quantised, p => Assert.Equal(!keepsValues, p.HasBlocksOnly));
        }
    }

    [SkippableTheory]
    [MemberData(nameof(QuantisedModels))]
    public async Task Log_probabilities_in_training_are_those_of_the_engine_with_the_same_adapter(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var c = new Compute(2);
        using Checkpoint checkpoint = Checkpoint.Open(Directory.EnumerateFiles(Path.Combine(Fixtures.Folder("formats")!, "gguf", name), "*.gguf").Order(StringComparer.Ordinal).First());
        using CausalLm model = checkpoint.LoadModel(c.Team);
        using LoraAdapter adapter = LoraAdapter.Create(model, s_everything with { ModulesToSave = [], TargetModules = ["all-linear"] });
        Shake(adapter);
        using var folder = new TemporaryFolder();
        adapter.Save(folder.ToString());
        int[] tokens = [.. Enumerable.Range(0, 50).Select(i => i * 31 % model.Config.VocabSize)];
        var training = new float[tokens.Length];
        adapter.Attach(model);
        var tape = new Tape();
        c.Begin(tape);
        var batch = new Batch();
        batch.AddDocument(tokens);
        model.Loss(c, model.Forward(c, batch), [.. tokens[1..], -1], [.. Enumerable.Repeat(1f, tokens.Length)], training);
        tape.Backward();
        c.Tape = null;
        adapter.Detach();
        using var engine = new Engine(model, c, new EngineOptions { PrefillTokens = 13, Adapters = new Dictionary<string, string> { ["x"] = folder.ToString() } });
        Generation generation = engine.Submit(new GenerationRequest { Prompt = tokens, MaxTokens = 1, PromptLogprobs = true, Adapter = "x" });
        await foreach (EngineToken _ in generation.ReadAllAsync())
        {
        }

        Models.EqualBits.AssertSame(training[..^1], [.. generation.PromptLogprobs], name);
    }

    [Fact]
    public void LoRA_plus_multiplies_the_rate_of_B_and_freezing_leaves_weights_alone()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        var moves = new List<Dictionary<string, double>>();
        foreach (double ratio in (ReadOnlySpan<double>)[1, 8])
        {
            using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
            using LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions { Rank = 2 });
            Shake(adapter);
            adapter.Attach(model);
            Dictionary<string, float[]> before = adapter.Parameters.ToDictionary(p => p.Name, p => p.Value!.F32.ToArray());
            var options = new TrainerOptions { LearningRate = Schedule.Constant(1e-3), LoraPlusRatio = ratio, Optimizer = new OptimizerOptions { WeightDecay = 0 } };
            using var trainer = new Trainer(model, c, options, adapter);
            trainer.Step(TinyRun.Batch(TinyRun.Data(3)));
            moves.Add(adapter.Parameters.ToDictionary(p => p.Name, p => p.Value!.F32.ToArray().Zip(before[p.Name], (a, b) => Math.Abs((double)a - b)).Max()));
        }

        foreach ((string name, double move) in moves[0].Where(item => item.Value > 0)) // The MTP layer has no loss here.
            Assert.Equal(name.Contains("lora_B", StringComparison.Ordinal) ? 8 : 1, moves[1][name] / move, 2);

        using CausalLm frozen = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        Dictionary<string, float[]> start = frozen.Parameters.ToDictionary(p => p.Name, p => p.EnsureValue().F32.ToArray());
        var selection = new ParameterSelection { Frozen = ["model.layers.0."], FrozenPattern = @"embed|\.experts\.\d+\.", Trained = ["model.layers.0.mlp.up_proj"] };
        using var partly = new Trainer(frozen, c, TinyRun.Options(frozen) with { Parameters = selection, BiasRate = Schedule.Constant(0), LearningRate = Schedule.Constant(1e-3) });
        partly.Step(TinyRun.Batch(TinyRun.Data(3)));
        foreach (Parameter parameter in frozen.Parameters)
        {
            bool trains = !parameter.IsBuffer && (parameter.Name == "model.layers.0.mlp.up_proj.weight"
                || !(parameter.Name.StartsWith("model.layers.0.", StringComparison.Ordinal) || parameter.Name.Contains("embed", StringComparison.Ordinal) || parameter.Name.Contains(".experts.", StringComparison.Ordinal)));
            Assert.Equal(trains, parameter.Gradient is not null);
            Assert.Equal(!trains, start[parameter.Name].AsSpan().SequenceEqual(parameter.Value!.F32));
        }
    }

    // Trains to step 4 with a checkpoint and a fresh start in between.
    private static Dictionary<string, float[]> After(string config, int threads, bool recompute, int stopAt)
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(threads);
        CutRows data = TinyRun.Data(11);
        MicroBatch[][] batches = [.. Enumerable.Range(0, 4).Select(_ => TinyRun.Batch(data))];
        TrainingCheckpoint? stored = null;
        for (int first = 0; ; first = stopAt)
        {
            using CausalLm model = TinyRun.Model(config, folder["model"], c);
            using LoraAdapter adapter = LoraAdapter.Create(model, s_everything);
            adapter.Attach(model);
            TrainerOptions options = TinyRun.Options(model, recompute) with { BiasRate = Schedule.Constant(0), Seed = 3, EmbeddingNoise = 2, LoraPlusRatio = 4 };
            using var trainer = new Trainer(model, c, options, adapter);
            var weights = new AdapterWeights(adapter, null);
            var checkpoints = new CheckpointFolder(folder["run"], weights, 2);
            stored?.Restore(trainer, weights);
            int end = first == 0 ? stopAt : 4;
            for (int step = first; step < end; step++)
                trainer.Step(batches[step]);
            if (end == 4)
                return adapter.Parameters.ToDictionary(p => p.Name, p => p.Value!.F32.ToArray()).Concat(trainer.Optimizer.State.Select(s => KeyValuePair.Create(s.Key, s.Value.F32.ToArray()))).ToDictionary();
            checkpoints.Save(trainer, "null");
            stored = checkpoints.Latest;
        }
    }

    // A new adapter has zeros as B, which hide the gradients of A.
    private static void Shake(LoraAdapter adapter)
    {
        var random = new Random(1);
        foreach (Parameter parameter in adapter.Parameters)
        {
            foreach (ref float value in parameter.Value!.F32)
                value += (float)(random.NextDouble() - 0.5) * 0.2f;
            parameter.Touch();
        }
    }
}
