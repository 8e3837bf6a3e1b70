using Glimmer.Models;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Recipes;
using Glimmer.Training.Runs;

namespace Glimmer.Training.Loops;

/// <summary>DSA adaptation: a model trained with attention over all keys learns to choose its keys, in two runs.</summary>
/// <remarks>
/// <para>1. <c>warm-up</c>: attention is dense and only the indexers learn, from the attention that they are to stand for. 2. <c>sparse</c>: attention runs over the chosen keys, everything learns from
/// the usual losses, and the indexers go on with theirs, over the chosen keys.</para>
/// <para>Both are stages of <see cref="Pretrain"/>; started again, the adaptation goes on where it stopped, in either phase, with the bits of one that never stopped. GLM-5 report, 2.1.1; DeepSeek-V3.2
/// report, 2.1.</para>
/// </remarks>
public static class AdaptDsa
{
    /// <summary>Name of the first run's folder.</summary>
    public const string WarmUpFolder = "warm-up";

    /// <summary>Name of the second run's folder.</summary>
    public const string SparseFolder = "sparse";

    /// <summary>Runs the adaptation, or goes on with it.</summary>
    /// <param name="recipe">What to do.</param>
    /// <param name="threads">Computing threads.</param>
    /// <param name="progress">Told after every step.</param>
    /// <param name="stop">Asks to stop after the step that is being taken; a checkpoint is written.</param>
    /// <param name="notice">Told of checkpoints that are passed over because they are damaged or unfinished.</param>
    /// <returns>How the phases ended that ran: the second is missing when the first was interrupted.</returns>
    /// <exception cref="RecipeException">The recipe lacks a value, or values do not fit together.</exception>
    /// <exception cref="Glimmer.ModelFormatException">Model or data cannot be read.</exception>
    /// <exception cref="ArithmeticException">A gradient is not finite and the recipe says to stop.</exception>
    public static IReadOnlyList<RunResult> Run(AdaptationRecipe recipe, int threads, IProgress<RunProgress>? progress = null, CancellationToken stop = default, Action<string>? notice = null)
    {
        Check(recipe);
        Directory.CreateDirectory(recipe.Output);
        using FileStream @lock = RunRecorder.Lock(recipe.Output);
        RunSettings.Of(recipe, RecipeJson.Default.AdaptationRecipe).Write(recipe.Output);
        string warmUp = Path.Combine(recipe.Output, WarmUpFolder), sparse = Path.Combine(recipe.Output, SparseFolder);
        RunResult first = Pretrain.Run(recipe.StageOf(IndexerStage.WarmUp, Start(recipe), warmUp), threads, progress, stop, notice);
        return first.End == RunEnd.Interrupted ? [first] : [first, Pretrain.Run(recipe.StageOf(IndexerStage.Sparse, first.Checkpoint, sparse), threads, progress, stop, notice)];
    }

    // The dense model; one without indexers is written with new ones first.
    private static string Start(AdaptationRecipe recipe)
    {
        string dense = CheckpointFolder.Find(recipe.Model, out _)?.Folder ?? recipe.Model;
        using Checkpoint checkpoint = Checkpoint.Open(dense);
        if (checkpoint.Config.IndexTopk > 0)
            return dense;
        string initial = Path.Combine(recipe.Output, "initial");
        if (!File.Exists(Path.Combine(initial, "config.json"))) // written last
        {
            IndexerAddition.Write(checkpoint, recipe, initial);
            CheckpointConverter.CopyCompanions(dense, initial);
        }

        return initial;
    }

    private static void Check(AdaptationRecipe recipe)
    {
        Pretrain.Require(recipe.Model.Length > 0, "model: name the folder of a dense checkpoint or run.");
        Pretrain.Require(Directory.Exists(recipe.Model), $"model: there is no folder '{recipe.Model}'. An adaptation starts from trained weights.");
        Pretrain.Require(recipe.Output.Length > 0, "output: name the folder of the adaptation.");
        Pretrain.Require(recipe.IndexTopk is null or > 0, $"index_topk: {recipe.IndexTopk} is not above 0.");
        Pretrain.Require(recipe.IndexTopk is not { } keys || keys < recipe.SequenceLength, $"index_topk: rows of {recipe.SequenceLength} tokens have no more than the {recipe.IndexTopk} keys that are chosen: nothing would be left out.");
        Pretrain.Require(recipe.WarmUp.Tokens > 0, "warm_up.tokens: say how many tokens the warm-up is to see.");
        Pretrain.Require(recipe.Sparse.Tokens > 0, "sparse.tokens: say how many tokens the sparse phase is to see.");
        Pretrain.Require(recipe.WarmUp.LearningRate.Peak > 0, "warm_up.learning_rate.peak: say how fast the indexers learn; GLM-5 takes 5e-3 to 2e-4.");
        Pretrain.Require(recipe.Sparse.LearningRate.Peak > 0, "sparse.learning_rate.peak: say how fast the model learns; GLM-5 takes 1e-5, constant.");
    }
}
