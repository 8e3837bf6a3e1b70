using System.Globalization;
using System.Text.Json;
using Glimmer.Inference.Benchmarks;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Models.Slices;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Benchmarks.Comparison;

/// <summary>
/// <c>check-gguf --peer peer.sh --fixtures DIR --work DIR [--types LIST]</c>: writes GGUF files of every architecture and type from small checkpoints and compares the logits that
/// llama.cpp and we compute from them. Prints a JSON line a file; exit code 1 when a file does not load or is outside its bounds.
/// </summary>
/// <remarks>
/// F32 files: the same greedy token wherever the two best logits differ by more than 1e-3. Other types: root mean square of the difference at most the band recorded for llama.cpp on
/// a file of that type and architecture, relative to the standard deviation of the logits, over tokens whose experts and keys do not change when we round activations to 8 bits ourselves (llama.cpp
/// always does). Where its rounding tips a choice that ours does not, a token is far off: tokens beyond 4 times the median are left out and counted, at most a quarter of all.
/// A band belongs to the checkpoint that it was recorded from. Others ("borrowed") differ in depth and width, so they get twice the largest band of the type, and up to half of their tokens may be left out.
/// </remarks>
internal sealed class GgufCheck
{
    private const float GreedyMargin = 1e-3f;

    private static readonly (string Name, string Folder, string Architecture)[] s_sources =
    [
        ("glm4moe-f32-mtp", "formats/gguf", "glm4moe"), ("deepseek2-f32-mtp", "formats/gguf", "deepseek2"), ("glm-dsa-f32-mtp", "formats/gguf", "glm-dsa"),
        ("glm4_moe_air", "models", "glm4moe"), ("glm4_moe_qknorm", "models", "glm4moe"), ("glm4_moe_lite_mla", "models", "deepseek2"),
        ("tiny-mtp", "slice", "glm4moe"), ("tiny-dsa", "slice", "glm-dsa"),
    ];

    private readonly string _peer;
    private readonly string _fixtures;
    private readonly string _work;
    private readonly MeasuringProcess _process = new([]);
    private readonly Dictionary<(string Architecture, string Type), double> _bands = [];

    private GgufCheck(string[] args)
    {
        _peer = GemmBenchmark.Option(args, "--peer", "peer.sh");
        _fixtures = GemmBenchmark.Option(args, "--fixtures", "../shared/fixtures");
        _work = GemmBenchmark.Option(args, "--work", ".");
        ReadBands();
    }

    public static int Run(string[] args)
    {
        var check = new GgufCheck(args);
        string[] types = GemmBenchmark.Option(args, "--types", "f32,f16,bf16,q8_0,q4_0,q4_1,q5_0,q5_1,q4_k,iq4_nl,mxfp4").Split(',');
        bool passed = true, ran = false;
        foreach ((string name, string folder, string architecture) in s_sources)
        {
            string source = Path.Combine(check._fixtures, folder, name), file = Path.Combine(source, "model.gguf");
            source = File.Exists(file) ? file : source;
            if (folder == "slice")
                SliceWriter.Write(ModelSlice.Find(name), DType.F32, source = Path.Combine(check._work, $"{name}.gguf"));
            if (!File.Exists(source) && !Directory.Exists(source))
                continue;
            foreach (string type in types)
            {
                ran = true;
                passed &= check.Check(source, name, architecture, type, isRecorded: folder == "formats/gguf" && check._bands.ContainsKey((architecture, type)));
            }
        }

        if (!ran)
            Console.Error.WriteLine($"no recorded checkpoints in {check._fixtures}: set GLIMMER_FIXTURES");
        return !ran ? 2 : passed ? 0 : 1;
    }

