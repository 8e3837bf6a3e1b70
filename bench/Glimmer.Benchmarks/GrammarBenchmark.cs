using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Inference;
using Glimmer.Inference.Constraints;
using Glimmer.Tokenization;

namespace Glimmer.Benchmarks;

/// <summary>
/// The command <c>grammar</c>: compiles the schemas of the peer <c>grammar</c>, walks its instances and prints the time of each mask in the peer's form:
/// one value a step, the median over the rounds after the first. <c>bench/compare-grammar.sh</c> runs the peer beside it.
/// </summary>
/// <remarks>
/// Options: <c>--cases FILE</c>, <c>--vocab FILE</c> (a folder or tokenizer.json, or a .gguf), <c>--rounds N</c>, <c>--whitespace any|none</c>. For any
/// vocabulary but the recorded one the walk takes the longest match.
/// </remarks>
internal static class GrammarBenchmark
{
    public static int Run(string[] args)
    {
        string cases = Option(args, "--cases", Path.Combine("..", "shared", "peers", "grammar", "cases.json"));
        string vocab = Option(args, "--vocab", Path.Combine("..", "shared", "fixtures", "tokenizer", "glm-32k", "tokenizer.json"));
        int rounds = int.Parse(Option(args, "--rounds", "15"), CultureInfo.InvariantCulture);
        bool whitespace = Option(args, "--whitespace", "any") == "any";
        Tokenizer tokenizer = vocab.EndsWith(".gguf", StringComparison.Ordinal) ? FromGguf(vocab) : Tokenizer.Load(vocab);
        var watch = Stopwatch.StartNew();
        var trie = new TokenTrie(tokenizer);
        double trieMs = watch.Elapsed.TotalMilliseconds;

        var steps = new List<double>();
        var raw = new List<double>();
        var first = new List<double>();
        var compiles = new List<double>();
        int failed = 0;
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(cases));
        JsonElement[] all = [.. document.RootElement.GetProperty("cases").EnumerateArray()];
        // Two turns: the first lets the runtime compile and optimise the code, as a server's would be.
        foreach (bool counts in (bool[])[false, true])
        {
            foreach (JsonElement entry in all)
            {
                string text = entry.GetProperty("text").GetString()!;
                if (!whitespace)
                    text = JsonSerializer.Serialize(JsonDocument.Parse(text).RootElement);
                int[] ids = whitespace && tokenizer.VocabularySize == 32804 && entry.TryGetProperty("glm_32k_ids", out JsonElement known)
                    ? [.. known.EnumerateArray().Select(e => e.GetInt32())]
                    : LongestMatch(tokenizer, text);
                failed += Walk(trie, entry, ids, whitespace, rounds, counts, steps, raw, first, compiles) ? 0 : 1;
            }

            if (!counts)
            {
                failed = 0;
                steps.Clear();
                raw.Clear();
                first.Clear();
                compiles.Clear();
            }
        }

