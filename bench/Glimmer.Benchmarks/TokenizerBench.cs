using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Glimmer.Tokenization;
using Microsoft.ML.Tokenizers;
using Tokenizer = Glimmer.Tokenization.Tokenizer;

namespace Glimmer.Benchmarks;

/// <summary>
/// The command <c>tokenizer</c>: encodes and decodes the texts of the peer <c>tokenizers</c> in the same chunks, on one thread, and prints JSON lines
/// of the peer's form. Compares with Microsoft.ML.Tokenizers in the same process; <c>bench/compare-tokenizers.sh</c> runs the peer beside it.
/// </summary>
/// <remarks>
/// Options: <c>--shared DIR</c> (fixtures and data; default <c>../shared</c>), <c>--tokenizer FILE</c>, <c>--reps N</c>, <c>--chunk UNITS</c>,
/// <c>--max-bytes N</c>, <c>--no-ml</c>. Rates are per second of CPU time of the whole process, garbage collection and compilation included.
/// </remarks>
internal static class TokenizerBench
{
    public static int Run(string[] args)
    {
        string shared = Option(args, "--shared", Path.Combine("..", "shared"));
        string file = Option(args, "--tokenizer", Path.Combine(shared, "fixtures", "tokenizer", "glm-32k", "tokenizer.json"));
        int reps = int.Parse(Option(args, "--reps", "9"), CultureInfo.InvariantCulture);
        int chunk = int.Parse(Option(args, "--chunk", "10000"), CultureInfo.InvariantCulture);
        int maxBytes = int.Parse(Option(args, "--max-bytes", "4000000"), CultureInfo.InvariantCulture);

        var watch = Stopwatch.StartNew();
        Tokenizer tokenizer = Tokenizer.Load(file);
        Say(new { peer = "glimmer", op = "load", tokens = tokenizer.VocabularySize, ms = Math.Round(watch.Elapsed.TotalMilliseconds, 1) });
        TiktokenTokenizer? other = args.Contains("--no-ml") ? null : MicrosoftTokenizer(file, tokenizer);
        int differing = 0;
        foreach ((string label, string full) in Texts(shared))
        {
            string text = Cut(full, maxBytes);
            string[] parts = [.. Chunks(text, chunk)];
            int bytes = Encoding.UTF8.GetByteCount(text);
            int[][] ids = [.. parts.Select(p => tokenizer.Encode(p, EncodeOptions.RenderedPrompt))];
            Measure("glimmer", "encode", label, bytes, ids, reps, () => Encode(tokenizer, parts, EncodeOptions.RenderedPrompt));
            Measure("glimmer-plain", "encode", label, bytes, ids, reps, () => Encode(tokenizer, parts, EncodeOptions.UserText));
            Measure("glimmer", "decode", label, bytes, ids, reps, () => Decode(tokenizer, ids));
            if (other is null)
                continue;
            int[][] plain = [.. parts.Select(p => tokenizer.Encode(p))];
            int differ = parts.Zip(plain).Count(p => !other.EncodeToIds(p.First, considerPreTokenization: true, considerNormalization: false).SequenceEqual(p.Second));
            Say(new { peer = "microsoft.ml", op = "check", text = label, chunks = parts.Length, ids_differ = differ });
            differing += differ;
            Measure("microsoft.ml", "encode", label, bytes, plain, Math.Min(reps, 5), () =>
            {
                foreach (string part in parts)
                    other.EncodeToIds(part, considerPreTokenization: true, considerNormalization: false);
            });
        }

        return differing == 0 ? 0 : 1;
    }

    private static void Encode(Tokenizer tokenizer, string[] parts, EncodeOptions options)
    {
        foreach (string part in parts)
            tokenizer.Encode(part, options);
    }

    private static void Decode(Tokenizer tokenizer, int[][] ids)
    {
        foreach (int[] part in ids)
            tokenizer.Decode(part);
    }