    private void ReadBands()
    {
        string folder = Path.Combine(_fixtures, "formats", "gguf");
        if (!Directory.Exists(folder))
            return;
        foreach (string path in Directory.GetDirectories(folder).Select(directory => Path.Combine(directory, "reference.json")).Where(File.Exists))
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllText(path));
            string[] parts = Path.GetFileName(Path.GetDirectoryName(path)!).Replace("-mtp", "", StringComparison.Ordinal).Split('-');
            if (document.RootElement.TryGetProperty("llama_cpp", out JsonElement peer) && peer.TryGetProperty("band_rms_relative_to_logit_std", out JsonElement band))
                _bands.TryAdd((string.Join('-', parts[..^1]), parts[^1]), band.GetDouble());
        }
    }

    private bool Check(string source, string name, string architecture, string type, bool isRecorded)
    {
        string path = Path.Combine(_work, $"{name}.{type}.gguf");
        File.Delete(path);
        try
        {
            CheckpointConverter.Convert(source, path, StorageTypes.Parse(type));
            using Checkpoint checkpoint = Checkpoint.Open(path);
            int vocabulary = checkpoint.Config.VocabSize;
            int[] tokens = [.. Enumerable.Range(0, 24).Select(i => ((i * 37) + 11) % vocabulary)];
            float[] ours = Logits(checkpoint, tokens, ActivationType.F32, out List<Choice> exact);
            Logits(checkpoint, tokens, ActivationType.Q8, out List<Choice> rounded);
            List<JsonElement> lines = _process.Run(
                _peer, "logits-file", path, "--flash", "0", "--cache", "f32", "--threads", "1", "--vocab", vocabulary.ToString(CultureInfo.InvariantCulture), "--tokens", string.Join(',', tokens));
            float[] theirs = [.. lines.Where(line => line.TryGetProperty("logits", out _)).SelectMany(line => line.GetProperty("logits").EnumerateArray().Select(value => value.GetSingle()))];
            return Report(name, architecture, type, isRecorded, tokens.Length, vocabulary, ours, theirs, exact, rounded);
        }
        catch (Exception error) when (error is InvalidOperationException or UnsupportedModelException or ModelFormatException)
        {
            Console.WriteLine($$"""{"file":"{{name}}","type":"{{type}}","ok":false,"error":"{{JsonEncodedText.Encode(error.Message)}}"}""");
            return false;
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static float[] Logits(Checkpoint checkpoint, int[] tokens, ActivationType activations, out List<Choice> choices)
    {
        using var team = new ThreadTeam(1);
        using CausalLm model = checkpoint.LoadModel(team);
        using var c = new Compute(team) { Activations = activations };
        var chosen = new List<Choice>();
        c.Observer = (name, value) =>
        {
            if (name.EndsWith("experts", StringComparison.Ordinal) || name.EndsWith("index_positions", StringComparison.Ordinal))
                chosen.Add(new Choice(value.I32.ToArray(), value.Shape[1], name.EndsWith("positions", StringComparison.Ordinal)));
        };
        var batch = new Batch();
        batch.AddDocument(tokens);
        c.Begin();
        float[] logits = model.Logits(c, model.Forward(c, batch)).F32.ToArray();
        choices = chosen;
        return logits;
    }

    private bool Report(string name, string architecture, string type, bool isRecorded, int tokens, int vocabulary, float[] ours, float[] theirs, List<Choice> exact, List<Choice> rounded)
    {
        if (theirs.Length != ours.Length)
            throw new InvalidOperationException($"llama.cpp gave {theirs.Length} logits; {ours.Length} were expected");
        double mean = ours.Average(value => (double)value), deviation = Math.Sqrt(ours.Average(value => (value - mean) * (value - mean)));
        double all = 0, most = 0;
        int greedy = 0, clear = 0;
        var same = new List<double>();
        for (int t = 0; t < tokens; t++)
        {
            ReadOnlySpan<float> our = ours.AsSpan(t * vocabulary, vocabulary), their = theirs.AsSpan(t * vocabulary, vocabulary);
            double sum = 0;
            for (int i = 0; i < vocabulary; i++)
            {
                double difference = (double)our[i] - their[i];
                sum += difference * difference;
                most = Math.Max(most, Math.Abs(difference));
            }

            all += sum;
            bool isSame = exact.Zip(rounded).All(pair => pair.First.Of(t).SequenceEqual(pair.Second.Of(t)));
            if (isSame)
                same.Add(sum);
            float[] best = [.. our.ToArray().OrderDescending().Take(2)];
            if (best[0] - best[1] <= GreedyMargin)
                continue;
            clear++;
            greedy += TopK.ArgMax(our) == TopK.ArgMax(their) ? 1 : 0;
        }

        double median = same.Count == 0 ? 0 : Samples.Median(same);
        double[] near = [.. same.Where(sum => sum <= 16 * median)];
        double rms = near.Length == 0 ? double.NaN : Math.Sqrt(near.Average() / vocabulary) / deviation;
        double band = isRecorded ? _bands[(architecture, type)] : 2 * _bands.Where(pair => pair.Key.Type == type).Select(pair => pair.Value).DefaultIfEmpty(double.NaN).Max();
        bool ok = type == "f32" ? greedy == clear : rms <= band && near.Length >= (isRecorded ? tokens * 3 / 4 : tokens / 2);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $$"""{"file":"{{name}}","architecture":"{{architecture}}","type":"{{type}}","rms_over_std":{{rms:G3}},"band":{{(double.IsNaN(band) ? "null" : band.ToString("G3", CultureInfo.InvariantCulture))}},"borrowed":{{(isRecorded ? "false" : "true")}},"rms_all_tokens":{{Math.Sqrt(all / tokens / vocabulary) / deviation:G3}},"max_difference":{{most:G3}},"counted_tokens":{{near.Length}},"tokens":{{tokens}},"greedy_equal":{{greedy}},"greedy_clear":{{clear}},"ok":{{(ok ? "true" : "false")}}}"""));
        return ok;
    }

    /// <summary>Experts or keys that a layer chose, [T, width].</summary>
    private sealed record Choice(int[] Values, int Width, bool IsKeys)
    {
        // A token has no more keys than positions; what lies behind them is undefined.
        public ArraySegment<int> Of(int token) => new(Values, token * Width, IsKeys ? Math.Min(Width, token + 1) : Width);
    }
}
