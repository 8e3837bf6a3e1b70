using System.Text;
using System.Text.Json.Nodes;
using Glimmer.Data.Mixing;
using Glimmer.Data.Tokens;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tokenization;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Distributed;
using Glimmer.Training.Recipes;
using Glimmer.Training.Runs;
using Glimmer.Training.Schedules;

namespace Glimmer.Training.Loops;

/// <summary>Pre-training and mid-training: a stage of next-token prediction on text.</summary>
/// <remarks>
/// Both are the same loop. Mid-training starts from trained weights, packs by best fit instead of cutting documents, and may change the base of the rotary embedding and the length of the
/// rows.
/// With several ranks each of them calls <see cref="Run"/> with the same recipe: model, data and the folder of the run lie where all of them see them.
/// </remarks>
public static class Pretrain
{
    /// <summary>Runs a stage, or goes on with it.</summary>
    /// <param name="recipe">What to do.</param>
    /// <param name="threads">Computing threads.</param>
    /// <param name="progress">Told after every step.</param>
    /// <param name="stop">Asks to stop after the step that is being taken; a checkpoint is written.</param>
    /// <param name="notice">Told of checkpoints that are passed over because they are damaged or unfinished.</param>
    /// <param name="ranks">Ranks that train together; null for this process alone. Not disposed here.</param>
    /// <exception cref="Distributed.CommunicatorException">Another rank failed or has ended.</exception>
    /// <exception cref="RecipeException">The recipe lacks a value, or values do not fit together.</exception>
    /// <exception cref="Glimmer.ModelFormatException">Model or data cannot be read.</exception>
    /// <exception cref="ArithmeticException">A gradient is not finite and the recipe says to stop.</exception>
    public static RunResult Run(
        TrainingRecipe recipe, int threads, IProgress<RunProgress>? progress = null, CancellationToken stop = default, Action<string>? notice = null, Communicator? ranks = null)
    {
        ranks ??= Communicator.Single;
        bool isNew = File.Exists(recipe.Model);
        string initial = Path.Combine(recipe.Output, "initial");
        ranks.OnRoot(() =>
        {
            Check(recipe);
            Directory.CreateDirectory(recipe.Output);
            if (isNew && !File.Exists(Path.Combine(initial, "config.json"))) // written last
                ModelInitializer.Write(File.ReadAllText(recipe.Model), initial, recipe.Seed);
        });

        // Weights: random, or those of a checkpoint.
        using var c = new Compute(threads);
        string start = isNew ? initial : new CheckpointFolder(recipe.Model, null!).Latest?.Folder ?? recipe.Model;
        using Checkpoint checkpoint = Checkpoint.Open(start);
        string configJson = ConfigOf(recipe, checkpoint);
        ModelConfig config = ModelConfig.Parse(Encoding.UTF8.GetBytes(configJson));
        bool sharesExperts = recipe.ExpertParallel && ranks.Size > 1;
        if (sharesExperts)
            CheckShares(recipe, config, ranks);
        using CausalLm model = checkpoint.LoadModel(c.Team, config, options: new LoadOptions { ExpertShare = sharesExperts ? (ranks.Rank, ranks.Size) : null });
        var weights = new ModelWeights(model, configJson, recipe.Tokenizer ?? (isNew ? null : start), recipe.Save.Weights);

        // Data: tokenised shards, mixed, in rows.
        Tokenizer? tokenizer = TokenizerOf(recipe.Tokenizer ?? start);
        var sources = recipe.Data.Select(data => (Data: data, Shards: TokenShards.Open(data.Path, tokenizer))).ToList();
        try
        {
            CheckSameTokenizer(sources);
            if (recipe.VerifyData)
                ranks.OnRoot(() => Verify(recipe, sources.SelectMany(source => source.Shards.Shards)));
            foreach ((DataRecipe data, TokenShards shards) in sources)
                CheckVocabulary(data.Path, shards, model.Config);
            var mixture = new Mixture<int[]>(
                [.. sources.Select(source => new MixtureSource<int[]>(source.Data.Name ?? Path.GetFileNameWithoutExtension(source.Data.Path), source.Shards, source.Data.Weight)
                {
                    MaxEpochs = source.Data.MaxEpochs ?? double.PositiveInfinity,
                })],
                recipe.Seed, document => document.Length);
            var batches = new RowBatches(RowsOf(mixture, recipe), recipe.MicroBatchRows);

            using var trainer = new Trainer(model, c, OptionsOf(recipe), ranks);
            if (ModelWeights.HasMasters(start))
                weights.Read(start);
            if (recipe.Continue)
                TrainingCheckpoint.Read(start).Continue(trainer);
            List<MicroBatch> heldOut = HeldOutOf(recipe, model.Config, sources, tokenizer);
            var run = new TrainingRun(trainer, c, batches, weights, RunOptionsOf(recipe))
            {
                HeldOut = heldOut,
                OperationsPerToken = TrainingWork.PerToken(model.Config, recipe.SequenceLength, recipe.Mtp.Depths),
                FurtherFigures = recipe.Indexer.Stage == IndexerStage.Frozen ? null : () => IndexerQuality.Of(model, c, heldOut).Named(),
                Notice = notice,
            };
            return run.Run(progress, stop);
        }
        finally
        {
            sources.ForEach(source => source.Shards.Dispose());
        }
    }

