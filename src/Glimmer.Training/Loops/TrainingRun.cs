using System.Globalization;
using Glimmer.Operations;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Distributed;
using Glimmer.Training.Runs;

namespace Glimmer.Training.Loops;

/// <summary>The loop that all kinds of training share: batch, step, log, evaluation, checkpoint.</summary>
/// <remarks>
/// A run that stops, is interrupted or is killed goes on from its last checkpoint when it is started again with the same options; weights, optimizer and log
/// then equal those of a run that never stopped, bit for bit (times aside).
/// With several ranks (those of the trainer) each of them runs this loop over the same batches, and all stop at the same step; the root alone writes, and the folder of the run is one that all
/// ranks see. Checkpoints and figures are those of one process, and a run may go on with another number of ranks.
/// </remarks>
public sealed class TrainingRun
{
    private const double SpeedWindowSeconds = 30;

    private readonly Trainer _trainer;
    private readonly Compute _c;
    private readonly IBatchSource _data;
    private readonly ITrainedWeights _weights;
    private readonly RunOptions _options;

    /// <summary>Prepares a run.</summary>
    /// <param name="trainer">Takes the steps.</param>
    /// <param name="c">The trainer's context; evaluations use it between steps.</param>
    /// <param name="data">Gives the batches.</param>
    /// <param name="weights">What is trained.</param>
    /// <param name="options">How long, and what is written when.</param>
    public TrainingRun(Trainer trainer, Compute c, IBatchSource data, ITrainedWeights weights, RunOptions options) =>
        (_trainer, _c, _data, _weights, _options) = (trainer, c, data, weights, options);

    /// <summary>Rows that the model is not trained on, in micro-batches; evaluated when the options say so and at the end. Empty for none.</summary>
    public IReadOnlyList<MicroBatch> HeldOut { get; init; } = [];

    /// <summary>Further figures of an evaluation, by name; asked for on the thread that trains, between two steps, on the root alone. Null for none.</summary>
    public Func<IReadOnlyDictionary<string, double>>? FurtherFigures { get; init; }

    /// <summary>Floating-point operations of one token, see <see cref="TrainingWork.PerToken"/>; null leaves the share of the machine's peak out of progress and log.</summary>
    public double? OperationsPerToken { get; init; }

    /// <summary>Clock of log and speed.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Told what a user should know besides the progress: a damaged checkpoint that is passed over.</summary>
    public Action<string>? Notice { get; init; }

