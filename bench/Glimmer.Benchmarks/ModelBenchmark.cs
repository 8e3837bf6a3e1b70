using System.Diagnostics;
using System.Globalization;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Benchmarks;

/// <summary>
/// <c>model PATH [--tests tg128,pp512,tg32b8] [--activations F32,Q8] [--threads N] [--rounds N]</c>: a whole model on random tokens. ppN reads a prompt of N tokens in
/// one batch, tgN writes N tokens one at a time, tgNbS does so for S sequences side by side (the figure is their sum). Prints a JSON line a test and kind of
/// activations: median, smallest and largest tokens a second. Kinds run in turns.
/// </summary>
internal static class ModelBenchmark
{
    public static int Run(string[] args)
    {
        string[] tests = GemmBenchmark.Option(args, "--tests", "tg128,pp512").Split(',');
        ActivationType[] kinds = [.. GemmBenchmark.Option(args, "--activations", "F32,Q8").Split(',').Select(Enum.Parse<ActivationType>)];
        int threads = int.Parse(GemmBenchmark.Option(args, "--threads", "2"), CultureInfo.InvariantCulture);
        int rounds = int.Parse(GemmBenchmark.Option(args, "--rounds", "3"), CultureInfo.InvariantCulture);
        using var team = new ThreadTeam(threads);
        using Checkpoint checkpoint = Checkpoint.Open(args[0]);
        using CausalLm model = checkpoint.LoadModel(team);
        using var c = new Compute(team);
        foreach (string test in tests)
        {
            var speeds = kinds.ToDictionary(kind => kind, _ => new List<double>());
            for (int round = -1; round < rounds; round++)
            {
                foreach (ActivationType kind in kinds)
                {
                    c.Activations = kind;
                    double speed = Measure(model, c, test);
                    if (round >= 0)
                        speeds[kind].Add(speed);
                }
            }

            foreach ((ActivationType kind, List<double> list) in speeds)
            {
                list.Sort();
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $$"""{"bench":"model","test":"{{test}}","activations":"{{kind}}","threads":{{threads}},"tok_per_s":{{list[list.Count / 2]:F1}},"min":{{list[0]:F1}},"max":{{list[^1]:F1}}}"""));
            }
        }

        return 0;
    }

    private static double Measure(CausalLm model, Compute c, string test)
    {
        string[] sizes = test[2..].Split('b');
        int count = int.Parse(sizes[0], CultureInfo.InvariantCulture), sequences = sizes.Length > 1 ? int.Parse(sizes[1], CultureInfo.InvariantCulture) : 1;
        bool isPrompt = test.StartsWith("pp", StringComparison.Ordinal);
        using var cache = new KeyValueCache(model.CacheSlots);
        CachedSequence[] cached = [.. Enumerable.Range(0, sequences).Select(_ => cache.NewSequence())];
        var random = new Random(1);
        int[] tokens = [.. Enumerable.Range(0, count).Select(_ => random.Next(model.Config.VocabSize))];
        var batch = new Batch();
        long start = Stopwatch.GetTimestamp();
        for (int step = 0; step < (isPrompt ? 1 : count); step++)
        {
            batch.Clear();
            foreach (CachedSequence sequence in cached)
                batch.AddCached(sequence, isPrompt ? tokens : tokens.AsSpan(step, 1), step);
            c.Begin();
            Tensor hidden = model.Forward(c, batch);
            int[] last = [.. Enumerable.Range(1, sequences).Select(i => (i * hidden.Shape[0] / sequences) - 1)];
            model.Logits(c, Rows.Gather(c, hidden, last));
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        foreach (CachedSequence sequence in cached)
            sequence.Dispose();
        return count * sequences / seconds;
    }
}
