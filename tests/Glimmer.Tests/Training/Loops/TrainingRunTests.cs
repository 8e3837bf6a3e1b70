using System.Text.Json;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Loops;
using Glimmer.Training.Schedules;

namespace Glimmer.Tests.Training.Loops;

public class TrainingRunTests
{
    [Fact]
    public void A_run_that_is_interrupted_twice_equals_one_that_never_stopped()
    {
        using var folder = new TemporaryFolder();
        Dictionary<string, float[]> whole = Run(folder, "whole", []), parts = Run(folder, "parts", [2, 5]);
        TinyRun.AssertSame(whole, parts);
        Assert.Equal(LogOf(folder["whole"]), LogOf(folder["parts"]));
    }

    [Fact]
    public void A_run_whose_last_checkpoints_are_lost_takes_their_steps_again()
    {
        using var folder = new TemporaryFolder();
        Dictionary<string, float[]> whole = Run(folder, "whole", []);
        Run(folder, "parts", [6], isWhole: false);
        Directory.Delete(Path.Combine(folder["parts"], "checkpoint-6"), recursive: true);
        TinyRun.AssertSame(whole, Run(folder, "parts", []));
        Assert.Equal(LogOf(folder["whole"]), LogOf(folder["parts"]));
    }

    [Fact]
    public void A_run_ends_early_when_held_out_rows_become_no_better()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model) with { LearningRate = Schedule.Constant(0), BiasRate = Schedule.Constant(0) });
        using Checkpoint source = Checkpoint.Open(folder["model"]);
        var run = new TrainingRun(trainer, c, new Rows(), new ModelWeights(model, source), new RunOptions { Folder = folder["run"], Steps = 50, EvaluateEvery = 1, EarlyStop = 3 })
        {
            HeldOut = TinyRun.Batch(TinyRun.Data(9)),
        };
        RunResult result = run.Run();
        Assert.Equal((RunEnd.EarlyStop, 4L), (result.End, result.Steps));

        // Started again it is left as it is.
        string[] log = LogOf(folder["run"]);
        result = run.Run();
        Assert.Equal((RunEnd.EarlyStop, 4L), (result.End, result.Steps));
        Assert.Equal(log, LogOf(folder["run"]));
    }

    [Fact]
    public void Held_out_figures_agree_with_the_trainer()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model));
        MicroBatch[] batch = TinyRun.Batch(TinyRun.Data(3));
        HeldOutLoss figures = HeldOutLoss.Of(model, c, batch);
        StepReport report = trainer.Step(batch);
        Assert.Equal(report.Loss, figures.Loss, 1e-6);
        Assert.Equal(report.TargetWeight, figures.TargetWeight);
        Assert.InRange(figures.Accuracy, 0, 1);
        Assert.InRange(figures.NextTokenAcceptance, 0, 1);
    }

    [Fact]
    public void An_evaluation_that_is_due_when_the_run_is_asked_to_stop_is_not_lost()
    {
        using var folder = new TemporaryFolder();
        Dictionary<string, float[]> whole = Run(folder, "whole", []);
        // Asked while the batch of step 4 is read, so before the evaluation that follows it.
        Run(folder, "parts", [4], isWhole: false, asksInData: true);
        TinyRun.AssertSame(whole, Run(folder, "parts", []));
        Assert.Equal(LogOf(folder["whole"]), LogOf(folder["parts"]));
    }

    [Fact]
    public void The_last_checkpoint_has_the_loss_that_was_measured_at_its_step()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model));
        using Checkpoint source = Checkpoint.Open(folder["model"]);
        var options = new RunOptions { Folder = folder["run"], Steps = 4, SaveEvery = 0, EvaluateEvery = 2 };
        RunResult result = new TrainingRun(trainer, c, new Rows(), new ModelWeights(model, source), options) { HeldOut = TinyRun.Batch(TinyRun.Data(9)) }.Run();
        Assert.Equal(result.Evaluation!.Loss, CheckpointFolder.List(folder["run"])[^1].Metric);
    }

    [Fact]
    public void A_run_that_is_complete_is_left_as_it_is()
    {
        using var folder = new TemporaryFolder();
        Dictionary<string, float[]> first = Run(folder, "run", []);
        string[] log = LogOf(folder["run"]);
        TinyRun.AssertSame(first, Run(folder, "run", []));
        Assert.Equal(log, LogOf(folder["run"]));
    }

    // Nine steps in all, stopped after the given ones and started again with everything read anew.
    private static Dictionary<string, float[]> Run(TemporaryFolder folder, string name, int[] stops, bool isWhole = true, bool asksInData = false)
    {
        foreach (int stop in isWhole ? [.. stops, int.MaxValue] : stops)
        {
            using var c = new Compute(1);
            using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
            using var trainer = new Trainer(model, c, TinyRun.Options(model));
            using Checkpoint source = Checkpoint.Open(folder["model"]);
            using var interrupt = new CancellationTokenSource();
            var data = new Rows { Asked = asksInData ? read => CancelAt(read, stop, interrupt) : null };
            var run = new TrainingRun(trainer, c, data, new ModelWeights(model, source), new RunOptions { Folder = folder[name], Steps = 9, SaveEvery = 4, EvaluateEvery = 2 })
            {
                HeldOut = TinyRun.Batch(TinyRun.Data(9)),
            };
            RunResult result = run.Run(new At(stop, interrupt), interrupt.Token);
            Assert.Equal(stop == int.MaxValue ? RunEnd.Complete : RunEnd.Interrupted, result.End);
            if (stop == int.MaxValue)
                return TinyRun.State(trainer);
        }

        return [];
    }

    private static void CancelAt(int read, int stop, CancellationTokenSource interrupt)
    {
        if (read == stop)
            interrupt.Cancel();
    }

    /// <summary>What a log says, times and notes aside.</summary>
    internal static string[] LogOf(string folder) => [.. File.ReadLines(Path.Combine(folder, "log.jsonl")).Where(line => !line.Contains("\"note\"", StringComparison.Ordinal)).Select(line =>
    {
        using JsonDocument json = JsonDocument.Parse(line);
        return string.Join(", ", json.RootElement.EnumerateObject().Where(p => p.Name is not ("time" or "seconds" or "tokens_per_second" or "memory_bytes" or "elapsed_seconds" or "remaining_seconds" or "share_of_peak")));
    })];

    private sealed class At(int steps, CancellationTokenSource interrupt) : IProgress<RunProgress>
    {
        public void Report(RunProgress value) => CancelAt((int)value.Report.Step + 1, steps, interrupt);
    }

    private sealed class Rows : IBatchSource
    {
        private readonly CutRows _data = TinyRun.Data(4);
        private int _read;

        /// <summary>Told the number of each batch that is read.</summary>
        public Action<int>? Asked { get; init; }

        public string State
        {
            get => _data.State;
            set => _data.State = value;
        }

        public IReadOnlyList<MicroBatch> Next(long tokens)
        {
            Asked?.Invoke(++_read);
            return TinyRun.Batch(_data);
        }
    }
}