    /// <summary>Trains to the end, or until asked to stop; a checkpoint is written in both cases.</summary>
    /// <param name="progress">Told after every step.</param>
    /// <param name="stop">Asks to stop after the step that is being taken.</param>
    /// <exception cref="ArithmeticException">A gradient or the loss is not finite, and the trainer is told to stop then. The last checkpoint is intact.</exception>
    /// <exception cref="IOException">Log or checkpoint cannot be written. The last checkpoint is intact.</exception>
    public RunResult Run(IProgress<RunProgress>? progress = null, CancellationToken stop = default)
    {
        var checkpoints = new CheckpointFolder(_options.Folder, _weights, _options.KeepCheckpoints);
        IReadOnlyList<string> passedOver = [];
        TrainingCheckpoint? stored = Ranks.Together(() => Resume(checkpoints, out passedOver));
        CheckSameStart();
        using RunRecorder? record = Ranks.Together(OpenRecord);
        using var keeper = new CheckpointKeeper(checkpoints, _options.SaveAsynchronously);
        Ranks.OnRoot(() =>
        {
            foreach (string problem in passedOver)
            {
                record!.Note(_trainer.Steps, problem);
                Notice?.Invoke(problem);
            }

            if (stored is null)
                _options.Settings?.Write(_options.Folder);
        });

        var speed = new Queue<(long Tokens, double Seconds)>();
        long began = Time.GetTimestamp();
        // Where nobody watches nothing is measured.
        double? peak = progress is not null && !IsComplete && OperationsPerToken is not null ? TrainingWork.PeakPerSecond(_c.Team) * Ranks.Size : null;
        HeldOutLoss? evaluation = null;
        var better = new Improvement();
        foreach ((_, double loss) in record?.Evaluations("valid_loss") ?? [])
            better.Add(loss);
        string? saved = stored?.Folder;
        RunEnd end;
        while (true)
        {
            // Also before the first step: a run that ended early is left as it is.
            bool isWorse = _options.EarlyStop > 0 && Ranks.Any(Ranks.IsRoot && better.Worse >= _options.EarlyStop);
            if (IsComplete || isWorse || Ranks.Any(stop.IsCancellationRequested))
            {
                end = IsComplete ? RunEnd.Complete : isWorse ? RunEnd.EarlyStop : RunEnd.Interrupted;
                break;
            }

            long start = Time.GetTimestamp();
            if (Ranks.Together(() => _data.Next(_options.BatchTokens(_trainer.TokensSeen))) is not { } batch)
            {
                end = RunEnd.DataEnded;
                break;
            }

            if (stored is not null && _trainer.Steps == stored.Steps)
                Ranks.OnRoot(() => KeepSettings(record!));
            StepReport report = Step(batch, record, keeper, stored);
            double seconds = Time.GetElapsedTime(start).TotalSeconds;
            speed.Enqueue((report.Tokens, seconds));
            while (speed.Count > 1 && speed.Sum(step => step.Seconds) > SpeedWindowSeconds)
                speed.Dequeue();
            RunProgress at = ProgressOf(report, speed.Sum(step => step.Tokens) / speed.Sum(step => step.Seconds), peak);
            var cost = new StepCost(Environment.WorkingSet, Time.GetElapsedTime(began), at.Remaining, OperationsPerToken * report.Tokens / seconds / peak);
            Ranks.OnRoot(() => record!.Step(report, seconds, cost));
            keeper.Check();
            saved = null;
            HeldOutLoss? now = null;
            if (IsDue(_options.EvaluateEvery))
            {
                // Also when asked to stop: the log of a run that goes on must hold what that of an unbroken one holds.
                now = evaluation = Evaluate(record);
                if (now is not null)
                    better.Add(now.Loss);
            }

            if (IsDue(_options.SaveEvery))
                saved = keeper.Save(_trainer, _data.State, now?.Loss);
            progress?.Report(at with { Evaluation = now, Saved = saved });
        }

        // A run that was complete before is left as it is.
        bool isNew = stored is null || _trainer.Steps > stored.Steps;
        bool isMeasured = IsDue(_options.EvaluateEvery);
        if (isNew && end != RunEnd.Interrupted && !isMeasured)
            (evaluation, isMeasured) = (Evaluate(record), true);
        saved ??= keeper.Save(_trainer, _data.State, isMeasured ? evaluation?.Loss : null);
        keeper.Finish();
        Ranks.OnRoot(() =>
        {
            if (isNew && end == RunEnd.Interrupted)
                record!.Note(_trainer.Steps, "Stopped on request.");
            if (isNew)
                record!.WritePlots();
        });

        return new RunResult(end, _trainer.Steps, _trainer.TokensSeen, stored?.Steps, saved, evaluation);
    }

    private StepReport Step(IReadOnlyList<MicroBatch> batch, RunRecorder? record, CheckpointKeeper keeper, TrainingCheckpoint? stored)
    {
        try
        {
            return _trainer.Step(batch);
        }
        catch (Exception e) when (e is ArithmeticException || Ranks.FailedTogether)
        {
            Ranks.OnRoot(() => record!.Note(_trainer.Steps, e.Message));
            keeper.Finish();
            if (e is not ArithmeticException)
                throw;
            string last = (keeper.LastSaved ?? stored?.Folder) is { } folder ? $"The last checkpoint is '{Path.GetFileName(folder)}'." : "There is no checkpoint yet.";
            throw new ArithmeticException($"{e.Message} {last}", e);
        }
    }

