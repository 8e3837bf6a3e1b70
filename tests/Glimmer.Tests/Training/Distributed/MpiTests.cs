using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Glimmer.Tests.Training.Loops;
using Glimmer.Training.Checkpoints;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training.Distributed;

/// <summary><c>glimmer pretrain</c> under the real <c>mpirun</c>. Skipped where Open MPI is not installed.</summary>
public class MpiTests(ITestOutputHelper output)
{
    private const int Interrupt = 2; // SIGINT
    private const int UserSignal = 10; // SIGUSR1, which mpirun hands on to the ranks
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);
    private static readonly string[] s_program =
        [Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet", Path.Combine(AppContext.BaseDirectory, "Glimmer.Cli.dll")];

    [SkippableFact]
    public void One_two_and_three_ranks_write_the_same_checkpoints()
    {
        using var folder = new TemporaryFolder();
        WriteRecipe(folder);
        Assert.Equal(0, Start(folder, 1, "one").End().Code);
        string expected = Files(folder["one"]);
        output.WriteLine(expected);
        foreach (int ranks in (int[])[2, 3])
        {
            (int code, string text) = Start(folder, ranks, $"ranks-{ranks}").End();
            Assert.True(code == 0, text);
            Assert.Equal(expected, Files(folder[$"ranks-{ranks}"]));
            Assert.Equal(TrainingRunTests.LogOf(folder["one"]), TrainingRunTests.LogOf(folder[$"ranks-{ranks}"]));
            Assert.Contains($"\"ranks\": \"{ranks}\"", File.ReadAllText(folder[$"ranks-{ranks}/environment.json"]), StringComparison.Ordinal);
        }
    }

    [SkippableFact]
    public void Ranks_that_share_the_experts_write_the_same_checkpoints()
    {
        using var folder = new TemporaryFolder();
        WriteRecipe(folder);
        Assert.Equal(0, Start(folder, 1, "one").End().Code);
        (int code, string text) = Start(folder, 2, "shared", "--expert_parallel", "true").End();
        Assert.True(code == 0, text);
        Assert.Equal(Files(folder["one"]), Files(folder["shared"]));
        Assert.Equal(TrainingRunTests.LogOf(folder["one"]), TrainingRunTests.LogOf(folder["shared"]));
        (code, text) = Start(folder, 5, "many", "--expert_parallel", "true").End();
        Assert.NotEqual(0, code);
        Assert.Contains("5 ranks cannot share 4 routed experts", text, StringComparison.Ordinal);
    }

    [SkippableTheory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_killed_rank_ends_the_run_and_leaves_a_checkpoint_to_go_on_from(int victim)
    {
        using var folder = new TemporaryFolder();
        WriteRecipe(folder);
        using Job job = Start(folder, 2, "run", "--tokens", "1000000000", "--save.asynchronous", victim == 0 ? "true" : "false");
        WaitForCheckpoint(folder["run"], 9);
        job.Signal(victim, 9);
        long killed = Stopwatch.GetTimestamp();
        (int code, string text) = job.End();
        output.WriteLine($"mpirun ended {Stopwatch.GetElapsedTime(killed).TotalSeconds:f1} s after rank {victim} was killed: {text}");
        Assert.NotEqual(0, code);
        TrainingCheckpoint last = CheckpointFolder.Find(folder["run"], out _)!;
        Assert.True(last.Steps >= 9);

        // With another number of ranks, to the same end as a run in one process that nothing happened to.
        string tokens = (last.TokensSeen + 1000).ToString(CultureInfo.InvariantCulture);
        (int again, string said) = Start(folder, victim == 0 ? 3 : 1, "run", "--tokens", tokens).End();
        Assert.True(again == 0, said);
        Assert.Equal(0, Start(folder, 1, "whole", "--tokens", tokens).End().Code);
        TrainingCheckpoint expected = CheckpointFolder.Find(folder["whole"], out _)!, actual = CheckpointFolder.Find(folder["run"], out _)!;
        Assert.Equal(expected.Steps, actual.Steps);
        Assert.Equal(Hashes(expected.Folder), Hashes(actual.Folder));
    }

    [SkippableTheory]
    [InlineData("a rank", Interrupt)]
    [InlineData("mpirun", UserSignal)]
    [InlineData("local.sh", Interrupt)]
    public void A_signal_stops_all_ranks_at_one_step_with_a_checkpoint(string to, int signal)
    {
        using var folder = new TemporaryFolder();
        WriteRecipe(folder);
        using Job job = to == "local.sh" ? StartScript(folder, "run", "--tokens", "1000000000") : Start(folder, 2, "run", "--tokens", "1000000000");
        WaitForCheckpoint(folder["run"], 6);
        job.Signal(to == "a rank" ? 1 : null, signal);
        (int code, string text) = job.End();
        Assert.True(code == 130, $"{code}: {text}");
        Assert.Contains("interrupted; the same command goes on from here", text, StringComparison.Ordinal);
        TrainingCheckpoint last = CheckpointFolder.Find(folder["run"], out IReadOnlyList<string> passedOver)!;
        Assert.Empty(passedOver);
        Assert.Equal($"step {last.Steps - 1}", "step " + TrainingRunTests.LogOf(folder["run"]).Last(line => line.Contains("\"loss\"", StringComparison.Ordinal)).Split(',')[0].Split(':')[1].Trim());
    }

    [SkippableFact]
    public void An_error_is_told_once_and_nobody_hangs()
    {
        using var folder = new TemporaryFolder();
        WriteRecipe(folder);
        (int code, string text) = Start(folder, 2, "run", "--tokens", "0").End();
        Assert.Equal(1, code);
        Assert.Single(text.Split("tokens: say how many tokens the run is to see."), part => part.EndsWith("rank 0 of 2: ", StringComparison.Ordinal));
        Assert.Equal(2, text.Split("tokens: say how many tokens the run is to see.").Length);

        // Commands of one process say so.
        (code, text) = Start(["mpirun", "--oversubscribe", "-n", "2", .. s_program, "sft", "--model", folder["nothing"]]).End();
        Assert.NotEqual(0, code);
        Assert.Contains("fine-tuning runs in one process, but mpirun started 2", text, StringComparison.Ordinal);

        // Data that cannot be read: ranks find it out one by one.
        (code, text) = Start(folder, 2, "run", "--data.0.path", folder["nothing"]).End();
        Assert.NotEqual(0, code);
        Assert.Contains("nothing", text, StringComparison.Ordinal);
    }

    private static void WriteRecipe(TemporaryFolder folder)
    {
        Directory.CreateDirectory(folder["data"]);
        TinyRun.WriteShard(folder["data/a.tokens"], 40);
        File.WriteAllText(folder["config.json"], TinyRun.GroupedQuery);
        File.WriteAllText(folder["recipe.yaml"], $$"""
            model: {{folder["config.json"]}}
            tokens: 2_000
            sequence_length: 32
            micro_batch_rows: 1
            data: [{path: {{folder["data"]}}}]
            held_out: {path: {{folder["data/a.tokens"]}}, rows: 5, every: 4}
            batch: {start_tokens: 64, tokens: 224, ramp_tokens: 500}
            learning_rate: {peak: 5e-3, warmup_tokens: 200, end_tokens: 4_000}
            mtp: {depths: 2}
            balance: {bias_rate: 1e-3, sequence_weight: 1e-3}
            save: {every: 3}
            """);
    }

    private static Job Start(TemporaryFolder folder, int ranks, string run, params string[] options)
    {
        string[] command = [.. s_program, "pretrain", folder["recipe.yaml"], "--output", folder[run], "--threads", "1", .. options];
        return Start(ranks > 1 ? ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", ranks.ToString(CultureInfo.InvariantCulture), .. command] : command);
    }

    private static Job StartScript(TemporaryFolder folder, string run, params string[] options)
    {
        Start(["mpirun", "--version"]).End(); // or skip
        return Start(["bash", Path.Combine(Fixtures.Repository, "recipes", "cluster", "local.sh"), "2", "pretrain", folder["recipe.yaml"], "--output", folder[run], .. options]);
    }

    private static Job Start(string[] command)
    {
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardError = true, RedirectStandardOutput = true, RedirectStandardInput = true };
        start.Environment["GLIMMER"] = string.Join(' ', s_program);
        // A container's only user is often root, which mpirun refuses by default.
        start.Environment["OMPI_ALLOW_RUN_AS_ROOT"] = start.Environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
        try
        {
            return new Job(Process.Start(start)!);
        }
        catch (System.ComponentModel.Win32Exception) when (command[0] == "mpirun")
        {
            throw new SkipException("Open MPI is not installed here: there is no mpirun (Debian: openmpi-bin)");
        }
    }

    private static void WaitForCheckpoint(string run, long steps)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < s_patience; Thread.Sleep(20))
        {
            if (Directory.Exists(run) && Directory.EnumerateDirectories(run, "checkpoint-*").Any(path => long.TryParse(Path.GetFileName(path)["checkpoint-".Length..], out long found) && found >= steps))
                return;
        }

        Assert.Fail($"There is no checkpoint of step {steps} after {s_patience.TotalSeconds} s.");
    }

    private static string Files(string run) => string.Join('\n', Directory.EnumerateDirectories(run, "checkpoint-*").Order(StringComparer.Ordinal).Select(Hashes));

    private static string Hashes(string checkpoint) => string.Join('\n', Directory.EnumerateFiles(checkpoint, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
        .Select(file => $"{Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(file)))} {Path.GetFileName(checkpoint)}/{Path.GetRelativePath(checkpoint, file)}"));

    /// <summary>mpirun and its ranks, or one process.</summary>
    private sealed class Job : IDisposable
    {
        private readonly Process _process;
        private readonly Task<string> _text;

        public Job(Process process)
        {
            _process = process;
            process.StandardInput.Close();
            Task<string> error = process.StandardError.ReadToEndAsync();
            Task<string> result = process.StandardOutput.ReadToEndAsync();
            _text = Task.Run(async () => await result + await error);
        }

        /// <summary>Waits for the end.</summary>
        public (int Code, string Text) End()
        {
            if (!_process.WaitForExit(s_patience))
            {
                _process.Kill(entireProcessTree: true);
                Assert.Fail($"The ranks have not ended after {s_patience.TotalSeconds} s.");
            }

            return (_process.ExitCode, _text.GetAwaiter().GetResult());
        }

        /// <summary>Sends a signal to a rank, or to mpirun.</summary>
        public void Signal(int? rank, int signal) => Assert.Equal(0, Kill(rank is { } number ? Rank(number) : _process.Id, signal));

        public void Dispose()
        {
            if (!_process.HasExited)
                _process.Kill(entireProcessTree: true);
            _process.Dispose();
        }

        // The child of mpirun whose environment has the number.
        private int Rank(int number)
        {
            foreach (string folder in Directory.EnumerateDirectories("/proc").Where(path => int.TryParse(Path.GetFileName(path), out _)))
            {
                try
                {
                    string status = File.ReadAllText(Path.Combine(folder, "stat"));
                    bool isChild = int.Parse(status[(status.LastIndexOf(')') + 2)..].Split(' ')[1], CultureInfo.InvariantCulture) == _process.Id;
                    if (isChild && File.ReadAllText(Path.Combine(folder, "environ")).Split('\0').Contains($"OMPI_COMM_WORLD_RANK={number}"))
                        return int.Parse(Path.GetFileName(folder), CultureInfo.InvariantCulture);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    // It has ended meanwhile, or is not ours.
                }
            }

            throw new InvalidOperationException($"mpirun has no rank {number}.");
        }
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);
}
