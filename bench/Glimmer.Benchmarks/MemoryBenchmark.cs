using System.Diagnostics;
using System.Globalization;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Benchmarks;

/// <summary>
/// <c>memory PATH [--pack-cache FOLDER] [--budget MB] [--tokens N] [--threads N] [--activations Q8]</c>: how long a model takes until it is ready, what memory it holds after
/// N tokens, and how fast it decodes; with a budget also how often experts were in memory, how fast the file is read without the page cache, and the speed that the hit rate
/// allows at that rate if reads overlapped with nothing, given <c>--in-memory TOK_PER_S</c>. One JSON line.
/// </summary>
internal static class MemoryBenchmark
{
    public static int Run(string[] args)
    {
        string path = args[0];
        string cacheFolder = GemmBenchmark.Option(args, "--pack-cache", "");
        double budget = Number(args, "--budget", 0), inMemory = Number(args, "--in-memory", 0);
        int tokens = (int)Number(args, "--tokens", 64), threads = (int)Number(args, "--threads", 2);
        using var team = new ThreadTeam(threads);
        long start = Stopwatch.GetTimestamp();
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using CausalLm model = checkpoint.LoadModel(
            team, options: new LoadOptions { PackCache = cacheFolder.Length == 0 ? null : cacheFolder, MemoryBudget = (long)(budget * 1e6) });
        double ready = Seconds(start);
        using var c = new Compute(team) { Activations = Enum.Parse<ActivationType>(GemmBenchmark.Option(args, "--activations", "Q8")) };
        using KeyValueCache cache = model.NewCache();
        using CachedSequence sequence = cache.NewSequence();
        start = Stopwatch.GetTimestamp();
        Decode(model, c, sequence, 0, 1);
        double first = Seconds(start);
        Decode(model, c, sequence, 1, tokens);
        ExpertStatistics? before = model.ExpertStatistics;
        long faults = MajorFaults();
        start = Stopwatch.GetTimestamp();
        Decode(model, c, sequence, tokens, 2 * tokens);
        double step = Seconds(start) / tokens;
        faults = MajorFaults() - faults;
        MemoryPlan plan = MemoryPlan.Of(checkpoint.Weights.Tensors);
        Print(("bench", "memory"), ("file", Path.GetFileName(path)), ("packed_mb", plan.PackedBytes / 1e6), ("expert_mb", plan.ExpertBytes / 1e6), ("ready_s", ready), ("first_token_s", first),
            ("tok_per_s", 1 / step), ("private_mb", Status("RssAnon") * 1.024e-3), ("file_mapped_mb", Status("RssFile") * 1.024e-3), ("swap_mb", Status("VmSwap") * 1.024e-3), ("kv_mb", cache.BlocksInUse * cache.BlockBytes / 1e6),
            ("major_faults", faults));
        if (model.ExpertStatistics is { } after && before is not null)
        {
            long hits = after.Hits - before.Hits, misses = after.Misses - before.Misses;
            double read = (after.BytesRead - before.BytesRead) / (double)tokens, disk = DiskRate(model.PackedPath!);
            double allowed = inMemory == 0 ? 0 : 1 / (1 / inMemory + read / disk);
            Print(("bench", "experts"), ("budget_mb", budget), ("hit_rate", (double)hits / (hits + misses)), ("foreseen", misses == 0 ? 0 : (after.Foreseen - before.Foreseen) / (double)misses),
                ("read_mb_per_token", read / 1e6), ("waited_share", (after.Waited - before.Waited).TotalSeconds / (step * tokens)), ("disk_mb_per_s", disk / 1e6),
                ("tok_per_s", 1 / step), ("allowed_tok_per_s", allowed), ("share_of_allowed", allowed == 0 ? 0 : 1 / step / allowed));
        }

        return 0;
    }

    private static void Decode(CausalLm model, Compute c, CachedSequence sequence, int from, int to)
    {
        var batch = new Batch();
        var random = new Random(from + 12345);
        for (int position = from; position < to; position++)
        {
            batch.Clear();
            batch.AddCached(sequence, [random.Next(model.Config.VocabSize)], position);
            c.Begin();
            model.Logits(c, model.Forward(c, batch));
            sequence.Commit(position + 1);
        }
    }

    // Reads expert-sized runs all over the file, as the store does, without the page cache: announce four, then read them.
    private static double DiskRate(string path)
    {
        const int Run = 12 << 20, Runs = 80;
        using Microsoft.Win32.SafeHandles.SafeFileHandle file = File.OpenHandle(path);
        var buffer = new byte[Run];
        long length = RandomAccess.GetLength(file);
        MemoryAdvice.DropCached(file, 0, length);
        long start = Stopwatch.GetTimestamp(), bytes = 0;
        for (int i = 0; i < Runs; i += 4)
        {
            for (int j = i; j < i + 4; j++)
                MemoryAdvice.WillNeed(file, Offset(j, length), Run);
            for (int j = i; j < i + 4; j++)
            {
                bytes += RandomAccess.Read(file, buffer, Offset(j, length));
                MemoryAdvice.DropCached(file, Offset(j, length), Run);
            }
        }

        return bytes / Seconds(start);
    }

    private static long Offset(int index, long length) => index * 7919L * 262_144 % Math.Max(1, length - (12 << 20)) / 4096 * 4096;

    private static double Seconds(long start) => Stopwatch.GetElapsedTime(start).TotalSeconds;

    private static double Number(string[] args, string name, double value) =>
        double.Parse(GemmBenchmark.Option(args, name, value.ToString(CultureInfo.InvariantCulture)), CultureInfo.InvariantCulture);

    // Kilobytes of a line of /proc/self/status.
    private static double Status(string name)
    {
        string? line = File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith(name + ":", StringComparison.Ordinal));
        return line is null ? 0 : double.Parse(line[(name.Length + 1)..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture);
    }

    private static long MajorFaults() => long.Parse(File.ReadAllText("/proc/self/stat").Split(") ")[^1].Split(' ')[9], CultureInfo.InvariantCulture);

    private static void Print(params ReadOnlySpan<(string Name, object Value)> fields)
    {
        var parts = new List<string>();
        foreach ((string name, object value) in fields)
            parts.Add(value is string text ? $"\"{name}\":\"{text}\"" : string.Create(CultureInfo.InvariantCulture, $"\"{name}\":{value:0.####}"));
        Console.WriteLine("{" + string.Join(",", parts) + "}");
    }
}
