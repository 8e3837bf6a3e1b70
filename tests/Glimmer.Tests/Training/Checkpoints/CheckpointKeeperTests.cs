using System.Diagnostics;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;

namespace Glimmer.Tests.Training.Checkpoints;

public class CheckpointKeeperTests
{
    [Fact]
    public void A_checkpoint_written_while_training_goes_on_has_the_bytes_of_a_synchronous_one()
    {
        using var run = new Run();
        run.Steps(2);
        using var open = new ManualResetEventSlim();
        run.Weights.BeforeStagedWrite = open.Wait;
        string now = run.Folder.Save(run.Trainer, run.DataState), before = run.Temporary["before"];
        Directory.Move(now, before);
        using var keeper = new CheckpointKeeper(run.Folder, asynchronous: true);
        keeper.Save(run.Trainer, run.DataState);
        run.Steps(2); // while the copy waits to be written
        keeper.Check();
        Assert.Null(keeper.LastSaved);
        open.Set();
        keeper.Finish();
        foreach (string file in Directory.EnumerateFiles(before, "*", SearchOption.AllDirectories))
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(keeper.LastSaved!, Path.GetRelativePath(before, file))));
        Assert.Equal(2, run.Folder.Latest!.Steps);
    }

    [Fact]
    public void The_next_save_waits_for_the_one_in_flight_and_uses_its_memory_again()
    {
        using var run = new Run();
        using var keeper = new CheckpointKeeper(run.Folder, asynchronous: true);
        for (int i = 0; i < 3; i++)
        {
            run.Steps(1);
            keeper.Save(run.Trainer, run.DataState);
        }

        keeper.Finish();
        Assert.Equal(["checkpoint-2", "checkpoint-3"], run.Names);
        Assert.All(run.Names, name => Assert.Null(CheckpointManifest.Problem(Path.Combine(run.Path, name))));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_full_disk_is_said_at_the_step_boundary_and_the_last_checkpoint_is_untouched(bool asynchronous)
    {
        using var run = new Run();
        using var keeper = new CheckpointKeeper(run.Folder, asynchronous);
        run.Steps(1);
        keeper.Save(run.Trainer, run.DataState);
        keeper.Finish();
        run.Steps(1);
        run.Weights.AfterWrite = () => throw new IOException("No space left on device");
        var error = Assert.Throws<IOException>(() =>
        {
            keeper.Save(run.Trainer, run.DataState);
            keeper.Finish();
        });
        Assert.Contains("checkpoint-2 cannot be written to", error.Message, StringComparison.Ordinal);
        Assert.Contains("No space left on device The last complete one is 'checkpoint-1', untouched", error.Message, StringComparison.Ordinal);
        Assert.Equal(["checkpoint-1"], run.Names); // nothing half-written stays
        Assert.Equal(1, run.Folder.Latest!.Steps);

        run.Weights.AfterWrite = null; // room was made
        keeper.Save(run.Trainer, run.DataState);
        keeper.Finish();
        Assert.Equal(2, run.Folder.Latest!.Steps);
    }

    [Fact]
    public void A_failed_save_is_raised_by_the_check_of_a_later_step()
    {
        using var run = new Run();
        using var keeper = new CheckpointKeeper(run.Folder, asynchronous: true);
        run.Weights.AfterWrite = () => throw new IOException("No space left on device");
        keeper.Save(run.Trainer, run.DataState);
        IOException? error = null;
        for (var wait = Stopwatch.StartNew(); error is null && wait.Elapsed < TimeSpan.FromSeconds(30);)
            error = (IOException?)Record.Exception(keeper.Check);
        Assert.Contains("There is no earlier one", error!.Message, StringComparison.Ordinal);
        keeper.Check(); // once
    }

    [Fact]
    public void Weights_that_cannot_be_copied_are_stored_as_they_were_at_the_boundary()
    {
        using var run = new Run();
        run.Weights.CanBeStaged = false;
        using var keeper = new CheckpointKeeper(run.Folder, asynchronous: true);
        run.Steps(1);
        Dictionary<string, float[]> then = TinyRun.State(run.Trainer);
        keeper.Save(run.Trainer, run.DataState);
        run.Steps(1);
        keeper.Finish();
        run.Folder.Restore(run.Folder.Latest!, run.Trainer);
        TinyRun.AssertSame(then, TinyRun.State(run.Trainer));
    }

    [Fact]
    public void The_best_checkpoint_stays_when_it_is_older_than_the_newest()
    {
        using var run = new Run(keep: 3);
        using var keeper = new CheckpointKeeper(run.Folder);
        double[] losses = [3.0, 2.0, 2.5, 2.0, 4.0, 5.0];
        foreach (double loss in losses)
        {
            run.Steps(1);
            keeper.Save(run.Trainer, run.DataState, loss);
        }

        Assert.Equal(["checkpoint-2", "checkpoint-5", "checkpoint-6"], run.Names); // of equals the older
        Assert.Equal((2, 2.0), (run.Folder.Best!.Steps, run.Folder.Best.Metric));
        Assert.Equal(6, run.Folder.Latest!.Steps);
    }

    [Fact]
    public void The_best_may_be_the_highest()
    {
        using var run = new Run(keep: 1, BestMetric.Highest);
        foreach (double accuracy in new[] { 0.5, 0.9, 0.7 })
        {
            run.Steps(1);
            run.Folder.Save(run.Trainer, run.DataState, accuracy);
        }

        Assert.Equal(["checkpoint-2", "checkpoint-3"], run.Names); // the newest and the best, even when one may stay
    }

    [Fact]
    public void A_damaged_checkpoint_takes_no_place_of_a_complete_one()
    {
        using var run = new Run(keep: 2);
        double[] losses = [1.0, 2.0, 3.0];
        for (int i = 0; i < 3; i++)
        {
            run.Steps(1);
            run.Folder.Save(run.Trainer, run.DataState, losses[i]);
        }

        Assert.Equal(["checkpoint-1", "checkpoint-3"], run.Names); // the best and the newest
        // Of the same size, so that only a whole read finds it.
        string weights = Path.Combine(run.Path, "checkpoint-3", "model.safetensors");
        byte[] bytes = File.ReadAllBytes(weights);
        bytes[^1] ^= 1;
        File.WriteAllBytes(weights, bytes);
        run.Folder.Restore(run.Folder.Find(out _)!, run.Trainer);
        run.Steps(1);
        Assert.Equal("checkpoint-2", Path.GetFileName(run.Folder.Save(run.Trainer, run.DataState, 4.0)));
        Assert.Equal(["checkpoint-1", "checkpoint-2", "checkpoint-3"], run.Names);
        Assert.Equal(2, run.Folder.Latest!.Steps);
        run.Steps(1);
        run.Folder.Save(run.Trainer, run.DataState, 5.0); // in place of the damaged one
        Assert.Equal(["checkpoint-1", "checkpoint-3"], run.Names);
        Assert.Equal(3, run.Folder.Latest!.Steps);

        // A state that cannot be read does not end the saves that follow.
        File.WriteAllText(Path.Combine(run.Path, "checkpoint-1", "trainer_state.json"), "{");
        run.Steps(1);
        run.Folder.Save(run.Trainer, run.DataState, 6.0);
        run.Steps(1);
        run.Folder.Save(run.Trainer, run.DataState, 7.0);
        Assert.Equal(5, run.Folder.Latest!.Steps);
        Assert.DoesNotContain("checkpoint-1", run.Names);
    }

    [Fact]
    public void A_checkpoint_that_loses_its_optimizer_stays_complete_and_a_damaged_one_stays_damaged()
    {
        using var run = new Run();
        run.Steps(1);
        string checkpoint = run.Folder.Save(run.Trainer, run.DataState);
        CheckpointManifest.Remove(checkpoint, "optimizer");
        Assert.False(Directory.Exists(Path.Combine(checkpoint, "optimizer")));
        Assert.Null(CheckpointManifest.Problem(checkpoint));

        run.Steps(1);
        string broken = run.Folder.Save(run.Trainer, run.DataState);
        File.AppendAllText(Path.Combine(broken, "config.json"), " ");
        CheckpointManifest.Remove(broken, "optimizer");
        Assert.Contains("config.json has", CheckpointManifest.Problem(broken), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_passed_over_is_named()
    {
        using var run = new Run(keep: 5);
        for (int i = 0; i < 4; i++)
        {
            run.Steps(1);
            run.Folder.Save(run.Trainer, run.DataState);
        }

        File.Delete(Path.Combine(run.Path, "checkpoint-4", "config.json"));
        File.AppendAllText(Path.Combine(run.Path, "checkpoint-3", "trainer_state.json"), " ");
        File.WriteAllText(Path.Combine(run.Path, "checkpoint-2", "manifest.json"), "{\"files\": [");
        Directory.CreateDirectory(Path.Combine(run.Path, "checkpoint-5.0123.partial"));
        Assert.Equal(1, run.Folder.Find(out IReadOnlyList<string> passedOver)!.Steps);
        Assert.Equal("'checkpoint-5.0123.partial' was not finished: the process ended while it was written.", passedOver[0]);
        Assert.Equal("'checkpoint-4' is damaged: config.json is missing.", passedOver[1]);
        Assert.Matches(@"^'checkpoint-3' is damaged: trainer_state.json has \d+ bytes instead of \d+\.$", passedOver[2]);
        Assert.StartsWith("'checkpoint-2' is damaged: manifest.json cannot be read:", passedOver[3], StringComparison.Ordinal);
    }

    [SkippableFact]
    public void A_disk_that_is_really_full_leaves_the_last_checkpoint()
    {
        using var temporary = new TemporaryFolder();
        string disk = temporary["disk"];
        Directory.CreateDirectory(disk);
        Skip.IfNot(OperatingSystem.IsLinux() && Mount("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk), "a small file system cannot be mounted here");
        try
        {
            using var run = new Run(keep: 9, path: Path.Combine(disk, "run"));
            using var keeper = new CheckpointKeeper(run.Folder, asynchronous: true);
            var error = Assert.Throws<IOException>(() =>
            {
                for (int i = 0; i < 9; i++)
                {
                    run.Steps(1);
                    keeper.Save(run.Trainer, run.DataState);
                }

                keeper.Finish();
            });
            Assert.Contains("MiB free there", error.Message, StringComparison.Ordinal);
            Assert.Contains("untouched: the run can go on from there", error.Message, StringComparison.Ordinal);
            Assert.NotNull(run.Folder.Find(out IReadOnlyList<string> passedOver));
            Assert.Empty(passedOver);
        }
        finally
        {
            Mount("umount", disk);
        }

        static bool Mount(string program, params string[] arguments)
        {
            try
            {
                using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
                process.WaitForExit();
                return process.ExitCode == 0;
            }
            catch (System.ComponentModel.Win32Exception)
            {
                return false;
            }
        }
    }

    /// <summary>Weights that fail or wait where a test says so.</summary>
    private sealed class WatchedWeights(ITrainedWeights weights) : ITrainedWeights
    {
        public Action? AfterWrite { get; set; }

        public Action? BeforeStagedWrite { get; set; }

        public bool CanBeStaged { get; set; } = true;

        public void Write(string folder)
        {
            weights.Write(folder);
            AfterWrite?.Invoke();
        }

        public Action<string>? Stage(StagedTensors staging)
        {
            if (!CanBeStaged)
                return null;
            Action<string> write = weights.Stage(staging)!;
            return folder =>
            {
                BeforeStagedWrite?.Invoke();
                write(folder);
                AfterWrite?.Invoke();
            };
        }

        public void Read(string folder) => weights.Read(folder);
    }

    private sealed class Run : IDisposable
    {
        private readonly Compute _c = new(1);
        private readonly CausalLm _model;
        private readonly CutRows _data = TinyRun.Data(2);

        public Run(int keep = 2, BestMetric best = BestMetric.Lowest, string? path = null)
        {
            Path = path ?? Temporary["run"];
            _model = TinyRun.Model(TinyRun.GroupedQuery, Temporary["model"], _c);
            Trainer = new Trainer(_model, _c, TinyRun.Options(_model));
            using Checkpoint source = Checkpoint.Open(Temporary["model"]);
            Weights = new WatchedWeights(new ModelWeights(_model, source));
            Folder = new CheckpointFolder(Path, Weights, keep, best);
        }

        public TemporaryFolder Temporary { get; } = new();

        public string Path { get; }

        public Trainer Trainer { get; }

        public WatchedWeights Weights { get; }

        public CheckpointFolder Folder { get; }

        public string DataState => _data.State;

        public string[] Names => [.. Directory.EnumerateDirectories(Path).Select(path => System.IO.Path.GetFileName(path)).Order(StringComparer.Ordinal)];

        public void Steps(int count)
        {
            for (int i = 0; i < count; i++)
                Trainer.Step(TinyRun.Batch(_data));
        }

        public void Dispose()
        {
            Trainer.Dispose();
            _model.Dispose();
            _c.Dispose();
            Temporary.Dispose();
        }
    }
}
