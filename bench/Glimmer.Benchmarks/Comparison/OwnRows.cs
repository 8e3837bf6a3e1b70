using System.Globalization;
using System.Text.Json;
using Glimmer.Inference.Benchmarks;
using static Glimmer.Benchmarks.Comparison.MeasuringProcess;

namespace Glimmer.Benchmarks.Comparison;

/// <summary>Rows that no peer has: each compares us with ourselves, or with what the bytes read allow.</summary>
internal sealed class OwnRows(MeasuringProcess process, string glimmer, string models, string threads, Action<ComparisonRow> add)
{
    private const double Megabyte = 1e6;

    /// <summary>Names of the works.</summary>
    public static IReadOnlyList<string> Works { get; } = ["dsa", "mtp", "memory", "start", "budget", "prefix", "arrival"];

    /// <summary>Measures a work.</summary>
    public void Measure(string work, string peer)
    {
        switch (work)
        {
            case "dsa":
                SparseDepth();
                break;
            case "mtp":
                Drafts();
                break;
            case "memory":
                Memory(peer);
                break;
            case "start":
                Start(peer);
                break;
            case "budget":
                Budget(peer);
                break;
            case "prefix":
                PrefixHit(peer);
                break;
            default:
                Arrival(peer);
                break;
        }
    }

    private string Slice(string name, string type)
    {
        string path = Path.Combine(models, $"{name}.{type}.gguf");
        if (!File.Exists(path))
            process.Run(glimmer, "bench", "--make", name, "--type", type, "--out", path);
        return path;
    }

    private string PeerFile(string peer, string shape, string type)
    {
        string path = Path.Combine(models, $"{shape}.{type}.gguf");
        if (!File.Exists(path))
            process.Run(peer, "gen", shape, type);
        return path;
    }

    private List<JsonElement> Bench(string path, string tests, params ReadOnlySpan<string> more) =>
        process.Run(glimmer, ["bench", path, "--tests", tests, "--threads", threads, "--json", .. more]);

    private void SparseDepth()
    {
        string path = Slice("glm5-dsa-thin", "q4_0");
        List<double> ratios = [];
        double near = 0, far = 0;
        for (int round = 0; round < 3; round++)
        {
            List<JsonElement> lines = Bench(path, "tg16", "--depth", "16384,65536", "--reps", "3", "--activations", "q8", "--kv-cache-type", "bf16");
            near = 1e3 / Number(Line(lines, "tg16", "q8", 16384), "tok_per_s");
            far = 1e3 / Number(Line(lines, "tg16", "q8", 65536), "tok_per_s");
            ratios.Add(far / near);
        }

        add(new ComparisonRow("step time at 64K over 16K, glm5-dsa-thin q4_0, bf16 cache", "ms", far, null, Samples.Median(ratios), (ratios.Min(), ratios.Max()), 1.15, AtMost: true)
        {
            Note = string.Create(CultureInfo.InvariantCulture, $"{near:f1} ms at 16K in the last round; index_topk 2048"),
        });
    }

    private void Drafts()
    {
        string path = Slice("air-mtp", "q4_0");
        List<JsonElement> lines = Bench(path, "mtp96@0.6,mtp96@0.8,mtp96@0.9,mtp96@0", "--reps", "3", "--activations", "q8");
        foreach (string acceptance in (string[])["0.6", "0.8", "0.9"])
        {
            JsonElement line = Line(lines, $"mtp96@{acceptance}", "q8");
            double speedup = Number(line, "speedup"), predicted = Number(line, "predicted_best");
            add(new ComparisonRow($"MTP, acceptance {acceptance}, air-mtp q4_0", "times without drafts", speedup, null, speedup / predicted, (speedup / predicted, speedup / predicted), 0.95)
            {
                Note = string.Create(
                    CultureInfo.InvariantCulture,
                    $"bytes allow {predicted:f2} with {Number(line, "predicted_best_drafts")} drafts, {Number(line, "predicted_as_run"):f2} as run; {Number(line, "tokens_per_step"):f2} tokens a step; experts of a layer in passes over 1 to 4 tokens {line.GetProperty("expert_unions").GetRawText()}"),
            });
        }

        double none = Number(Line(lines, "mtp96@0", "q8"), "speedup");
        add(new ComparisonRow("MTP, acceptance 0, air-mtp q4_0", "times without drafts", none, null, none, (none, none), 0.97));
    }

    private void Memory(string peer)
    {
        List<JsonElement> lines = Bench(PeerFile(peer, "air-slice", "q4_0"), "gen64", "--reps", "1", "--activations", "q8");
        JsonElement memory = lines[^1];
        double own = Number(memory, "private_bytes") + Number(memory, "mapped_bytes");
        double allowed = Number(memory, "weight_bytes") + Number(memory, "cache_bytes") + (300 * Megabyte);
        add(new ComparisonRow("memory: private and mapped, air-slice q4_0", "MB", own / Megabyte, null, own / allowed, (own / allowed, own / allowed), 1, AtMost: true)
        {
            Note = string.Create(CultureInfo.InvariantCulture, $"weights {Number(memory, "weight_bytes") / Megabyte:f0}, keys and values {Number(memory, "cache_bytes") / Megabyte:f0}, and 300 are allowed"),
        });
        double allocated = Number(Line(lines, "gen64", "q8"), "allocated_bytes_per_token");
        add(new ComparisonRow("allocated on the engine thread, air-slice q4_0", "bytes a token", allocated, null, allocated, (allocated, allocated), 0, AtMost: true));
    }

