using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Loops;
using Glimmer.Training.Recipes;
using Glimmer.Training.Runs;

namespace Glimmer.Tests.Training.Loops;

public class AdaptDsaTests
{
    [Fact]
    public void An_adaptation_that_is_interrupted_in_both_phases_equals_one_that_is_not()
    {
        using var folder = new TemporaryFolder();
        AdaptationRecipe recipe = Recipe(folder, TinyRun.Sparse, "whole");
        IReadOnlyList<RunResult> whole = AdaptDsa.Run(recipe, 1);
        Assert.Equal([RunEnd.Complete, RunEnd.Complete], whole.Select(result => result.End));
        AdaptationRecipe parts = recipe with { Output = folder["parts"] };
        // Steps of both runs count from 0: the last two stop the second.
        foreach ((int stop, int runs) in (ReadOnlySpan<(int, int)>)[(2, 1), (4, 1), (1, 2), (5, 2)])
        {
            using var interrupt = new CancellationTokenSource();
            IReadOnlyList<RunResult> ended = AdaptDsa.Run(parts, 2, new StopAfter(stop, interrupt), interrupt.Token);
            Assert.Equal(runs, ended.Count);
            Assert.Equal(RunEnd.Interrupted, ended[^1].End);
        }

        IReadOnlyList<RunResult> rest = AdaptDsa.Run(parts, 3);
        for (int phase = 0; phase < 2; phase++)
        {
            Assert.Equal((whole[phase].Steps, whole[phase].TokensSeen), (rest[phase].Steps, rest[phase].TokensSeen));
            SameRun.AssertCheckpoints(whole[phase].Checkpoint, rest[phase].Checkpoint);
            string name = phase == 0 ? AdaptDsa.WarmUpFolder : AdaptDsa.SparseFolder;
            SameRun.AssertLogs(folder["whole/" + name], folder["parts/" + name]);
        }
    }

    [Fact]
    public void The_warm_up_moves_the_indexers_alone_and_the_sparse_phase_everything()
    {
        using var folder = new TemporaryFolder();
        AdaptationRecipe recipe = Recipe(folder, TinyRun.Sparse, "run");
        recipe.WarmUp.Tokens = 6_000;
        IReadOnlyList<RunResult> results = AdaptDsa.Run(recipe, 1);
        Dictionary<string, float[]> dense = Weights(folder["dense"]), warm = Weights(results[0].Checkpoint), sparse = Weights(results[1].Checkpoint);
        foreach ((string name, float[] values) in dense)
        {
            Assert.Equal(!name.Contains(".indexer.", StringComparison.Ordinal), values.AsSpan().SequenceEqual(warm[name]));
            // A balance bias stays: its rate is 0.
            Assert.Equal(name.EndsWith("e_score_correction_bias", StringComparison.Ordinal), warm[name].AsSpan().SequenceEqual(sparse[name]));
        }

        RunHistory history = RunHistory.Read(folder["run/warm-up"]);
        Assert.All(history.Evaluations, evaluation => Assert.Equal(history.Evaluations[0].Figures["dense_loss"], evaluation.Figures["dense_loss"]));
        Assert.All(history.Evaluations, evaluation => Assert.Equal(evaluation.Figures["valid_loss"], evaluation.Figures["sparse_loss"], 1e-6));
        Assert.True(history.Steps[^1]["indexer_loss/1"] < 0.8 * history.Steps[0]["indexer_loss/1"], $"{history.Steps[0]["indexer_loss/1"]} -> {history.Steps[^1]["indexer_loss/1"]}");
        Assert.True(history.Evaluations[^1].Figures["indexer_kl_dense"] < history.Evaluations[0].Figures["indexer_kl_dense"]);
        Assert.InRange(history.Evaluations[^1].Figures["indexer_recall"], history.Evaluations[0].Figures["indexer_recall"], history.Evaluations[^1].Figures["indexer_recall_best"]);
        foreach (string plot in (string[])["indexer_loss", "eval_indexer_recall", "loss"])
            Assert.True(File.Exists(folder[$"run/warm-up/plots/{plot}.svg"]), plot);
        Assert.True(RunHistory.Read(folder["run/sparse"]).Steps[^1]["loss"] < RunHistory.Read(folder["run/sparse"]).Steps[0]["loss"]);
    }

