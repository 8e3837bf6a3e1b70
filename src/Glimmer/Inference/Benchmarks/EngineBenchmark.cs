using System.Diagnostics;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;

namespace Glimmer.Inference.Benchmarks;

/// <summary>Tests that run through the engine: sampling, scheduling, drafts and the prefix cache are part of what is measured.</summary>
internal sealed class EngineBenchmark(CausalLm model, Compute compute, BenchmarkOptions options, WeightTraffic traffic, ExpertReads experts)
{
    private const int PromptTokens = 16;
    private const int AnswerTokens = 16;
    private const int UndisturbedSteps = 64;
    private const int AllocationWindow = 8;

    private double[]? _unions;

    /// <summary>Keys and values of the largest test.</summary>
    public long CacheBytes { get; private set; }

    /// <summary>Runs a test once and keeps its figures.</summary>
    public void Measure(BenchmarkTest test, int repetition, Samples sample)
    {
        var random = new Random((int)options.Seed + repetition);
        switch (test.Kind)
        {
            case BenchmarkKind.Generate:
                sample.Speeds.Add(Generate(test, random, forced: null, DraftSource.None, sample));
                break;
            case BenchmarkKind.Speculate:
                Speculate(test, repetition, sample);
                break;
            case BenchmarkKind.PrefixHit:
                PrefixHit(test, random, sample);
                break;
            default:
                Arrival(test, random, sample);
                break;
        }
    }

    /// <summary>Adds what only these tests have.</summary>
    public BenchmarkResult Complete(BenchmarkTest test, Samples sample, BenchmarkResult result) => test.Kind switch
    {
        BenchmarkKind.Speculate => result with { Speculation = Figures(test, sample) },
        BenchmarkKind.PrefixHit => result with
        {
            HitShare = Samples.Median(sample.Hits.Select(hit => hit.Share)),
            FirstTokenMilliseconds = Samples.Median(sample.Hits.Select(hit => hit.Milliseconds)),
        },
        BenchmarkKind.Arrival => result with { Gap = (Samples.Median(sample.Gaps.Select(gap => gap.Median)), Samples.Median(sample.Gaps.Select(gap => gap.P99))) },
        _ => result,
    };

