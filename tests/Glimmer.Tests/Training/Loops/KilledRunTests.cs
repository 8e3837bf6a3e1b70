using System.Diagnostics;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Recipes;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training.Loops;

/// <summary>Training in a process of its own that is killed as <c>kill -9</c> does, again and again, in steps, saves and evaluations.</summary>
public class KilledRunTests(ITestOutputHelper output)
{
    private const int Steps = 240;
    private const int Kills = 7;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Category", "Slow")]
    public void A_run_that_is_killed_at_random_moments_equals_one_that_never_stopped(bool asynchronous)
    {
        using var folder = new TemporaryFolder();
        string recipe = Recipe(folder, asynchronous);
        using (Process whole = Start(recipe, folder["whole"]))
            Assert.True(whole.WaitForExit(TimeSpan.FromMinutes(4)) && whole.ExitCode == 0, "the unbroken run failed");

        var random = new Random(asynchronous ? 12 : 11);
        int kills = 0, unfinished = 0;
        for (long reached = 0; kills < Kills;)
        {
            using Process child = Start(recipe, folder["killed"]);
            reached = Math.Max(reached, StepsIn(folder["killed"])) + random.Next(1, Steps / (Kills + 1));
            while (!child.HasExited && StepsIn(folder["killed"]) < reached)
                Thread.Sleep(2);
            Thread.Sleep(random.Next(20)); // a save takes some milliseconds
            if (child.HasExited)
                break;
            child.Kill();
            child.WaitForExit();
            kills++;
            unfinished += Directory.GetDirectories(folder["killed"], "*.partial").Length > 0 ? 1 : 0;
        }

        Assert.True(kills >= Kills - 2, $"the run ended after {kills} kills");
        using (Process last = Start(recipe, folder["killed"]))
            Assert.True(last.WaitForExit(TimeSpan.FromMinutes(4)) && last.ExitCode == 0, "the run does not go on");
        output.WriteLine($"killed {kills} times, {unfinished} times inside a save");
        TrainingCheckpoint expected = CheckpointFolder.Find(folder["whole"], out _)!, actual = CheckpointFolder.Find(folder["killed"], out IReadOnlyList<string> passedOver)!;
        Assert.Empty(passedOver);
        Assert.Equal((expected.Steps, expected.TokensSeen), (actual.Steps, actual.TokensSeen));
        SameRun.AssertCheckpoints(expected.Folder, actual.Folder);
        SameRun.AssertLogs(folder["whole"], folder["killed"]);
    }

    private static Process Start(string recipe, string output)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet") { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (string argument in (string[])[Path.Combine(AppContext.BaseDirectory, "Glimmer.Cli.dll"), "pretrain", recipe, "--output", output, "--threads", "1"])
            start.ArgumentList.Add(argument);
        Process process = Process.Start(start)!;
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        return process;
    }

    // Lines of the log that are steps; it is cut when a run goes on.
    private static int StepsIn(string run)
    {
        string log = Path.Combine(run, "log.jsonl");
        if (!File.Exists(log))
            return 0;
        using var reader = new StreamReader(new FileStream(log, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        int steps = 0;
        while (reader.ReadLine() is { } line)
            steps += line.StartsWith("{\"step\":", StringComparison.Ordinal) ? 1 : 0;
        return steps;
    }

    private static string Recipe(TemporaryFolder folder, bool asynchronous)
    {
        TinyRun.WriteShard(folder["data.tokens"], 40);
        File.WriteAllText(folder["config.json"], TinyRun.GroupedQuery);
        var recipe = new TrainingRecipe
        {
            Model = folder["config.json"],
            Tokens = Steps * 128,
            SequenceLength = 32,
            Packing = RowPacking.Cut,
            MicroBatchRows = 2,
            Data = [new DataRecipe { Path = folder["data.tokens"] }],
            HeldOut = new HeldOutRecipe { Path = folder["data.tokens"], Rows = 4, Every = 10 },
            Batch = new BatchRecipe { Tokens = 128 },
            LearningRate = new LearningRateRecipe { Peak = 5e-3, WarmupTokens = 500 },
            Mtp = new MtpRecipe { Depths = 1 },
            Save = new SaveRecipe { Every = 4, Asynchronous = asynchronous },
        };
        File.WriteAllText(folder["recipe.yaml"], RecipeFile.Write(recipe, RecipeJson.Default.TrainingRecipe));
        return folder["recipe.yaml"];
    }
}