    [Fact]
    public void A_dense_latent_model_is_given_indexers_that_change_no_number()
    {
        using var folder = new TemporaryFolder();
        AdaptationRecipe recipe = Recipe(folder, TinyRun.Latent, "run") with { IndexTopk = 6, IndexNHeads = 2, IndexHeadDim = 8, Mtp = new MtpRecipe() };
        IReadOnlyList<RunResult> results = AdaptDsa.Run(recipe, 1);
        using Checkpoint adapted = Checkpoint.Open(results[^1].Checkpoint);
        Assert.Equal(("glm_moe_dsa", 6), (adapted.Config.ModelType, adapted.Config.IndexTopk));
        // As many tokens as keys: attention is over all of them.
        Models.EqualBits.AssertSame(Logits(folder["dense"], 6), Logits(folder["run/initial"], 6), "logits");
        Assert.False(Logits(folder["dense"], 20).AsSpan().SequenceEqual(Logits(folder["run/initial"], 20)));
    }

    [Theory]
    [InlineData(TinyRun.GroupedQuery, 6, "glm4_moe")]
    [InlineData(TinyRun.Latent, null, "index_topk")]
    [InlineData(TinyRun.Sparse, 32, "nothing would be left out")]
    public void What_cannot_be_adapted_is_refused(string config, int? keys, string message)
    {
        using var folder = new TemporaryFolder();
        AdaptationRecipe recipe = Recipe(folder, config, "run") with { IndexTopk = keys };
        Assert.Contains(message, Assert.Throws<RecipeException>(() => AdaptDsa.Run(recipe, 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recipe_is_read_and_written_with_all_of_its_keys()
    {
        using var folder = new TemporaryFolder();
        AdaptationRecipe recipe = Recipe(folder, TinyRun.Sparse, "run");
        string text = RecipeFile.Write(recipe, RecipeJson.Default.AdaptationRecipe);
        File.WriteAllText(folder["recipe.yaml"], text);
        AdaptationRecipe read = AdaptationRecipe.Load(folder["recipe.yaml"], [KeyValuePair.Create("warm_up.tokens", "7_000"), KeyValuePair.Create("balance.sequence_weight", "0.5")]);
        Assert.Equal((7_000, 0.5, 0), (read.WarmUp.Tokens, read.Balance.SequenceWeight, read.Balance.BiasRate));
        read.WarmUp.Tokens = recipe.WarmUp.Tokens;
        read.Balance.SequenceWeight = recipe.Balance.SequenceWeight;
        Assert.Equal(text, RecipeFile.Write(read, RecipeJson.Default.AdaptationRecipe));
    }

    private static float[] Logits(string path, int tokens)
    {
        using var c = new Compute(1);
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using CausalLm model = checkpoint.LoadModel(c.Team);
        c.Begin();
        var batch = new Batch();
        batch.AddDocument([.. Enumerable.Range(0, tokens).Select(i => (i * 7) % 40)]);
        Tensor logits = model.Logits(c, model.Forward(c, batch));
        return logits.F32.ToArray();
    }

    private static Dictionary<string, float[]> Weights(string path)
    {
        using Checkpoint checkpoint = Checkpoint.Open(path);
        var weights = new Dictionary<string, float[]>();
        foreach (Glimmer.Formats.TensorInfo tensor in checkpoint.Weights.Tensors)
        {
            weights[tensor.Name] = new float[tensor.Shape.ToArray().Aggregate(1, (a, b) => a * b)];
            checkpoint.Weights.ReadFloat32(tensor.Name, weights[tensor.Name]);
        }

        return weights;
    }

    private static AdaptationRecipe Recipe(TemporaryFolder folder, string config, string output)
    {
        Directory.CreateDirectory(folder["data"]);
        TinyRun.WriteShard(folder["data/a.tokens"], 40);
        ModelInitializer.Write(config, folder["dense"], 3);
        return new AdaptationRecipe
        {
            Model = folder["dense"],
            Output = folder[output],
            SequenceLength = 32,
            MicroBatchRows = 2,
            Data = [new DataRecipe { Path = folder["data"] }],
            HeldOut = new HeldOutRecipe { Path = folder["data/a.tokens"], Rows = 3, Every = 3 },
            WarmUp = new PhaseRecipe { Tokens = 700, Batch = new BatchRecipe { Tokens = 128 }, LearningRate = new LearningRateRecipe { Peak = 1e-2 } },
            Sparse = new PhaseRecipe { Tokens = 900, Batch = new BatchRecipe { Tokens = 128 }, LearningRate = new LearningRateRecipe { Shape = LearningRateShape.Constant, Peak = 5e-3 } },
            Mtp = new MtpRecipe { Depths = config == TinyRun.Latent ? 0 : 1 },
            Save = new SaveRecipe { Every = 2 },
        };
    }
}