    private static void Measure(string peer, string op, string text, int bytes, int[][] ids, int reps, Action pass)
    {
        int tokens = ids.Sum(i => i.Length);
        // Warm up until the optimised code is there; then repeat the pass until a measurement is long against the clock's 10 ms ticks.
        var warm = Stopwatch.StartNew();
        int passes = 0;
        for (; warm.ElapsedMilliseconds < 1500; passes++)
            pass();
        int repeat = Math.Max(1, (int)(300.0 * passes / warm.ElapsedMilliseconds));
        var seconds = new double[reps];
        var cpu = new double[reps];
        using var process = Process.GetCurrentProcess();
        for (int rep = 0; rep < reps; rep++)
        {
            GC.Collect();
            process.Refresh();
            TimeSpan before = process.TotalProcessorTime;
            var watch = Stopwatch.StartNew();
            for (int i = 0; i < repeat; i++)
                pass();
            seconds[rep] = watch.Elapsed.TotalSeconds / repeat;
            process.Refresh();
            cpu[rep] = (process.TotalProcessorTime - before).TotalSeconds / repeat;
        }

        Array.Sort(seconds);
        Array.Sort(cpu);
        Say(new
        {
            peer,
            op,
            threads = 1,
            text,
            bytes,
            tokens,
            chunks = ids.Length,
            mb_per_s = Round(bytes / 1e6 / seconds[reps / 2]),
            tokens_per_s = Math.Round(tokens / seconds[reps / 2]),
            mb_per_cpu_s = Round(bytes / 1e6 / cpu[reps / 2]),
            tokens_per_cpu_s = Math.Round(tokens / cpu[reps / 2]),
            max_mb_per_cpu_s = Round(bytes / 1e6 / cpu[0]),
            reps,
        });
    }

    /// <summary>The same vocabulary and pattern for the library .NET users would otherwise take; it reads vocabularies as lines of base64 and rank.</summary>
    private static TiktokenTokenizer MicrosoftTokenizer(string file, Tokenizer tokenizer)
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(file));
        string pattern = json.RootElement.GetProperty("pre_tokenizer").GetProperty("pretokenizers")[0].GetProperty("pattern").GetProperty("Regex").GetString()!;
        var ranks = new StringBuilder();
        for (int id = 0; id < tokenizer.VocabularySize && !tokenizer.IsAdded(id); id++)
            ranks.Append(Convert.ToBase64String(tokenizer.TokenBytes(id))).Append(' ').Append(id).Append('\n');
        var splitter = new RegexPreTokenizer(new Regex(pattern, RegexOptions.Compiled), null);
        return TiktokenTokenizer.Create(new MemoryStream(Encoding.ASCII.GetBytes(ranks.ToString())), splitter, null);
    }

    private static IEnumerable<(string Label, string Text)> Texts(string shared)
    {
        string data = Path.Combine(shared, "data");
        yield return ("text_en", ReadText(Path.Combine(data, "text_en", "moby_dick_pg2701.txt")));
        yield return ("text_zh", ReadText(Path.Combine(data, "text_zh", "hongloumeng.txt")));
        var code = new List<string>();
        foreach (string path in Directory.EnumerateFiles(Path.Combine(data, "code_multilang"), "*.jsonl").Order(StringComparer.Ordinal))
        {
            var contents = new List<string>();
            foreach (string line in ReadText(path).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                using JsonDocument row = JsonDocument.Parse(line);
                contents.Add(row.RootElement.GetProperty("content").GetString()!);
            }

            code.Add(string.Join('\n', contents));
        }

        yield return ("code", string.Join('\n', code));
    }

    /// <summary>A file as it is: a byte order mark stays, as it does for the peer.</summary>
    private static string ReadText(string path) => Encoding.UTF8.GetString(File.ReadAllBytes(path));

    /// <summary>Pieces of at most <paramref name="size"/> UTF-16 units, cut before a line feed where there is one; 0: one piece.</summary>
    private static IEnumerable<string> Chunks(string text, int size)
    {
        if (size == 0)
            yield return text;
        for (int start = 0; size > 0 && start < text.Length;)
        {
            int end = Math.Min(text.Length, start + size);
            if (end < text.Length)
            {
                int line = text.LastIndexOf('\n', end);
                if (line > start)
                    end = line;
                else if (char.IsLowSurrogate(text[end]))
                    end--;
            }

            yield return text[start..end];
            start = end;
        }
    }

    private static string Cut(string text, int maxBytes)
    {
        while (Encoding.UTF8.GetByteCount(text) > maxBytes)
            text = text[..Math.Max(1, (int)((long)text.Length * maxBytes / Encoding.UTF8.GetByteCount(text)) - 1)];
        return char.IsHighSurrogate(text[^1]) ? text[..^1] : text;
    }

    private static double Round(double value) => double.Parse(value.ToString("G5", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    private static string Option(string[] args, string name, string otherwise) =>
        Array.IndexOf(args, name) is int at and >= 0 && at + 1 < args.Length ? args[at + 1] : otherwise;

    private static void Say(object line) => Console.WriteLine(JsonSerializer.Serialize(line));
}
