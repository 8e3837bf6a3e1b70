using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Glimmer.Inference;
using Glimmer.Inference.Benchmarks;
using static Glimmer.Benchmarks.Comparison.MeasuringProcess;

namespace Glimmer.Benchmarks.Comparison;

/// <summary>
/// <c>compare --rows FILE --svg FILE</c> draws the rows of a file. <c>compare --peer peer.sh --glimmer PATH --cache DIR [--rounds N] [--quick] [--minutes N] [--threads N] [--out FILE] [--svg FILE] [work ...]</c>: ours and llama.cpp in turns on the same files,
/// then rows without a peer. Prints a JSON line a row; exit code 1 when a bar is missed, 2 when nothing could be measured. <c>bench/compare-llamacpp.sh</c> calls it.
/// </summary>
internal sealed class LlamaComparison
{
    private readonly string _peer;
    private readonly string _glimmer;
    private readonly string _models;
    private readonly string _threads;
    private readonly int _rounds;
    private readonly bool _quick;
    private readonly TimeSpan _limit;
    private readonly string? _out;
    private readonly string _svg;
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly MeasuringProcess _process;
    private readonly List<ComparisonRow> _rows = [];

    private LlamaComparison(string[] args)
    {
        _quick = args.Contains("--quick");
        _peer = GemmBenchmark.Option(args, "--peer", "peer.sh");
        _glimmer = GemmBenchmark.Option(args, "--glimmer", "glimmer");
        _models = Path.Combine(GemmBenchmark.Option(args, "--cache", "."), "models");
        _threads = GemmBenchmark.Option(args, "--threads", "2");
        _rounds = int.Parse(GemmBenchmark.Option(args, "--rounds", _quick ? "3" : "5"), CultureInfo.InvariantCulture);
        _limit = TimeSpan.FromMinutes(double.Parse(GemmBenchmark.Option(args, "--minutes", _quick ? "5" : "60"), CultureInfo.InvariantCulture));
        string file = GemmBenchmark.Option(args, "--out", "");
        _out = file.Length == 0 ? null : file;
        _svg = GemmBenchmark.Option(args, "--svg", "");
        _process = new MeasuringProcess(GemmBenchmark.Option(args, "--before", "").Split(' ', StringSplitOptions.RemoveEmptyEntries));
    }

    public static int Run(string[] args)
    {
        if (GemmBenchmark.Option(args, "--rows", "") is { Length: > 0 } rows)
        {
            ComparisonPlot.Write(File.ReadLines(rows), GemmBenchmark.Option(args, "--svg", Path.ChangeExtension(rows, ".svg")));
            return 0;
        }

        string[] works = [.. Works(args)];
        var comparison = new LlamaComparison(args);
        string[] known = [.. ComparedFile.All.Select(file => file.Work), .. OwnRows.Works, "depth"];
        if (works.FirstOrDefault(work => !known.Contains(work)) is { } unknown)
        {
            Console.Error.WriteLine($"'{unknown}' is no work; there are {string.Join(", ", known)}.");
            return 2;
        }

        return comparison.RunAll(works.Length > 0 ? works : comparison._quick ? [.. ComparedFile.All.Select(file => file.Work)] : known);
    }

    private static IEnumerable<string> Works(string[] args)
    {
        for (int i = 0; i < args.Length; i++)
        {
            if (args[i] == "--quick")
                continue;
            if (args[i].StartsWith("--", StringComparison.Ordinal))
                i++;
            else
                yield return args[i];
        }
    }

    private int RunAll(string[] works)
    {
        foreach (string work in works)
        {
            if (Stopwatch.GetElapsedTime(_start) > _limit)
            {
                Console.Error.WriteLine($"{work}: left out, the {_limit.TotalMinutes:f0} minutes are over (--minutes)");
                continue;
            }

            long start = Stopwatch.GetTimestamp();
            try
            {
                if (ComparedFile.All.FirstOrDefault(file => file.Work == work) is { } compared)
                    Compare(compared);
                else if (work == "depth")
                    CompareDepths();
                else
                    new OwnRows(_process, _glimmer, _models, _threads, Add).Measure(work, _peer);
            }
            catch (InvalidOperationException error)
            {
                Console.Error.WriteLine($"{work}: {error.Message}");
            }

            Console.Error.WriteLine($"{work}: {Stopwatch.GetElapsedTime(start).TotalSeconds:f0} s");
        }

        if (_rows.Count == 0)
            return 2;
        if (_svg.Length > 0)
            ComparisonPlot.Write(_out is null ? _rows.Select(row => row.ToJson()) : File.ReadLines(_out), _svg);
        Console.Error.WriteLine($"{_rows.Count(row => row.IsMet)} of {_rows.Count} bars are met");
        return _rows.All(row => row.IsMet) ? 0 : 1;
    }

    private void Add(ComparisonRow row)
    {
        _rows.Add(row);
        Console.WriteLine(row.ToJson());
        if (_out is not null)
            File.AppendAllText(_out, row.ToJson() + "\n");
    }

    // The path of a slice; null when it would have to be made and only quick figures are wanted.
    private string? FileOf(ComparedFile file)
    {
        if (file.Shape is null)
            return EmbeddedModel.Find();
        string path = Path.Combine(_models, $"{file.Shape}.{file.Type}.gguf");
        if (!File.Exists(path) && !_quick)
            _process.Run(_peer, "gen", file.Shape, file.Type);
        return File.Exists(path) ? path : null;
    }

