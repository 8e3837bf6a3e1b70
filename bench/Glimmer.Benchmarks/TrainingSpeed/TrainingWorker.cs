using System.Diagnostics;
using System.Globalization;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;
using TokenWork = Glimmer.Training.Runs.TrainingWork;

namespace Glimmer.Benchmarks.TrainingSpeed;

/// <summary>
/// <c>train [--config S2] [--mode adamw|muon|lora] [--threads N] [--steps N] [--blocks N] [--mtp 0|1] [--recompute] [--serve] [--optimizer]</c>: trains a model with random weights and prints a JSON line
/// a block of steps: seconds, tokens a second, share of the best 1024 x 1024 product seen in the process. With <c>--serve</c> a block runs for every line read.
/// With <c>--optimizer</c> the optimizer's step is timed alone behind each block, from the gradients that are there; its state moves, so losses are not those of a plain run.
/// </summary>
internal static class TrainingWorker
{
    public static int Run(string[] args)
    {
        TrainingWork work = TrainingWork.Find(GemmBenchmark.Option(args, "--config", "S2"));
        string mode = GemmBenchmark.Option(args, "--mode", "adamw");
        int threads = Number(args, "--threads", 2), steps = Number(args, "--steps", 3), blocks = Number(args, "--blocks", 5), depths = Number(args, "--mtp", 0);
        string folder = Path.Combine(Path.GetTempPath(), $"glimmer-train-{Environment.ProcessId}");
        try
        {
            ModelInitializer.Write(work.Config(depths), folder, seed: 1);
            using var team = new ThreadTeam(threads);
            using Checkpoint checkpoint = Checkpoint.Open(folder);
            using CausalLm model = checkpoint.LoadModel(team);
            using var c = new Compute(team);
            using LoraAdapter? adapter = mode == "lora" ? Adapter(model) : null;
            TrainerOptions options = Options(mode, depths, args.Contains("--recompute"));
            using Trainer trainer = adapter is null ? new Trainer(model, c, options) : new Trainer(model, c, options, adapter);
            int at = 0;
            MicroBatch[] data = [.. Enumerable.Range(0, 8).Select(seed => new MicroBatch([.. work.Data(seed).Select(row => new[] { new TrainingDocument(row[..^1], row[1..]) })]))];

            double Step()
            {
                var batch = new MicroBatch[work.Rows.MicroBatches];
                for (int i = 0; i < batch.Length; i++)
                    batch[i] = data[at++ % data.Length];
                return trainer.Step(batch).Loss;
            }

            double first = Step(), peak = 0;
            Step();
            Console.WriteLine($$"""{"ready":true}""");
            bool serve = args.Contains("--serve");
            for (int block = 0; serve ? Console.ReadLine() is { Length: > 0 } : block < blocks; block++)
            {
                peak = Math.Max(peak, Training.Runs.TrainingWork.PeakPerSecond(team) / 1e9);
                TimeSpan cpuBefore = Process.GetCurrentProcess().TotalProcessorTime;
                long start = Stopwatch.GetTimestamp();
                double last = 0;
                for (int step = 0; step < steps; step++)
                    last = Step();
                double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds, cpu = (Process.GetCurrentProcess().TotalProcessorTime - cpuBefore).TotalSeconds;
                string optimizer = args.Contains("--optimizer") ? OptimizerShare(trainer, team, seconds / steps) : "";
                double rate = work.Tokens * steps / seconds, gflops = rate * TokenWork.PerToken(model.Config, work.Rows.Length, depths, isFrozen: mode == "lora") / 1e9;
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $$"""{"config":"{{work.Name}}","mode":"{{mode}}","threads":{{threads}},"seconds":{{seconds:F3}},"cpu_seconds":{{cpu:F3}},"tok_per_s":{{rate:F1}},"gflops":{{gflops:F1}},"gemm_peak_gflops":{{peak:F1}},"share_of_peak":{{gflops / peak:F3}},"first_loss":{{first:F4}},"last_loss":{{last:G17}},"state_mb":{{StateBytes(trainer) / 1e6:F1}},"activations_kib_per_token":{{c.Workspace.PeakBytes / 1024.0 / work.MicroBatchTokens:F1}}{{optimizer}},"resident_mb":{{Environment.WorkingSet >> 20}}}"""));
            }

            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // The mean of a few steps at rate 0, beside the mean of whole steps.
    private static string OptimizerShare(Trainer trainer, ThreadTeam team, double stepSeconds)
    {
        const int count = 3;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
            trainer.Optimizer.Step(team, 0);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds / count;
        return string.Create(CultureInfo.InvariantCulture, $$""","optimizer_seconds":{{seconds:F4}},"optimizer_share":{{seconds / stepSeconds:F3}}""");
    }

    // Values and gradients of what is trained, and the optimizer's tensors.
    private static long StateBytes(Trainer trainer) =>
        trainer.Optimizer.Parameters.Sum(parameter => 2L * sizeof(float) * parameter.Value!.Count) + trainer.Optimizer.State.Sum(pair => (long)sizeof(float) * pair.Value.Count);

    private static LoraAdapter Adapter(CausalLm model)
    {
        LoraAdapter adapter = LoraAdapter.Create(
            model, new LoraOptions { Rank = 16, Alpha = 32, TargetModules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] });
        adapter.Attach(model);
        return adapter;
    }

    private static TrainerOptions Options(string mode, int depths, bool recompute) => new()
    {
        LearningRate = Schedule.Constant(mode == "lora" ? 1e-3 : 3e-4),
        BiasRate = Schedule.Constant(mode == "lora" ? 0 : 1e-3),
        NextTokenDepths = depths,
        RecomputeBlocks = recompute,
        Optimizer = new OptimizerOptions { Matrices = mode == "muon" ? MatrixRule.Muon : MatrixRule.AdamW },
    };

    private static int Number(string[] args, string name, int value) => int.Parse(GemmBenchmark.Option(args, name, value.ToString(CultureInfo.InvariantCulture)), CultureInfo.InvariantCulture);
}
