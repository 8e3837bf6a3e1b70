using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tests.Training.Loops;
using Glimmer.Training;
using Glimmer.Training.Balance;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Distributed;
using Glimmer.Training.Loops;
using Glimmer.Training.Losses;
using Glimmer.Training.Objectives;

namespace Glimmer.Tests.Training.Distributed;

public class DataParallelTests
{
    [Theory]
    [InlineData(TinyRun.GroupedQuery, 2)]
    [InlineData(TinyRun.GroupedQuery, 3)]
    [InlineData(TinyRun.Latent, 4)]
    public void Steps_of_several_ranks_are_those_of_one(string config, int size)
    {
        using var folder = new TemporaryFolder();
        using (var c = new Compute(1))
            TinyRun.Model(config, folder["model"], c).Dispose();
        (List<string> Reports, Dictionary<string, float[]> State) alone = Ranks.Run(1, ranks => Train(folder, ranks)).Single();
        (List<string> Reports, Dictionary<string, float[]> State)[] together = Ranks.Run(size, ranks => Train(folder, ranks));
        foreach ((List<string> reports, _) in together)
            Assert.Equal(alone.Reports, reports);
        // Every rank has all weights; a tensor of the optimizer lies on one rank.
        string[] weights = [.. alone.State.Keys.Where(name => !name.Contains(':', StringComparison.Ordinal))];
        foreach ((_, Dictionary<string, float[]> state) in together)
            TinyRun.AssertSame(weights.ToDictionary(name => name, name => alone.State[name]), weights.ToDictionary(name => name, name => state[name]));
        TinyRun.AssertSame(
            alone.State.Where(item => item.Key.Contains(':', StringComparison.Ordinal)).ToDictionary(),
            together.SelectMany(rank => rank.State.Where(item => item.Key.Contains(':', StringComparison.Ordinal))).ToDictionary());
    }

    [Fact]
    public void A_run_goes_on_with_any_number_of_ranks_bit_for_bit()
    {
        using var folder = new TemporaryFolder();
        RunResult whole = Run(folder, "whole", 1, steps: 12);
        foreach ((int size, int steps) in (ReadOnlySpan<(int, int)>)[(2, 3), (3, 6), (1, 9), (4, 12)])
            Run(folder, "parts", size, steps, asynchronous: size % 2 == 0);
        Assert.Equal(Files(whole.Checkpoint), Files(folder["parts/checkpoint-12"]));
        Assert.Equal(TrainingRunTests.LogOf(folder["whole"]), TrainingRunTests.LogOf(folder["parts"]));
    }

    [Fact]
    public void A_stop_that_one_rank_is_asked_for_stops_all_at_the_same_step()
    {
        using var folder = new TemporaryFolder();
        using var interrupt = new CancellationTokenSource();
        RunResult[] results = Ranks.Run(3, ranks => Run(folder, "run", ranks, steps: 9, stop: ranks.Rank == 2 ? interrupt.Token : default, after: step =>
        {
            if (ranks.Rank == 2 && step == 3)
                interrupt.Cancel();
        }));
        Assert.All(results, result => Assert.Equal((RunEnd.Interrupted, results[0].Steps), (result.End, result.Steps)));
        Assert.InRange(results[0].Steps, 4, 5);
        Assert.NotNull(CheckpointFolder.Find(folder["run"], out _));
    }

    [Fact]
    public void A_gradient_that_is_not_finite_ends_all_ranks_with_one_message()
    {
        using var folder = new TemporaryFolder();
        foreach (string weight in (string[])["lm_head.weight", "model.layers.0.self_attn.o_proj.weight"]) // behind all routers, and before them
        {
            (bool, Exception? Error)[] ends = Ranks.Ends(3, ranks => Broken(folder, ranks, NotFiniteGradient.Stop, weight));
            Assert.Contains("is not finite in step 0", Assert.IsType<ArithmeticException>(ends[0].Error).Message, StringComparison.Ordinal);
            Assert.All(ends[1..], end => Assert.Equal(0, Assert.IsType<RankFailedException>(end.Error).Rank));
            Assert.All(Ranks.Run(3, ranks => Broken(folder, ranks, NotFiniteGradient.Skip, weight)), Assert.True);
        }
    }

    [Fact]
    public void A_checkpoint_that_cannot_be_written_ends_all_ranks()
    {
        using var folder = new TemporaryFolder();
        foreach (bool asynchronous in (bool[])[false, true])
        {
            (RunResult?, Exception? Error)[] ends = Ranks.Ends(2, ranks => Run(folder, $"run-{asynchronous}", ranks, steps: 9, asynchronous: asynchronous, after: step =>
            {
                // A file where the checkpoint of step 4 would go.
                if (ranks.IsRoot && step == 1)
                    File.WriteAllText(folder[$"run-{asynchronous}/checkpoint-4"], "");
            }));
            Assert.Contains("checkpoint-4 cannot be written", Assert.IsType<IOException>(ends[0].Error).Message, StringComparison.Ordinal);
            Assert.Contains("checkpoint-4 cannot be written", Assert.IsType<RankFailedException>(ends[1].Error).Message, StringComparison.Ordinal);
            Assert.Equal(2, CheckpointFolder.Find(folder[$"run-{asynchronous}"], out _)!.Steps);
        }
    }