    private Communicator Ranks => _trainer.Ranks;

    private bool IsComplete => _trainer.TokensSeen >= (_options.Tokens ?? long.MaxValue) || _trainer.Steps >= (_options.Steps ?? long.MaxValue);

    private bool IsDue(int every) => every > 0 && _trainer.Steps % every == 0;

    private TrainingCheckpoint? Resume(CheckpointFolder checkpoints, out IReadOnlyList<string> passedOver)
    {
        TrainingCheckpoint? stored = checkpoints.Find(out passedOver);
        if (stored is not null)
        {
            checkpoints.Restore(stored, _trainer);
            _data.State = stored.DataState;
        }

        return stored;
    }

    // Exact resume means the same settings: what differs is said, by key. A run that takes no step keeps those it had.
    private void KeepSettings(RunRecorder record)
    {
        if (_options.Settings is not { } settings)
            return;
        if (settings.ChangesSince(_options.Folder) is { Count: > 0 } changes)
        {
            string note = $"The run goes on with other settings than it had: {string.Join(", ", changes.Take(8))}{(changes.Count > 8 ? string.Create(CultureInfo.InvariantCulture, $" and {changes.Count - 8} more") : "")}.";
            record.Note(_trainer.Steps, note);
            Notice?.Invoke(note);
        }

        settings.Write(_options.Folder);
    }

    // Ranks that start from different places would train different models without a word.
    private void CheckSameStart()
    {
        if (Ranks.Size == 1)
            return;
        string[] starts = Ranks.AllGather(string.Create(CultureInfo.InvariantCulture, $"step {_trainer.Steps}, {_trainer.TokensSeen} tokens, data at {_data.State}"));
        int other = Array.FindIndex(starts, start => start != starts[0]);
        if (other > 0)
            throw Ranks.FoundByAll(new IOException($"Rank 0 starts at {starts[0]}, but rank {other} at {starts[other]}. Every rank needs the same recipe and data, and the folder '{_options.Folder}' on storage that all of them see."));
    }

    private RunRecorder? OpenRecord() => !Ranks.IsRoot ? null : RunRecorder.Open(
        _options.Folder, _trainer.Steps, new RunRecorderOptions { Threads = _c.Team.Threads, Ranks = Ranks.Size, Time = Time, TensorBoard = _options.TensorBoard });

    private HeldOutLoss? Evaluate(RunRecorder? record)
    {
        if (HeldOut.Count == 0)
            return null;
        HeldOutLoss figures = HeldOutLoss.Of(_trainer.Model, _c, HeldOut, ranks: Ranks);
        Ranks.OnRoot(() => record!.Evaluation(_trainer.Steps, figures.Named().Concat(FurtherFigures?.Invoke() ?? new Dictionary<string, double>()).ToDictionary()));
        return figures;
    }

    private RunProgress ProgressOf(StepReport report, double tokensPerSecond, double? peak)
    {
        double share = _options.Tokens is { } tokens ? (double)_trainer.TokensSeen / tokens : _options.Steps is { } steps ? (double)_trainer.Steps / steps : double.NaN;
        double? left = _options.Tokens is { } all ? all - _trainer.TokensSeen : _options.Steps is { } last ? (last - _trainer.Steps) * (double)report.Tokens : null;
        TimeSpan? remaining = left is { } rest && tokensPerSecond > 0 ? TimeSpan.FromSeconds(Math.Max(0, rest) / tokensPerSecond) : null;
        return new RunProgress(report, tokensPerSecond, Math.Min(1, share), remaining, null, null) { Steps = _options.Steps, ShareOfPeak = OperationsPerToken * tokensPerSecond / peak };
    }

    // Evaluations in a row that were no better than the best one.
    private sealed class Improvement
    {
        private double _best = double.PositiveInfinity;

        public int Worse { get; private set; }

        public void Add(double loss) => (_best, Worse) = loss < _best ? (loss, 0) : (_best, Worse + 1);
    }
}