    // Tokens a second from the moment when every sequence has its first token until the first one has all.
    private double Generate(BenchmarkTest test, Random random, Func<int, bool>? forced, DraftSource drafts, Samples sample)
    {
        using EngineCore core = NewCore(test.Sequences * (PromptTokens + test.Tokens + 64), drafts, forced);
        Generation[] generations = [.. Enumerable.Range(0, test.Sequences).Select(_ => Add(core, Tokens(random, PromptTokens), test.Tokens + 1))];
        for (int tokens = 0; tokens < test.Sequences;)
            tokens += Step(core, generations);
        experts.Clear();
        EngineStatistics before = core.Statistics;
        double leastAllocated = double.MaxValue;
        long start = Stopwatch.GetTimestamp();
        while (core.HasWork)
        {
            // In steady state: the least of windows, because lists still grow in the first ones.
            long allocated = GC.GetAllocatedBytesForCurrentThread();
            int inWindow = 0;
            for (int i = 0; i < AllocationWindow && core.HasWork; i++)
                inWindow += Step(core, generations);
            leastAllocated = Math.Min(leastAllocated, (double)(GC.GetAllocatedBytesForCurrentThread() - allocated) / Math.Max(1, inWindow));
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        EngineStatistics after = core.Statistics;
        long produced = after.GeneratedTokens - before.GeneratedTokens;
        sample.Allocated = leastAllocated;
        sample.Union = experts.Union;
        if (forced is not null)
        {
            long drafted = after.DraftedTokens - before.DraftedTokens, steps = after.Steps - before.Steps;
            double read = (steps * (double)(traffic.Fixed + traffic.Head)) + (experts.Trunk * traffic.Expert)
                + (experts.DraftPasses * (double)traffic.DraftFixed) + (experts.Draft * traffic.Expert) + (drafted * (double)traffic.DraftHead);
            sample.Speculation.Add((0, (double)produced / steps, drafted == 0 ? 0 : (double)(after.AcceptedTokens - before.AcceptedTokens) / drafted, produced * traffic.Single / read));
        }

        return produced / seconds;
    }

    private void Speculate(BenchmarkTest test, int repetition, Samples sample)
    {
        ulong seed = options.Seed + (ulong)repetition;
        double plain = Generate(test, new Random((int)seed), forced: null, DraftSource.None, sample);
        double speed = Generate(
            test, new Random((int)seed), position => CounterRandom.Uniform(seed, DrawPurpose.ForcedAcceptance, position, 0) < test.Acceptance, DraftSource.NextTokenLayer, sample);
        sample.Speeds.Add(speed);
        sample.Speculation[^1] = sample.Speculation[^1] with { Speedup = speed / plain };
    }

    private SpeculationFigures Figures(BenchmarkTest test, Samples sample)
    {
        double[] unions = _unions ??= Unions();
        (double best, int drafts) = (1, 0);
        for (int d = 1; d <= options.MaxDrafts; d++)
        {
            double speedup = Predicted(d, test.Acceptance, unions);
            (best, drafts) = speedup > best ? (speedup, d) : (best, drafts);
        }

        return new SpeculationFigures(
            Samples.Median(sample.Speculation.Select(s => s.Speedup)), Samples.Median(sample.Speculation.Select(s => s.TokensPerStep)),
            Samples.Median(sample.Speculation.Select(s => s.Acceptance)), best, drafts, Samples.Median(sample.Speculation.Select(s => s.Predicted)), unions);
    }

    // Bytes of one token, over bytes a token of a step that drafts d tokens: a pass of the trunk over 1 + d tokens, a pass of the MTP layer over those that became final, one a
    // further draft, and an output matrix a draft.
    private double Predicted(int d, double acceptance, double[] unions)
    {
        double tokens = Enumerable.Range(0, d + 1).Sum(i => Math.Pow(acceptance, i));
        int below = (int)tokens;
        double final = unions[below - 1] + ((tokens - below) * (unions[Math.Min(below, unions.Length - 1)] - unions[below - 1]));
        double draft = traffic.DraftFixed + (final * traffic.Expert) + ((d - 1) * (traffic.DraftFixed + (traffic.Chosen * traffic.Expert))) + (d * (double)traffic.DraftHead);
        return tokens * traffic.Single / (traffic.Pass(unions[d]) + draft);
    }

    // Different experts of a layer in passes over 1, 2, ... consecutive tokens.
    private double[] Unions()
    {
        var unions = new double[options.MaxDrafts + 1];
        var random = new Random((int)options.Seed);
        using var cache = model.NewCache();
        var batch = new Batch();
        for (int tokens = 1; tokens <= unions.Length; tokens++)
        {
            using CachedSequence sequence = cache.NewSequence();
            experts.Clear();
            for (int pass = 0; pass < 16; pass++)
            {
                batch.Clear();
                batch.AddCached(sequence, Tokens(random, tokens), pass * tokens);
                compute.Begin();
                model.Forward(compute, batch);
                sequence.Commit((pass + 1) * tokens);
            }

            unions[tokens - 1] = experts.Union ?? 0;
        }

        return unions;
    }

    private void PrefixHit(BenchmarkTest test, Random random, Samples sample)
    {
        using EngineCore core = NewCore(test.Tokens + AnswerTokens + test.Added + 256, DraftSource.None, forced: null);
        int[] prompt = Tokens(random, test.Tokens);
        var answer = new List<int>();
        double cold = FirstToken(core, prompt, AnswerTokens, answer);
        double hit = FirstToken(core, [.. prompt, .. answer, .. Tokens(random, test.Added)], 1, []);
        sample.Speeds.Add(test.Tokens / cold);
        sample.Hits.Add((hit / cold, hit * 1e3));
    }

    // Seconds from handing in to the first token; runs to the end of the answer.
    private static double FirstToken(EngineCore core, int[] prompt, int most, List<int> answer)
    {
        long start = Stopwatch.GetTimestamp();
        double first = 0;
        Generation generation = Add(core, prompt, most);
        while (core.HasWork)
        {
            core.Step();
            while (generation.TryRead(out EngineToken token))
            {
                if (answer.Count == 0)
                    first = Stopwatch.GetElapsedTime(start).TotalSeconds;
                answer.Add(token.Token);
            }
        }

        return first;
    }

    private void Arrival(BenchmarkTest test, Random random, Samples sample)
    {
        const int Most = 1 << 20;
        using EngineCore core = NewCore((test.Sequences * 4096) + test.Tokens + 256, DraftSource.None, forced: null);
        Generation[] writers = [.. Enumerable.Range(0, test.Sequences).Select(_ => Add(core, Tokens(random, PromptTokens), Most))];
        while (core.Statistics.GeneratedTokens < 4 * test.Sequences)
            Step(core, writers);
        var undisturbed = new double[UndisturbedSteps];
        long begin = Stopwatch.GetTimestamp();
        for (int i = 0; i < UndisturbedSteps; i++)
            undisturbed[i] = TimeStep(core, writers);
        sample.Speeds.Add(test.Sequences * UndisturbedSteps / Stopwatch.GetElapsedTime(begin).TotalSeconds);
        Generation newcomer = Add(core, Tokens(random, test.Tokens), 1);
        var gaps = new List<double>();
        while (!newcomer.TryRead(out _))
            gaps.Add(TimeStep(core, writers));
        gaps.Sort();
        sample.Gaps.Add((Samples.Median(undisturbed), gaps[(int)(0.99 * (gaps.Count - 1))]));
    }

    private static double TimeStep(EngineCore core, Generation[] generations)
    {
        long start = Stopwatch.GetTimestamp();
        Step(core, generations);
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    private EngineCore NewCore(int tokens, DraftSource drafts, Func<int, bool>? forced)
    {
        using var probe = model.NewCache();
        CacheBytes = Math.Max(CacheBytes, probe.BlockBytes * KeyValueLayout.PagesFor(tokens));
        return new EngineCore(model, compute, new EngineOptions { ContextLength = tokens, CacheTokens = tokens + 64, Drafts = drafts, MaxDrafts = options.MaxDrafts }, tokenizer: null)
        {
            ForcedAcceptance = forced,
        };
    }

    private static Generation Add(EngineCore core, int[] prompt, int most)
    {
        var generation = new Generation(new GenerationRequest { Prompt = prompt, MaxTokens = most, Sampling = new SamplingOptions { Temperature = 0 } }, core.Cancel);
        core.Add(generation);
        return generation;
    }

    // Returns the tokens that came.
    private static int Step(EngineCore core, Generation[] generations)
    {
        int tokens = 0;
        core.Step();
        foreach (Generation generation in generations)
        {
            while (generation.TryRead(out _))
                tokens++;
        }

        return tokens;
    }

    private int[] Tokens(Random random, int count)
    {
        var tokens = new int[count];
        foreach (ref int token in tokens.AsSpan())
            token = random.Next(model.Config.VocabSize);
        return tokens;
    }
}