    [Fact]
    public void Ranks_that_start_from_different_places_are_refused()
    {
        using var folder = new TemporaryFolder();
        Run(folder, "run-0", 1, steps: 2);
        (RunResult?, Exception? Error)[] ends = Ranks.Ends(2, ranks => Run(folder, $"run-{ranks.Rank}", ranks, steps: 4));
        Assert.StartsWith("Rank 0 starts at step 2", Assert.IsType<IOException>(ends[0].Error).Message, StringComparison.Ordinal);
        Assert.IsType<RankFailedException>(ends[1].Error);
    }

    [Fact]
    public void Preferences_are_trained_by_one_process()
    {
        using var folder = new TemporaryFolder();
        Assert.All(Ranks.Ends(2, ranks =>
        {
            using var c = new Compute(1);
            using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder[$"model-{ranks.Rank}"], c);
            using var trainer = new Trainer(model, c, TinyRun.Options(model) with { Objective = new PreferenceObjective(new PreferenceLoss(PreferenceKind.Sigmoid, 0.1), null) }, ranks);
            return true;
        }), end => Assert.IsType<ArgumentException>(end.Error));
    }

    // Batches of 1 to 5 micro-batches: ranks are idle, or have one more than others.
    private static (List<string> Reports, Dictionary<string, float[]> State) Train(TemporaryFolder folder, Communicator ranks)
    {
        using var c = new Compute(1 + (ranks.Rank % 2));
        using Checkpoint checkpoint = Checkpoint.Open(folder["model"]);
        using CausalLm model = checkpoint.LoadModel(c.Team);
        using var trainer = new Trainer(model, c, TinyRun.Options(model) with { ZLossWeight = 1e-3, EmbeddingNoise = 0.1, ClipNorm = 0.5 }, ranks);
        CutRows data = TinyRun.Data(3);
        var reports = new List<string>();
        foreach (int count in (int[])[1, 5, 2, 3, 4])
        {
            StepReport report = trainer.Step([.. Enumerable.Range(0, count).Select(i => new MicroBatch([.. Enumerable.Range(0, 1 + (i % 2)).Select(_ => data.Next()!)]))]);
            reports.Add(FormattableString.Invariant($"{report.Step} {report.TokensSeen} {report.Tokens} {report.TargetWeight:r} {report.Loss:r} {report.Objective:r} {report.GradientNorm:r} {report.ClipFactor:r} ")
                + string.Join(' ', report.NextTokenLosses.Concat(report.BalanceLosses).Select(loss => loss.ToString("r", null)))
                + string.Join(' ', report.Experts.Select((ExpertLoad load) => $"{load.Router} {string.Join(',', load.Counts)}")));
        }

        return (reports, TinyRun.State(trainer));
    }

    private static bool Broken(TemporaryFolder folder, Communicator ranks, NotFiniteGradient policy, string weight)
    {
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder[$"{weight}-{policy}-{ranks.Rank}"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model) with { NotFinite = policy }, ranks);
        Parameter broken = model.Parameters.Single(p => p.Name == weight);
        broken.EnsureValue().F32[3] = float.NaN;
        broken.Touch();
        return trainer.Step(TinyRun.Batch(TinyRun.Data(8))).SkippedBecauseOf is not null;
    }

    private static RunResult Run(TemporaryFolder folder, string name, int size, int steps, bool asynchronous = false) =>
        Ranks.Run(size, ranks => Run(folder, name, ranks, steps, asynchronous)).Distinct().Single();

    private static RunResult Run(TemporaryFolder folder, string name, Communicator ranks, int steps, bool asynchronous = false, CancellationToken stop = default, Action<long>? after = null)
    {
        using var c = new Compute(1);
        ranks.OnRoot(() =>
        {
            if (!Directory.Exists(folder["model"]))
                ModelInitializer.Write(TinyRun.GroupedQuery, folder["model"], 1);
        });
        using Checkpoint source = Checkpoint.Open(folder["model"]);
        using CausalLm model = source.LoadModel(c.Team);
        using var trainer = new Trainer(model, c, TinyRun.Options(model), ranks);
        var options = new RunOptions { Folder = folder[name], Steps = steps, SaveEvery = 2, KeepCheckpoints = 9, SaveAsynchronously = asynchronous, EvaluateEvery = 3, BatchTokens = _ => 24 * 5 };
        var run = new TrainingRun(trainer, c, new RowBatches(TinyRun.Data(4), 1), new ModelWeights(model, source), options) { HeldOut = TinyRun.Batch(TinyRun.Data(9)) };
        return run.Run(after is null ? null : new After(after), stop);
    }

    internal static string Files(string checkpoint) =>
        string.Join('\n', Directory.EnumerateFiles(checkpoint, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
            .Select(file => $"{Path.GetRelativePath(checkpoint, file)} {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file)))}"));

    private sealed class After(Action<long> after) : IProgress<RunProgress>
    {
        public void Report(RunProgress value) => after(value.Report.Step);
    }
}
