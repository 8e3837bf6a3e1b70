using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Models.Gguf;
using Glimmer.Quantization;
using Glimmer.Tensors;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Loops;
using Glimmer.Training.Recipes;
using Glimmer.Training.Runs;

namespace Glimmer.Tests.Training.Loops;

public class PretrainTests
{
    [Theory]
    [InlineData(RowPacking.Cut)]
    [InlineData(RowPacking.BestFit)]
    public void A_stage_that_is_interrupted_equals_one_that_is_not(RowPacking packing)
    {
        using var folder = new TemporaryFolder();
        TrainingRecipe recipe = Recipe(folder, "whole") with { Packing = packing };
        RunResult whole = Pretrain.Run(recipe, 1);
        Assert.Equal(RunEnd.Complete, whole.End);
        TrainingRecipe parts = recipe with { Output = folder["parts"] };
        foreach (int stop in (int[])[3, 4, 7])
        {
            using var interrupt = new CancellationTokenSource();
            Assert.Equal(RunEnd.Interrupted, Pretrain.Run(parts, 2, new StopAfter(stop, interrupt), interrupt.Token).End);
        }

        RunResult rest = Pretrain.Run(parts, 3);
        Assert.Equal((whole.End, whole.Steps, whole.TokensSeen, whole.Evaluation), (rest.End, rest.Steps, rest.TokensSeen, rest.Evaluation));
        foreach (string file in (string[])["model.safetensors", "optimizer/model.safetensors", "trainer_state.json"])
            Assert.Equal(File.ReadAllBytes(Path.Combine(whole.Checkpoint, file)), File.ReadAllBytes(Path.Combine(rest.Checkpoint, file)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Checkpoints_in_bf16_are_rounded_and_training_goes_on_from_the_fp32_weights(bool asynchronous)
    {
        using var folder = new TemporaryFolder();
        TrainingRecipe recipe = Recipe(folder, "fp32"), rounded = recipe with { Output = folder["bf16"], Save = new SaveRecipe { Every = 3, Weights = WeightStorage.Bfloat16, Asynchronous = asynchronous } };
        RunResult whole = Pretrain.Run(recipe, 1);
        using var interrupt = new CancellationTokenSource();
        Assert.Equal(RunEnd.Interrupted, Pretrain.Run(rounded, 1, new StopAfter(4, interrupt), interrupt.Token).End);
        RunResult stored = Pretrain.Run(rounded, 1);
        Assert.Equal(File.ReadAllBytes(Path.Combine(whole.Checkpoint, "optimizer/model.safetensors")), File.ReadAllBytes(Path.Combine(stored.Checkpoint, "optimizer/model.safetensors")));
        using (Checkpoint exact = Checkpoint.Open(whole.Checkpoint), bf16 = Checkpoint.Open(stored.Checkpoint))
        {
            Assert.Equal("bfloat16", JsonDocument.Parse(bf16.ConfigJson).RootElement.GetProperty("dtype").GetString());
            foreach (TensorInfo tensor in exact.Weights.Tensors)
            {
                bool isBias = tensor.Name.EndsWith("e_score_correction_bias", StringComparison.Ordinal);
                Assert.Equal(isBias ? DType.F32 : DType.BF16, bf16.Weights.Get(tensor.Name).Type);
                Assert.Equal(Values(exact, tensor.Name).Select(value => isBias ? value : Rounded(value)), Values(bf16, tensor.Name));
            }
        }

        // A later stage takes the fp32 weights too.
        foreach (bool continues in (bool[])[true, false])
        {
            double[] losses = [.. ((string[])["fp32", "bf16"]).Select(run => Pretrain.Run(recipe with { Model = folder[run], Output = folder[$"after-{run}-{continues}"], Continue = continues, Tokens = 2_000 }, 1).Evaluation!.Loss)];
            Assert.Equal(losses[0], losses[1]);
        }
    }

    [Fact]
    public void The_loss_falls_and_the_log_and_the_recipe_are_kept()
    {
        using var folder = new TemporaryFolder();
        TrainingRecipe recipe = Recipe(folder, "run") with { Tokens = 12_000 };
        recipe.LearningRate.Peak = 2e-2;
        RunResult result = Pretrain.Run(recipe, 1);
        double[] losses = [.. File.ReadLines(folder["run/log.jsonl"]).Select(line => JsonDocument.Parse(line).RootElement).Where(step => step.TryGetProperty("loss", out _)).Select(step => step.GetProperty("loss").GetDouble())];
        Assert.Equal(result.Steps, losses.Length);
        Assert.True(losses[^1] < losses[0] - 0.5, $"{losses[0]} -> {losses[^1]}");
        Assert.True(result.Evaluation!.Loss < losses[0] - 0.5);
        Assert.Equal(RecipeFile.Write(recipe, RecipeJson.Default.TrainingRecipe), RecipeFile.Write(TrainingRecipe.Load(folder["run/recipe.yaml"], []), RecipeJson.Default.TrainingRecipe));
        using Checkpoint checkpoint = Checkpoint.Open(result.Checkpoint);
        Assert.Equal("glm4_moe", checkpoint.Config.ModelType);
    }

    [Fact]
    public void Mid_training_continues_schedule_and_optimizer_with_another_rotary_base()
    {
        using var folder = new TemporaryFolder();
        RunResult first = Pretrain.Run(Recipe(folder, "first"), 1);
        TrainingRecipe recipe = Recipe(folder, "second") with
        {
            Model = folder["first"],
            Continue = true,
            Packing = RowPacking.BestFit,
            SequenceLength = 64,
            RopeTheta = 50_000,
            Tokens = 3_000,
            Mtp = new MtpRecipe { Depths = 1 },
        };
        RunResult second = Pretrain.Run(recipe, 1);
        Assert.True(second.Steps > first.Steps);
        Assert.InRange(second.TokensSeen, 3_000, 3_300);
        using Checkpoint checkpoint = Checkpoint.Open(second.Checkpoint);
        Assert.Equal(50_000, checkpoint.Config.RopeTheta);
        using var log = JsonDocument.Parse(File.ReadLines(folder["second/log.jsonl"]).First(line => line.Contains("\"loss\"", StringComparison.Ordinal)));
        Assert.Equal(first.Steps, log.RootElement.GetProperty("step").GetInt64());
        Assert.Equal(1, log.RootElement.GetProperty("mtp_loss").GetArrayLength());
    }

    [Fact]
    public void The_layer_of_mtp_stays_as_it_is_when_it_is_not_trained()
    {
        using var folder = new TemporaryFolder();
        RunResult result = Pretrain.Run(Recipe(folder, "run"), 1);
        using Checkpoint before = Checkpoint.Open(folder["run/initial"]), after = Checkpoint.Open(result.Checkpoint);
        Assert.Equal(Values(before, "model.layers.2.eh_proj.weight"), Values(after, "model.layers.2.eh_proj.weight"));
        Assert.NotEqual(Values(before, "model.layers.1.self_attn.q_proj.weight"), Values(after, "model.layers.1.self_attn.q_proj.weight"));
    }

    [Fact]
    public void Runs_with_other_seeds_are_measured_on_the_same_held_out_rows()
    {
        using var folder = new TemporaryFolder();
        TrainingRecipe recipe = Recipe(folder, "first");
        string model = Pretrain.Run(recipe, 1).Checkpoint;
        double[] losses = [.. ((ulong[])[1, 2]).Select(seed =>
        {
            TrainingRecipe again = recipe with { Model = model, Output = folder[$"seed-{seed}"], Seed = seed, Tokens = 1, LearningRate = new LearningRateRecipe { Peak = 1e-30, Shape = LearningRateShape.Constant }, Balance = new BalanceRecipe { BiasRate = 0 } };
            return Pretrain.Run(again, 1).Evaluation!.Loss;
        })];
        Assert.Equal(losses[0], losses[1]);
    }

    [Fact]
    public void Data_of_another_vocabulary_is_refused()
    {
        using var folder = new TemporaryFolder();
        TrainingRecipe recipe = Recipe(folder, "run");
        TinyRun.WriteShard(folder["data/big.tokens"], 50);
        RecipeException error = Assert.Throws<RecipeException>(() => Pretrain.Run(recipe, 1));
        Assert.Contains("50", error.Message, StringComparison.Ordinal);
        Assert.Contains("40", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Data_of_another_tokenizer_is_refused()
    {
        using var folder = new TemporaryFolder();
        TrainingRecipe recipe = Recipe(folder, "run");
        TinyRun.WriteShard(folder["other.tokens"], 40, tokenizer: 1);
        foreach (TrainingRecipe mixed in (TrainingRecipe[])[recipe with { Data = [.. recipe.Data, new DataRecipe { Path = folder["other.tokens"] }] }, recipe with { HeldOut = new HeldOutRecipe { Path = folder["other.tokens"] } }])
            Assert.Contains("other.tokens' was made with another tokenizer than", Assert.Throws<RecipeException>(() => Pretrain.Run(mixed, 1)).Message, StringComparison.Ordinal);

        // The model's own, whose fingerprint the shards do not have.
        using GgufFile gguf = GgufFile.Open(EmbeddedModel.Find());
        Directory.CreateDirectory(folder["tokenizer"]);
        TokenizerFromGguf.Write(gguf, TinyRun.GroupedQuery, folder["tokenizer"]);
        Assert.Contains("Tokenise the text again", Assert.Throws<ModelFormatException>(() => Pretrain.Run(recipe with { Tokenizer = folder["tokenizer"] }, 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_shard_is_found_before_the_first_step()
    {
        using var folder = new TemporaryFolder();
        TrainingRecipe recipe = Recipe(folder, "run");
        byte[] bytes = File.ReadAllBytes(folder["data/a.tokens"]);
        bytes[bytes.Length / 2] ^= 1;
        File.WriteAllBytes(folder["data/a.tokens"], bytes);
        Assert.Contains("The shard is damaged", Assert.Throws<ModelFormatException>(() => Pretrain.Run(recipe, 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_that_goes_on_with_other_settings_says_which()
    {
        using var folder = new TemporaryFolder();
        TrainingRecipe recipe = Recipe(folder, "run");
        var notices = new List<string>();
        Pretrain.Run(recipe, 1, notice: notices.Add);
        Pretrain.Run(recipe, 2, notice: notices.Add);
        Pretrain.Run(recipe with { Seed = 9 }, 2, notice: notices.Add); // takes no step, so nothing goes on
        Assert.Empty(notices);
        TrainingRecipe other = recipe with { Tokens = 2_000, Seed = 43, Data = [new DataRecipe { Path = folder["data"], Weight = 0.5 }] };
        Pretrain.Run(other, 1, notice: notices.Add);
        Assert.Equal("The run goes on with other settings than it had: data.0.weight 1 -> 0.5, seed 42 -> 43, tokens 1500 -> 2000.", Assert.Single(notices));
        Assert.Contains(File.ReadLines(folder["run/log.jsonl"]), line => line.Contains("seed 42 -", StringComparison.Ordinal));
        Assert.Equal(43UL, TrainingRecipe.Load(folder["run/recipe.yaml"], []).Seed);
    }

    [Fact]
    public void A_second_process_leaves_the_record_of_a_running_one_alone()
    {
        using var folder = new TemporaryFolder();
        TrainingRecipe recipe = Recipe(folder, "run");
        Pretrain.Run(recipe, 1);
        string before = File.ReadAllText(folder["run/recipe.yaml"]);
        using (RunRecorder.Open(folder["run"], 1_000))
            Assert.Contains("Another process", Assert.Throws<IOException>(() => Pretrain.Run(recipe with { Seed = 9 }, 1)).Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllText(folder["run/recipe.yaml"]));
    }

    private static float Rounded(float value)
    {
        Span<byte> bytes = stackalloc byte[2];
        Span<float> rounded = stackalloc float[1];
        BFloat16.FromFloat32([value], bytes);
        BFloat16.ToFloat32(bytes, rounded);
        return rounded[0];
    }

    private static float[] Values(Checkpoint checkpoint, string name)
    {
        var values = new float[checkpoint.Weights.Get(name).Shape.ToArray().Aggregate(1, (a, b) => a * b)];
        checkpoint.Weights.ReadFloat32(name, values);
        return values;
    }

    private static TrainingRecipe Recipe(TemporaryFolder folder, string output)
    {
        Directory.CreateDirectory(folder["data"]);
        if (!File.Exists(folder["data/a.tokens"]))
        {
            TinyRun.WriteShard(folder["data/a.tokens"], 40);
            File.WriteAllText(folder["config.json"], TinyRun.GroupedQuery);
        }

        return new TrainingRecipe
        {
            Model = folder["config.json"],
            Output = folder[output],
            Tokens = 1_500,
            SequenceLength = 32,
            Packing = RowPacking.Cut,
            MicroBatchRows = 2,
            Data = [new DataRecipe { Path = folder["data"] }],
            HeldOut = new HeldOutRecipe { Path = folder["data/a.tokens"], Rows = 3, Every = 4 },
            Batch = new BatchRecipe { StartTokens = 64, Tokens = 160, RampTokens = 500 },
            LearningRate = new LearningRateRecipe { Peak = 5e-3, WarmupTokens = 200, EndTokens = 4_000 },
            Save = new SaveRecipe { Every = 3 },
        };
    }
}
