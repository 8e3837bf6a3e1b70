using System.Globalization;
using System.Text.Json;
using Glimmer.Benchmarks.Comparison;
using Glimmer.Inference.Benchmarks;

namespace Glimmer.Benchmarks.TrainingSpeed;

/// <summary>
/// <c>compare-torch [--works S1,S2,dense,lora] [--threads 1,2] [--rounds N] [--steps N] [--torchsharp PROGRAM] [--torch run.sh] [--cpu]</c>: our training step and PyTorch's in turns, a JSON line a
/// row; exit code 1 when a ratio is below its bar. The ratio of a row is the median of the ratios of its rounds; <c>--cpu</c> compares tokens a second of processor time instead
/// of wall time, which a busy machine disturbs less.
/// </summary>
internal static class TorchComparison
{
    // Bars against libtorch 2 under TorchSharp, then against PyTorch 1.13 on one and on two threads.
    private static readonly (string Work, string Config, string Mode, double TorchSharp, double OneThread, double TwoThreads)[] s_works =
    [
        ("S1", "S1", "adamw", 1.5, 2.3, 4),
        ("S2", "S2", "adamw", 1.5, 2.3, 3),
        ("dense", "dense135m", "adamw", 1.1, 1.25, 1.25),
        ("lora", "dense135m", "lora", 1.2, 1.35, 1.35),
    ];

    public static int Run(string[] args)
    {
        string[] works = GemmBenchmark.Option(args, "--works", "S1,S2,dense,lora").Split(',');
        string torchSharp = GemmBenchmark.Option(args, "--torchsharp", ""), torch = GemmBenchmark.Option(args, "--torch", "");
        int rounds = int.Parse(GemmBenchmark.Option(args, "--rounds", "5"), CultureInfo.InvariantCulture);
        string steps = GemmBenchmark.Option(args, "--steps", "2");
        bool cpu = args.Contains("--cpu"), passed = true;
        foreach ((string work, string config, string mode, double bar, double oneThread, double twoThreads) in s_works.Where(row => works.Contains(row.Work)))
        {
            foreach (string threads in GemmBenchmark.Option(args, "--threads", "1,2").Split(','))
            {
                string[] common = ["--config", config, "--mode", mode, "--threads", threads, "--steps", steps];
                using var ours = new ServedProcess(Environment.ProcessPath!, ["train", .. common, "--serve"], preload: "");
                if (torchSharp.Length > 0)
                {
                    using var peer = new ServedProcess(torchSharp, common, GemmBenchmark.Option(args, "--preload", ""));
                    passed &= Row($"{work} beside TorchSharp", threads, bar, rounds, ours, peer.Block, cpu);
                }

                if (torch.Length > 0)
                {
                    var process = new MeasuringProcess([]);
                    string[] peer = ["--configs", config, "--modes", mode, "--threads", threads, "--steps", steps, "--reps", "1", "--warmup", "2"];
                    passed &= Row($"{work} beside PyTorch", threads, threads == "1" ? oneThread : twoThreads, rounds, ours, () => process.Run(torch, peer)[0], cpu);
                }
            }
        }

        return passed ? 0 : 1;
    }

    private static bool Row(string work, string threads, double bar, int rounds, ServedProcess ours, Func<JsonElement> peer, bool cpu)
    {
        var mine = new double[rounds];
        var theirs = new double[rounds];
        JsonElement last = default;
        for (int round = 0; round < rounds; round++)
        {
            mine[round] = Speed(last = ours.Block(), cpu);
            theirs[round] = Speed(peer(), cpu);
        }

        double[] ratios = [.. mine.Zip(theirs, (a, b) => a / b).Order()];
        double ratio = Samples.Median(ratios);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $$"""{"work":"{{work}}","threads":{{threads}},"unit":"{{(cpu ? "tokens/CPU s" : "tokens/s")}}","ours":{{Samples.Median(mine):F1}},"peer":{{Samples.Median(theirs):F1}},"ratio":{{ratio:F2}},"bar":{{bar}},"spread":[{{ratios[0]:F2}},{{ratios[^1]:F2}}],"share_of_peak":{{last.GetProperty("share_of_peak").GetDouble():F3}},"met":{{(ratio >= bar ? "true" : "false")}}}"""));
        return ratio >= bar;
    }

    private static double Speed(JsonElement block, bool cpu)
    {
        if (!cpu)
            return MeasuringProcess.Number(block, block.TryGetProperty("tok_per_s", out _) ? "tok_per_s" : "tokens_per_s");
        double given = MeasuringProcess.Number(block, "cpu_tokens_per_s");
        return double.IsNaN(given)
            ? MeasuringProcess.Number(block, "tok_per_s") * MeasuringProcess.Number(block, "seconds") / MeasuringProcess.Number(block, "cpu_seconds")
            : given;
    }
}