        Console.WriteLine(JsonSerializer.Serialize(new
        {
            total = true,
            peer = "glimmer",
            vocab = tokenizer.VocabularySize,
            cases = all.Length,
            failed,
            rounds = rounds - 1,
            whitespace = whitespace ? "any" : "none",
            steps = steps.Count,
            trie_ms = Math.Round(trieMs, 1),
            mask_us = Statistics(steps),
            raw_us = Statistics(raw),
            first_visit_us = Statistics(first),
            compile_ms = Statistics(compiles),
        }));
        return failed == 0 ? 0 : 1;
    }

    private static bool Walk(
        TokenTrie trie, JsonElement entry, int[] ids, bool whitespace, int rounds, bool print, List<double> steps, List<double> raw, List<double> first, List<double> compiles)
    {
        string id = entry.GetProperty("id").GetString()!;
        string schema = entry.GetProperty("schema").GetRawText();
        // The first visit of each step, several times with a constraint that has seen nothing.
        const int Fresh = 7;
        List<double>[] visits = [.. Enumerable.Range(0, ids.Length + 1).Select(_ => new List<double>())];
        var compileTimes = new List<double>();
        Constraint? constraint = null;
        for (int i = 0; i < Fresh; i++)
        {
            long t = Stopwatch.GetTimestamp();
            constraint = Constraint.FromJsonSchema(trie, schema, new JsonSchemaOptions { Whitespace = whitespace });
            compileTimes.Add(Microseconds(t) / 1000);
            ConstraintMatcher visitor = constraint.Start();
            var seen = new ulong[constraint.MaskLength];
            for (int step = 0; step <= ids.Length; step++)
            {
                t = Stopwatch.GetTimestamp();
                visitor.Mask(seen);
                visits[step].Add(Microseconds(t));
                if (step < ids.Length)
                    visitor.Accept(ids[step]);
            }
        }

        foreach (List<double> visit in visits)
            first.Add(visit.Order().ElementAt(Fresh / 2));

        var mask = new ulong[constraint!.MaskLength];
        List<double>[] times = [.. Enumerable.Range(0, ids.Length + 1).Select(_ => new List<double>())];
        var accepts = new List<double>();
        ConstraintMatcher matcher = constraint.Start();
        bool valid = true;
        for (int r = 0; r < rounds; r++)
        {
            matcher.Rollback(matcher.Length);
            for (int i = 0; i <= ids.Length; i++)
            {
                long t = Stopwatch.GetTimestamp();
                matcher.Mask(mask);
                double us = Microseconds(t);
                if (r > 0)
                {
                    raw.Add(us);
                    times[i].Add(us);
                }

                if (i == ids.Length)
                    break;
                valid &= (mask[ids[i] >> 6] >> (ids[i] & 63) & 1) == 1;
                long t1 = Stopwatch.GetTimestamp();
                valid &= matcher.Accept(ids[i]);
                accepts.Add(Microseconds(t1));
            }

            valid &= matcher.CanEnd;
        }

        double[] medians = [.. times.Select(t => t.Order().ElementAt(t.Count / 2))];
        steps.AddRange(medians);
        compiles.Add(compileTimes.Order().ElementAt(Fresh / 2));
        if (print)
        {
            Console.WriteLine(JsonSerializer.Serialize(new
            {
                @case = id,
                tokens = ids.Length,
                valid,
                compile_ms = Math.Round(compiles[^1], 3),
                mask_us = Statistics([.. medians]),
                accept_us = Statistics(accepts),
            }));
        }

        return valid;
    }

    private static int[] LongestMatch(Tokenizer tokenizer, string text)
    {
        var ids = new Dictionary<string, int>();
        for (int id = 0; id < tokenizer.VocabularySize; id++)
        {
            if (tokenizer.HasToken(id) && !tokenizer.IsAdded(id) && !tokenizer.IsSpecial(id))
                ids.TryAdd(Convert.ToHexString(tokenizer.TokenBytes(id)), id);
        }

        byte[] bytes = Encoding.UTF8.GetBytes(text);
        var walk = new List<int>();
        for (int at = 0; at < bytes.Length;)
        {
            int length = Math.Min(64, bytes.Length - at);
            while (!ids.ContainsKey(Convert.ToHexString(bytes, at, length)))
                length--;
            walk.Add(ids[Convert.ToHexString(bytes, at, length)]);
            at += length;
        }

        return [.. walk];
    }

    private static Tokenizer FromGguf(string path)
    {
        using GgufFile file = GgufFile.Open(path);
        return TokenizerFiles.FromGguf(file);
    }

    private static double Microseconds(long since) => Stopwatch.GetElapsedTime(since).TotalNanoseconds / 1000;

    private static object Statistics(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        double At(double p) => Math.Round(sorted[Math.Min(sorted.Length - 1, (int)(p * sorted.Length))], 3);
        double fast = sorted.Take(Math.Max(1, (int)(0.99 * sorted.Length))).Average();
        return new { median = At(0.5), mean = Math.Round(sorted.Average(), 3), mean_of_fastest_99_percent = Math.Round(fast, 3), p90 = At(0.9), p99 = At(0.99), max = Math.Round(sorted[^1], 3) };
    }

    private static string Option(string[] args, string name, string fallback)
    {
        int at = Array.IndexOf(args, name);
        return at < 0 ? fallback : args[at + 1];
    }
}
