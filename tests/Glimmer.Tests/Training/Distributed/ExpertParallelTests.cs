using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tests.Training.Loops;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Distributed;
using Glimmer.Training.Loops;

namespace Glimmer.Tests.Training.Distributed;

/// <summary>Routed experts that lie on several ranks.</summary>
public class ExpertParallelTests
{
    // 5 micro-batches a step, so that ranks are idle in the last round, and 3 held-out ones.
    [Theory]
    [InlineData(TinyRun.GroupedQuery, 2, false)]
    [InlineData(TinyRun.GroupedQuery, 3, true)]
    [InlineData(TinyRun.Latent, 2, true)]
    [InlineData(TinyRun.Latent, 4, false)]
    public void Checkpoints_and_logs_are_those_of_one_process_bit_for_bit(string config, int size, bool recompute)
    {
        using var folder = new TemporaryFolder();
        ModelInitializer.Write(config, folder["model"], 1);
        RunResult alone = Run(folder, "alone", 1, recompute, steps: 6);
        RunResult shared = Run(folder, "shared", size, recompute, steps: 6);
        Assert.Equal(DataParallelTests.Files(alone.Checkpoint), DataParallelTests.Files(shared.Checkpoint));
        Assert.Equal(TrainingRunTests.LogOf(folder["alone"]), TrainingRunTests.LogOf(folder["shared"]));
    }

    [Fact]
    public void A_run_goes_on_with_other_ranks_and_without_expert_parallelism()
    {
        using var folder = new TemporaryFolder();
        ModelInitializer.Write(TinyRun.GroupedQuery, folder["model"], 1);
        RunResult whole = Run(folder, "whole", 1, recompute: false, steps: 8);
        Run(folder, "parts", 3, recompute: false, steps: 2, asynchronous: true);
        Run(folder, "parts", 2, recompute: true, steps: 4);
        Run(folder, "parts", 1, recompute: false, steps: 6);
        RunResult last = Run(folder, "parts", 2, recompute: false, steps: 8, asynchronous: true);
        Assert.Equal(DataParallelTests.Files(whole.Checkpoint), DataParallelTests.Files(last.Checkpoint));
    }

    [Fact]
    public void A_rank_holds_values_gradients_and_optimizer_state_of_its_own_experts_only()
    {
        using var folder = new TemporaryFolder();
        ModelInitializer.Write(TinyRun.GroupedQuery, folder["model"], 1);
        List<string>[] held = Ranks.Run(2, ranks =>
        {
            using var c = new Compute(1);
            using Checkpoint source = Checkpoint.Open(folder["model"]);
            using CausalLm model = Load(source, c, ranks);
            using var trainer = new Trainer(model, c, TinyRun.Options(model) with { ExpertParallel = true }, ranks);
            trainer.Step(TinyRun.Batch(TinyRun.Data(8)));
            Parameter[] experts = [.. model.Parameters.Where(parameter => parameter.Name.Contains(".mlp.experts.", StringComparison.Ordinal))];
            Assert.All(experts, expert => Assert.Equal(expert.Value is null, expert.IsElsewhere));
            Assert.All(experts, expert => Assert.Equal(expert.Gradient is null, expert.IsElsewhere));
            List<string> own = [.. experts.Where(expert => !expert.IsElsewhere).Select(expert => expert.Name)];
            Assert.All(own, name => Assert.Contains(trainer.Optimizer.State, state => state.Key.EndsWith(name, StringComparison.Ordinal)));
            return own;
        });
        Assert.NotEmpty(held[0]);
        Assert.Equal(held[0].Count, held[1].Count);
        Assert.Empty(held[0].Intersect(held[1]));
    }

    [Fact]
    public void More_ranks_than_experts_and_models_of_other_ranks_are_refused()
    {
        using var folder = new TemporaryFolder();
        ModelInitializer.Write(TinyRun.GroupedQuery, folder["model"], 1);
        foreach ((int size, string message) in (ReadOnlySpan<(int, string)>)[(2, "belongs to rank"), (9, "9 ranks cannot share")])
        {
            Assert.All(Ranks.Ends(size, ranks =>
            {
                using var c = new Compute(1);
                using Checkpoint source = Checkpoint.Open(folder["model"]);
                using CausalLm model = source.LoadModel(c.Team);
                using var trainer = new Trainer(model, c, TinyRun.Options(model) with { ExpertParallel = true }, ranks);
                return true;
            }), end => Assert.Contains(message, Assert.IsType<ArgumentException>(end.Error).Message, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void A_rank_that_fails_in_a_layer_ends_the_others()
    {
        using var folder = new TemporaryFolder();
        ModelInitializer.Write(TinyRun.GroupedQuery, folder["model"], 1);
        (bool, Exception? Error)[] ends = Ranks.Ends(2, ranks =>
        {
            using var c = new Compute(1);
            using Checkpoint source = Checkpoint.Open(folder["model"]);
            using CausalLm model = Load(source, c, ranks);
            using var trainer = new Trainer(model, c, TinyRun.Options(model) with { ExpertParallel = true }, ranks);
            c.Observer = (name, _) =>
            {
                if (ranks.Rank == 1 && name.StartsWith("layer1.", StringComparison.Ordinal))
                    throw new InvalidOperationException("a full disk, say");
            };
            trainer.Step(TinyRun.Batch(TinyRun.Data(8)));
            return true;
        });
        Assert.Contains("Rank 1 failed: a full disk, say", Assert.IsType<CommunicatorException>(ends[1].Error).Message, StringComparison.Ordinal);
        Assert.IsType<CommunicatorException>(ends[0].Error);
    }

    private static CausalLm Load(Checkpoint source, Compute c, Communicator ranks) =>
        source.LoadModel(c.Team, options: new LoadOptions { ExpertShare = ranks.Size > 1 ? (ranks.Rank, ranks.Size) : null });

    private static RunResult Run(TemporaryFolder folder, string name, int size, bool recompute, int steps, bool asynchronous = false) => Ranks.Run(size, ranks =>
    {
        using var c = new Compute(1 + (ranks.Rank % 2));
        using Checkpoint source = Checkpoint.Open(folder["model"]);
        using CausalLm model = Load(source, c, ranks);
        using var trainer = new Trainer(model, c, TinyRun.Options(model) with { ExpertParallel = true, RecomputeBlocks = recompute }, ranks);
        var options = new RunOptions { Folder = folder[name], Steps = steps, SaveEvery = 2, KeepCheckpoints = 9, SaveAsynchronously = asynchronous, EvaluateEvery = 3, BatchTokens = _ => 24 * 5 };
        var run = new TrainingRun(trainer, c, new RowBatches(TinyRun.Data(4), 1), new ModelWeights(model, source), options) { HeldOut = TinyRun.Batch(TinyRun.Data(9)) };
        return run.Run();
    }).Distinct().Single();
}