    private static TrainerOptions OptionsOf(TrainingRecipe recipe) => new()
    {
        Optimizer = recipe.Optimizer.ToOptions(),
        LearningRate = recipe.LearningRate.Schedule(recipe.Tokens),
        ClipNorm = recipe.Optimizer.ClipNorm,
        NextTokenDepths = recipe.Mtp.Depths,
        NextTokenWeight = Schedule.Piecewise((0, recipe.Mtp.Weight), (recipe.Mtp.FinalFromTokens, recipe.Mtp.FinalWeight ?? recipe.Mtp.Weight)),
        BiasRate = Schedule.Constant(recipe.Balance.BiasRate),
        BalanceWeight = recipe.Balance.SequenceWeight,
        ZLossWeight = recipe.Balance.ZLossWeight,
        Indexer = recipe.Indexer.Stage,
        IndexerWeight = recipe.Indexer.Weight,
        RecomputeBlocks = recipe.Recompute,
        ExpertParallel = recipe.ExpertParallel,
        NotFinite = recipe.NotFinite,
    };

    private static RunOptions RunOptionsOf(TrainingRecipe recipe)
    {
        BatchRecipe batch = recipe.Batch;
        var size = new BatchSize(batch.StartTokens ?? batch.Tokens, batch.Tokens, Math.Max(1, batch.RampTokens), recipe.SequenceLength);
        return new RunOptions
        {
            Folder = recipe.Output,
            Settings = RunSettings.Of(recipe, RecipeJson.Default.TrainingRecipe),
            Tokens = recipe.Tokens,
            BatchTokens = size.At,
            SaveEvery = recipe.Save.Every,
            KeepCheckpoints = recipe.Save.Keep,
            SaveAsynchronously = recipe.Save.Asynchronous,
            EvaluateEvery = recipe.HeldOut?.Every ?? 0,
        };
    }

    private static IRowSource RowsOf(Mixture<int[]> mixture, TrainingRecipe recipe) => recipe.Packing == RowPacking.BestFit
        ? new BestFitRows(mixture, recipe.SequenceLength, LongDocuments.Split, recipe.Seed)
        : new CutRows(mixture, recipe.SequenceLength);

    private static List<MicroBatch> HeldOutOf(TrainingRecipe recipe, ModelConfig config, List<(DataRecipe Data, TokenShards Shards)> sources, Tokenizer? tokenizer)
    {
        if (recipe.HeldOut is not { } heldOut)
            return [];
        using TokenShards shards = TokenShards.Open(heldOut.Path, tokenizer);
        CheckSameTokenizer([sources[0], (new DataRecipe { Path = heldOut.Path }, shards)]);
        CheckVocabulary(heldOut.Path, shards, config);
        // The same rows whatever the seed of a run, so that the losses of several stages can be compared.
        var rows = new CutRows(new Mixture<int[]>([new MixtureSource<int[]>("held_out", shards, 1) { MaxEpochs = 1 }], seed: 0, document => document.Length), recipe.SequenceLength);
        var batches = new RowBatches(rows, recipe.MicroBatchRows);
        return [.. batches.Next((long)heldOut.Rows * recipe.SequenceLength) ?? throw new RecipeException($"held_out: '{heldOut.Path}' holds nothing to predict.")];
    }