    private void Compare(ComparedFile file)
    {
        if (FileOf(file) is not { } path)
        {
            Console.Error.WriteLine($"{file.Work}: left out, the file is not there; without --quick it is made");
            return;
        }

        string[] tests = [.. file.Tests.Select(test => test.Test).Distinct().Where(test => !_quick || test is "tg32" or "pp512")];
        string list = string.Join(',', tests);
        var ours = new List<List<JsonElement>>();
        var peers = new List<List<JsonElement>>();
        for (int round = 0; round < _rounds; round++)
        {
            // The side that begins changes, so that a drift of the machine hits both.
            if (round % 2 == 0)
                peers.Add(Peer(path, file.Shape, list));
            ours.Add(_process.Run(_glimmer, "bench", path, "--tests", list, "--reps", "1", "--threads", _threads, "--activations", "q8,f32", "--json"));
            if (round % 2 != 0)
                peers.Add(Peer(path, file.Shape, list));
        }

        foreach (ComparedTest test in file.Tests.Where(test => tests.Contains(test.Test)))
            AddRows(file, test, ours, peers);
    }

    private List<JsonElement> Peer(string path, string? shape, string tests, params ReadOnlySpan<string> more) =>
        _process.Run(_peer, ["file", path, "--tests", tests, "--reps", "1", "--threads", _threads, .. shape is null ? (string[])["--vocab", "49152"] : [], .. more]);

    private void AddRows(ComparedFile file, ComparedTest test, List<List<JsonElement>> ours, List<List<JsonElement>> peers)
    {
        double[] our = [.. ours.Select(round => Number(Line(round, test.Test, test.Activations), "tok_per_s"))];
        double[] exact = [.. ours.Select(round => Number(Line(round, test.Test, "f32"), "tok_per_s"))];
        double[] peer = [.. peers.Select(round => Number(Line(round, test.Test), "tok_per_s"))];
        double[] shares = [.. ours.Select(round => Number(Line(round, test.Test, test.Activations), "read_share"))];
        double[] ratios = [.. our.Zip(peer, (a, b) => a / b)];
        // The peer reads the same weights for a token.
        double[] peerShares = [.. shares.Zip(ratios, (share, ratio) => share / ratio)];
        string what = test.Test.StartsWith("pp", StringComparison.Ordinal) ? "prefill 512" : test.Test.Contains('b', StringComparison.Ordinal) ? "8 sequences, decode" : "decode";
        string name = file.Shape is null ? "SmolLM2-135M Q4_1" : $"{file.Shape} {file.Type}";
        bool decodes = what == "decode";
        Add(new ComparisonRow($"{what}, {name}, {test.Activations}", "tokens/s", Samples.Median(our), Samples.Median(peer), Samples.Median(our) / Samples.Median(peer), (ratios.Min(), ratios.Max()), test.Bar)
        {
            ReadShare = decodes ? Samples.Median(shares) : null,
            PeerReadShare = decodes ? Samples.Median(peerShares) : null,
            OursF32 = test.Activations == "q8" ? Samples.Median(exact) : null,
        });
        if (test.ReadShareBar > 0)
            Add(new ComparisonRow($"share of plain read, {name}, {test.Activations}", "share", Samples.Median(shares), Samples.Median(peerShares), Samples.Median(shares), (shares.Min(), shares.Max()), test.ReadShareBar) { ReadShare = Samples.Median(shares) });
    }

    // How much slower a token gets with depth, on both sides.
    private void CompareDepths()
    {
        var file = new ComparedFile("depth", "mid", "q8_0", []);
        string path = FileOf(file) ?? throw new InvalidOperationException("the file is not there; without --quick it is made");
        int[] depths = [8192, 32768];
        var ours = new List<List<JsonElement>>();
        var peers = new List<List<JsonElement>>();
        // The peer computes the whole prefix, so one process a depth repeats its test instead of rounds.
        foreach (int depth in (int[])[0, .. depths])
        {
            ours.Add(_process.Run(_glimmer, "bench", path, "--tests", "tg32", "--depth", string.Join(',', [0, .. depths]), "--reps", "3", "--threads", _threads, "--activations", "q8,f32", "--json"));
            peers.Add(_process.Run(_peer, "file", path, "--tests", "tg32", "--depth", depth.ToString(CultureInfo.InvariantCulture), "--reps", "5", "--threads", _threads));
        }

        double Ours(int depth, string activations) => Samples.Median(ours.Select(round => Number(Line(round, "tg32", activations, depth), "tok_per_s")));
        double PeerAt(int index) => Number(peers[index].First(line => line.TryGetProperty("test", out _)), "tok_per_s");
        for (int i = 0; i < depths.Length; i++)
        {
            double our = Ours(0, "q8") / Ours(depths[i], "q8"), peer = PeerAt(0) / PeerAt(i + 1);
            double[] single = [.. ours.Select(round => Number(Line(round, "tg32", "q8"), "tok_per_s") / Number(Line(round, "tg32", "q8", depths[i]), "tok_per_s"))];
            Add(new ComparisonRow($"time of a token at depth {depths[i]} over depth 0, mid q8_0, q8", "times", our, peer, our / peer, (single.Min() / peer, single.Max() / peer), 1, AtMost: true)
            {
                OursF32 = Ours(0, "f32") / Ours(depths[i], "f32"),
                Note = string.Create(CultureInfo.InvariantCulture, $"tokens/s at that depth {Ours(depths[i], "q8"):f1}, peer {PeerAt(i + 1):f1}"),
            });
        }
    }
}
