using CsCheck;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;

namespace Glimmer.Tests.Training.Checkpoints;

public class CheckpointFolderTests
{
    [Theory]
    [InlineData(TinyRun.GroupedQuery)]
    [InlineData(TinyRun.Latent)]
    public void A_run_that_stops_anywhere_and_goes_on_equals_one_that_never_stopped(string config) =>
        Gen.Select(Gen.Int[1, 5], Gen.ULong[1, 100]).Sample(
            sample =>
            {
                (int stop, ulong seed) = sample;
                using var folder = new TemporaryFolder();
                using var c = new Compute(1);
                using CausalLm model = TinyRun.Model(config, folder["model"], c, seed);
                using var trainer = new Trainer(model, c, TinyRun.Options(model));
                CutRows data = TinyRun.Data(seed);
                using Checkpoint source = Checkpoint.Open(folder["model"]);
                var run = new CheckpointFolder(folder["run"], new ModelWeights(model, source));
                var losses = new List<double>();
                for (int step = 0; step < 6; step++)
                {
                    if (step == stop)
                        run.Save(trainer, data.State);
                    losses.Add(trainer.Step(TinyRun.Batch(data)).Objective);
                }

                // As after a restart: everything comes from the folder.
                TrainingCheckpoint stored = new CheckpointFolder(folder["run"], new ModelWeights(model, source)).Latest!;
                using Checkpoint checkpoint = Checkpoint.Open(stored.Folder);
                using CausalLm again = checkpoint.LoadModel(c.Team);
                using var resumed = new Trainer(again, c, TinyRun.Options(again));
                stored.Restore(resumed, new ModelWeights(again, checkpoint));
                CutRows rest = TinyRun.Data(seed);
                rest.State = stored.DataState;
                for (int step = stop; step < 6; step++)
                    Assert.Equal(losses[step], resumed.Step(TinyRun.Batch(rest)).Objective);
                TinyRun.AssertSame(TinyRun.State(trainer), TinyRun.State(resumed));
                Assert.Equal((trainer.Steps, trainer.TokensSeen, trainer.Optimizer.Steps), (resumed.Steps, resumed.TokensSeen, resumed.Optimizer.Steps));
            },
            iter: 4,
            threads: 1);

    [Fact]
    public void A_damaged_or_unfinished_checkpoint_is_passed_over()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model));
        using Checkpoint source = Checkpoint.Open(folder["model"]);
        var run = new CheckpointFolder(folder["run"], new ModelWeights(model, source));
        Assert.Null(run.Latest);
        CutRows data = TinyRun.Data(2);
        run.Save(trainer, data.State);
        trainer.Step(TinyRun.Batch(data));
        string second = run.Save(trainer, data.State);
        Assert.Equal(1, run.Latest!.Steps);

        Directory.CreateDirectory(Path.Combine(folder["run"], "checkpoint-7")); // no manifest
        Assert.Equal(1, run.Latest!.Steps);
        string weights = Path.Combine(second, "model.safetensors");
        byte[] bytes = File.ReadAllBytes(weights);
        bytes[^5] ^= 1;
        File.WriteAllBytes(weights, bytes);
        Assert.Equal(0, run.Latest!.Steps);
    }

    [Fact]
    public void Only_the_newest_checkpoints_stay()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model));
        using Checkpoint source = Checkpoint.Open(folder["model"]);
        var run = new CheckpointFolder(folder["run"], new ModelWeights(model, source), keep: 2);
        CutRows data = TinyRun.Data(2);
        for (int step = 0; step < 4; step++)
        {
            trainer.Step(TinyRun.Batch(data));
            run.Save(trainer, data.State);
        }

        Assert.Equal(["checkpoint-3", "checkpoint-4"], Directory.EnumerateDirectories(folder["run"]).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_state_of_another_model_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using CausalLm other = TinyRun.Model(TinyRun.Latent, folder["other"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model));
        using var wrong = new Trainer(other, c, TinyRun.Options(other));
        using Checkpoint source = Checkpoint.Open(folder["model"]);
        var run = new CheckpointFolder(folder["run"], new ModelWeights(model, source));
        run.Save(trainer, "{}");
        Assert.Throws<ModelFormatException>(() => run.Latest!.Restore(wrong, new ModelWeights(other, source)));
    }
}