    private static void Check(TrainingRecipe recipe)
    {
        Require(recipe.Model.Length > 0, "model: name a config.json to start from random weights, or the folder of a checkpoint or run.");
        Require(File.Exists(recipe.Model) || Directory.Exists(recipe.Model), $"model: there is no file or folder '{recipe.Model}'.");
        Require(recipe.Output.Length > 0, "output: name the folder of the run.");
        Require(recipe.Data.Count > 0, "data: name at least one file or folder of tokenised shards.");
        Require(recipe.Tokens > 0, "tokens: say how many tokens the run is to see.");
        Require(recipe.SequenceLength > 0, $"sequence_length: {recipe.SequenceLength} is not above 0.");
        Require(recipe.MicroBatchRows > 0, $"micro_batch_rows: {recipe.MicroBatchRows} is not above 0.");
        Require(recipe.Batch.Tokens >= recipe.SequenceLength, $"batch.tokens: {recipe.Batch.Tokens} tokens do not hold a row of {recipe.SequenceLength}.");
        Require(recipe.LearningRate.Peak > 0, $"learning_rate.peak: {recipe.LearningRate.Peak} is not above 0.");
        Require(!recipe.Continue || Directory.Exists(recipe.Model), "continue: needs the folder of a run as model.");
        Require(recipe.Save.Keep > 0, $"save.keep: {recipe.Save.Keep} is not above 0.");
    }

    private static void CheckShares(TrainingRecipe recipe, ModelConfig config, Communicator ranks)
    {
        string? problem = config.NRoutedExperts < ranks.Size ? $"expert_parallel: {ranks.Size} ranks cannot share {config.NRoutedExperts} routed experts. Start fewer ranks, or leave it out."
            : recipe.Indexer.Stage != IndexerStage.Frozen ? "expert_parallel: the figures of indexers that learn are measured by one rank, which needs all experts. Leave it out."
            : null;
        if (problem is not null)
            throw ranks.FoundByAll(new RecipeException(problem));
    }

    internal static void Require(bool condition, string message)
    {
        if (!condition)
            throw new RecipeException(message);
    }

    // Before the first step of a run: what a damaged shard has taught stays.
    private static void Verify(TrainingRecipe recipe, IEnumerable<TokenShard> shards)
    {
        if (Directory.EnumerateDirectories(recipe.Output, "checkpoint-*").Any())
            return;
        foreach (TokenShard shard in shards)
            shard.Verify();
        if (recipe.HeldOut is not { } heldOut)
            return;
        using TokenShards rows = TokenShards.Open(heldOut.Path);
        foreach (TokenShard shard in rows.Shards)
            shard.Verify();
    }

    // A model without a tokenizer of its own takes ids as they are.
    private static Tokenizer? TokenizerOf(string folder) => File.Exists(Path.Combine(folder, "tokenizer.json")) ? TokenizerFiles.Open(folder) : null;

    private static void CheckSameTokenizer(IEnumerable<(DataRecipe Data, TokenShards Shards)> sources)
    {
        (DataRecipe Data, TokenShards Shards)[] all = [.. sources];
        foreach ((DataRecipe data, TokenShards shards) in all)
        {
            if (shards.Shards[0].TokenizerHash != all[0].Shards.Shards[0].TokenizerHash)
                throw new RecipeException($"'{data.Path}' was made with another tokenizer than '{all[0].Data.Path}'. Tokenise both with the model's own.");
        }
    }

    private static void CheckVocabulary(string path, TokenShards shards, ModelConfig config)
    {
        if (shards.Shards.FirstOrDefault(shard => shard.VocabularySize > config.VocabSize) is { } larger)
            throw new RecipeException($"'{path}': '{Path.GetFileName(larger.Path)}' was made with a tokenizer of {larger.VocabularySize} tokens, but the model has {config.VocabSize}. Tokenise it with the model's own tokenizer.");
    }

    private static string ConfigOf(TrainingRecipe recipe, Checkpoint checkpoint)
    {
        if (recipe.RopeTheta is null && recipe.IndexTopk is null)
            return checkpoint.ConfigJson;
        JsonObject json = JsonNode.Parse(checkpoint.ConfigJson)!.AsObject();
        if (recipe.RopeTheta is { } theta)
            SetRopeTheta(json, theta);
        if (recipe.IndexTopk is { } keys)
        {
            Require(checkpoint.Config.IndexTopk > 0, $"index_topk: this {checkpoint.Config.ModelType} model has no indexers; glimmer adapt-dsa gives them to glm4_moe_lite models.");
            json["index_topk"] = keys;
        }

        return json.ToJsonString(new System.Text.Json.JsonSerializerOptions { WriteIndented = true });
    }

    // transformers writes rope_theta at the top level, or inside rope_parameters.
    private static void SetRopeTheta(JsonObject json, double theta)
    {
        if (json["rope_parameters"] is JsonObject parameters)
            parameters["rope_theta"] = theta;
        else
            json["rope_theta"] = theta;
    }
}