    private void PrefixHit(string peer)
    {
        List<JsonElement> lines = Bench(PeerFile(peer, "mid", "q8_0"), "hit16384+64", "--reps", "1", "--activations", "q8");
        JsonElement line = Line(lines, "hit16384+64", "q8");
        double share = Number(line, "hit_share");
        add(new ComparisonRow("prefix hit: 64 tokens behind 16K, mid q8_0", "ms to the first token", Number(line, "ttft_ms"), null, share, (share, share), 0.03, AtMost: true));
    }

    private void Arrival(string peer)
    {
        List<JsonElement> lines = Bench(PeerFile(peer, "mid", "q8_0"), "mix8+4096", "--reps", "1", "--activations", "q8");
        JsonElement line = Line(lines, "mix8+4096", "q8");
        double median = Number(line, "gap_median_ms"), p99 = Number(line, "gap_p99_ms");
        add(new ComparisonRow("8 streams and a 4K prompt, p99 gap over the undisturbed median, mid q8_0", "ms", p99, null, p99 / median, (p99 / median, p99 / median), 3, AtMost: true)
        {
            Note = string.Create(CultureInfo.InvariantCulture, $"undisturbed median {median:f1} ms"),
        });
    }

    private void Start(string peer)
    {
        string path = PeerFile(peer, "air-slice", "q4_0");
        string folder = Directory.CreateDirectory(Path.Combine(models, "packed")).FullName;
        var seconds = new List<double>();
        // The first start may write the file; the others find it in the page cache.
        for (int round = 0; round < 4; round++)
            seconds.Add(Number(Bench(path, "tg1", "--reps", "1", "--pack-cache", folder)[0], "load_s"));
        double median = Samples.Median(seconds.Skip(1));
        add(new ComparisonRow("start with pack cache, air-slice q4_0", "s", median, null, median, (seconds.Skip(1).Min(), seconds.Skip(1).Max()), 1.5, AtMost: true)
        {
            Note = string.Create(CultureInfo.InvariantCulture, $"{seconds[0]:f1} s in the first start"),
        });
    }

    private void Budget(string peer)
    {
        string path = PeerFile(peer, "air-slice4", "q4_0");
        string folder = Directory.CreateDirectory(Path.Combine(models, "packed")).FullName;
        double inMemory = Number(Line(Bench(path, "tg32", "--reps", "3", "--activations", "q8"), "tg32", "q8"), "tok_per_s");
        long swapped = SwappedPages();
        long budget = new FileInfo(path).Length / 2;
        List<JsonElement> lines = Bench(path, "tg32", "--reps", "3", "--activations", "q8", "--pack-cache", folder, "--memory-budget", budget.ToString(CultureInfo.InvariantCulture));
        JsonElement line = Line(lines, "tg32", "q8");
        double speed = Number(line, "tok_per_s"), missed = Number(line, "expert_bytes_per_token");
        double disk = DiskBytesPerSecond(Directory.EnumerateFiles(folder).OrderByDescending(file => new FileInfo(file).Length).First());
        double allowed = 1 / ((1 / inMemory) + (missed / disk));
        add(new ComparisonRow("a model of twice the memory budget, air-slice4 q4_0", "tokens/s", speed, null, speed / allowed, (speed / allowed, speed / allowed), 0.5)
        {
            Note = string.Create(
                CultureInfo.InvariantCulture,
                $"hit rate {Number(line, "expert_hit_rate"):p0}, {missed / Megabyte:f0} MB a token from a disk of {disk / Megabyte:f0} MB/s allow {allowed:f2} tokens/s ({inMemory:f2} in memory); pages swapped out meanwhile {SwappedPages() - swapped}"),
        });
    }

    // Reads past the page cache, as the experts do.
    private static double DiskBytesPerSecond(string path)
    {
        const int Megabytes = 1024;
        var start = new System.Diagnostics.ProcessStartInfo("dd", [$"if={path}", "of=/dev/null", "bs=8M", $"count={Megabytes / 8}", "iflag=direct"]) { RedirectStandardError = true };
        long began = System.Diagnostics.Stopwatch.GetTimestamp();
        using System.Diagnostics.Process dd = System.Diagnostics.Process.Start(start)!;
        string error = dd.StandardError.ReadToEnd();
        dd.WaitForExit();
        return dd.ExitCode == 0
            ? Megabytes * 1048576.0 / System.Diagnostics.Stopwatch.GetElapsedTime(began).TotalSeconds
            : throw new InvalidOperationException($"dd could not read '{path}': {error.Trim()}");
    }

    private static long SwappedPages()
    {
        string? line = File.Exists("/proc/vmstat") ? File.ReadLines("/proc/vmstat").FirstOrDefault(line => line.StartsWith("pswpout ", StringComparison.Ordinal)) : null;
        return line is null ? 0 : long.Parse(line.AsSpan(8), CultureInfo.InvariantCulture);
    }
}
