using System.Globalization;
using Glimmer.Data.Synthesis;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Loops;
using Glimmer.Training.Objectives;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;
using Glimmer.Training.Upcycling;

namespace Glimmer.Cli.Nano;

/// <summary>Trains an addition for a number of minutes: measures its speed first, then plans the tokens, so that the learning rate ends where it should.</summary>
internal static class NanoTraining
{
    private const int MicroBatchTokens = 1024;
    private const int Evaluations = 8;
    private const int ValidationTokens = 6000;
    private const int WarmupSteps = 10;

    // Evaluations, checkpoints and loading take part of the time.
    private const double StepShare = 0.92;

    /// <summary>Trains, or goes on.</summary>
    /// <param name="options">The recipe.</param>
    /// <param name="start">Folder of the start state.</param>
    /// <param name="documents">Makes the documents of the loaded model and its trunk.</param>
    /// <param name="folder">Folder of this training.</param>
    /// <param name="minutes">Minutes it takes.</param>
    /// <param name="parts">What is trained.</param>
    /// <param name="terminal">Where progress is shown.</param>
    /// <returns>The last checkpoint and figures.</returns>
    /// <exception cref="OperationCanceledException">It was interrupted; the last checkpoint is there.</exception>
    public static (string Checkpoint, Dictionary<string, double> Figures) Run(
        NanoOptions options, string start, Func<LoadedModel, LoadedModel, NanoDocuments> documents, string folder, double minutes, AdditionParts parts, Terminal terminal)
    {
        using LoadedModel model = LoadedModel.Open(start, options.Threads);
        using Checkpoint source = Checkpoint.Open(start);
        using LoadedModel trunk = LoadedModel.Open(options.Trunk, 1);
        using var compute = new Compute(model.Team);
        NanoDocuments data = documents(model, trunk);
        var objective = new AnchoredObjective(trunk.Model, compute, data.IsAnchor);
        string planPath = Path.Combine(folder, "plan.json");
        IReadOnlyDictionary<string, double> plan;
        if (new NanoStages(folder, TimeProvider.System).Find("plan") is { } known)
        {
            plan = known;
        }
        else
        {
            double speed = Speed(options, model, source, data, parts, objective);
            plan = new Dictionary<string, double> { ["tokens_per_second"] = speed, ["tokens"] = Math.Max(options.BatchTokens * 4.0, Math.Floor(speed * minutes * 60 * StepShare)) };
            NanoStages.Write(planPath, plan);
        }

        long tokens = (long)plan["tokens"];
        terminal.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileName(folder)}: {tokens} tokens planned at {plan["tokens_per_second"]:f0} tokens/s"));
        return Train(options, model, source, data, folder, tokens, parts, objective, terminal);
    }

    private static (string Checkpoint, Dictionary<string, double> Figures) Train(
        NanoOptions options, LoadedModel model, Checkpoint source, NanoDocuments data, string folder, long tokens, AdditionParts parts, TrainingObjective objective, Terminal terminal)
    {
        var weights = new AdditionWeights(model.Model, source, parts == AdditionParts.Whole);
        using Trainer trainer = NewTrainer(options, model, weights, parts, tokens, objective);
        IReadOnlyList<TrainingDocument> documents = data.Take(tokens, CorpusSplit.Train, options.Seed);
        Dictionary<string, double> figures = data.Counts.ToDictionary(pair => "records_" + pair.Key, pair => pair.Value);
        IReadOnlyList<TrainingDocument> heldOut = data.Take(ValidationTokens, CorpusSplit.Validation, options.Seed);
        int every = (int)Math.Max(1, Math.Ceiling((double)tokens / options.BatchTokens / Evaluations));
        var run = new TrainingRun(trainer, model.Compute, new DocumentBatches(documents, MicroBatchTokens), weights, new RunOptions
        {
            Folder = folder,
            Tokens = tokens,
            BatchTokens = _ => options.BatchTokens,
            SaveEvery = every,
            EvaluateEvery = every,
        })
        {
            Notice = terminal.Notice,
            HeldOut = [.. heldOut.Chunk(8).Select(chunk => new MicroBatch([.. chunk.Select(document => new[] { document })]))],
        };
        RunResult result;
        using (var view = new TrainingView(terminal))
            result = run.Run(view, terminal.Interrupted);
        terminal.Output.WriteLine(TrainingView.Summary(result));
        if (result.End == RunEnd.Interrupted)
            throw new OperationCanceledException(terminal.Interrupted);
        figures["steps"] = result.Steps;
        figures["tokens"] = result.TokensSeen;
        if (result.Evaluation is { } evaluation)
            (figures["held_out_loss"], figures["held_out_acceptance"]) = (evaluation.Loss, evaluation.NextTokenAcceptance);
        return (result.Checkpoint, figures);
    }

    private static Trainer NewTrainer(NanoOptions options, LoadedModel model, AdditionWeights weights, AdditionParts parts, long tokens, TrainingObjective objective) => new(
        model.Model,
        model.Compute,
        new TrainerOptions
        {
            LearningRate = LearningRates.WarmupStableDecay(DecayShape.Linear, options.LearningRate, 0.1 * options.LearningRate, Math.Min(WarmupSteps * options.BatchTokens, tokens / 5), tokens / 2.0, tokens),
            NextTokenDepths = model.Model.NextToken is null ? 0 : 1,
            BiasRate = Schedule.Constant(parts == AdditionParts.WithoutExperts ? 0 : 1e-3),
            Optimizer = new OptimizerOptions { Matrices = options.Rates.Matrices },
            Objective = objective,
        },
        AdditionRules.For(model.Model, weights, options.Rates, parts));

    // A trainer of its own whose rate is 0 and whose state is thrown away; the first step packs what the backward pass reads.
    private static double Speed(NanoOptions options, LoadedModel model, Checkpoint source, NanoDocuments data, AdditionParts parts, TrainingObjective objective)
    {
        var weights = new AdditionWeights(model.Model, source, parts == AdditionParts.Whole);
        using Trainer trainer = NewTrainer(options with { LearningRate = 0, Rates = options.Rates with { Matrices = MatrixRule.AdamW } }, model, weights, parts, long.MaxValue, objective);
        var batches = new DocumentBatches(data.Take(4L * options.BatchTokens, CorpusSplit.Train, options.Seed), MicroBatchTokens);
        trainer.Step(batches.Next(options.BatchTokens)!);
        long begin = TimeProvider.System.GetTimestamp(), tokens = 0;
        for (int i = 0; i < 3; i++)
            tokens += trainer.Step(batches.Next(options.BatchTokens)!).Tokens;
        foreach (var bias in model.Model.Parameters.Where(parameter => parameter.IsBuffer))
        {
            bias.Value!.F32.Clear(); // the steps moved the balance biases
            bias.Touch();
        }

        return tokens / TimeProvider.System.GetElapsedTime(begin).TotalSeconds;
    }
}
