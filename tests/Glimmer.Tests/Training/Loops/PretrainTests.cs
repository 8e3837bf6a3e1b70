using System.Text.Json;
using Glimmer.Models;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Loops;
using Glimmer.Training.Recipes;

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
