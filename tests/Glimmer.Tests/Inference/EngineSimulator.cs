using Glimmer.Inference;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;

namespace Glimmer.Tests.Inference;

/// <summary>Runs an engine through a seeded schedule of arrivals and cancellations and compares every answer with that of a lone run, bit for bit.</summary>
internal sealed class EngineSimulator(CausalLm model) : IDisposable
{
    private readonly Compute[] _computes = [new(1), new(2), new(3)];
    private readonly Dictionary<string, List<GeneratedToken>> _alone = [];

    /// <summary>Drafts that were right, over all schedules.</summary>
    public long Accepted { get; private set; }

    /// <summary>Times that a sequence gave way, over all schedules.</summary>
    public long Preemptions { get; private set; }

    /// <summary>Prompt tokens that were taken from the prefix cache, over all schedules.</summary>
    public long Cached { get; private set; }

    /// <summary>Runs one schedule.</summary>
    public void Run(int seed)
    {
        var random = new Random(seed);
        const int Context = 260;
        var options = new EngineOptions
        {
            ContextLength = Context,
            CacheTokens = 64 * (random.Next(2) == 0 ? random.Next(5, 8) : random.Next(8, 20)),
            MaxRunning = random.Next(1, 7),
            PrefillTokens = random.Next(4) == 0 ? 7 : random.Next(1, 200),
            MixedPrefillTokens = random.Next(1, 80),
            ReusePrefixes = random.Next(4) != 0,
            Drafts = (DraftSource)(random.Next(3) switch { 0 => 1, 1 => 3, _ => 0 }),
            MaxDrafts = random.Next(1, 6),
        };
        using var core = new EngineCore(model, _computes[random.Next(3)], options, null);
        GenerationRequest[] requests = [.. Enumerable.Range(0, random.Next(2, 9)).Select(_ => Request(random))];
        var generations = new Generation?[requests.Length];
        int[] arrivals = [.. requests.Select(_ => random.Next(20))];
        int[] cancels = [.. requests.Select(_ => random.Next(5) == 0 ? random.Next(30) : int.MaxValue)];
        int step = 0;
        for (; step < 20 || core.HasWork; step++)
        {
            for (int i = 0; i < requests.Length; i++)
            {
                if (arrivals[i] == step)
                {
                    core.Check(requests[i]);
                    core.Add(generations[i] = new Generation(requests[i], core.Cancel));
                }

                if (cancels[i] == step)
                    generations[i]?.Cancel();
            }

            core.Step();
            Assert.True(core.Statistics.BlocksInUse <= core.Statistics.MaxBlocks);
            Assert.True(step < 20_000, $"seed {seed}: the schedule does not end");
        }

        EngineStatistics end = core.Statistics;
        (Accepted, Preemptions, Cached) = (Accepted + end.AcceptedTokens, Preemptions + end.Preemptions, Cached + end.CachedTokens);
        Assert.Equal((0, 0), (end.Running, end.Waiting));
        Assert.Equal(end.PrefixBlocks, end.BlocksInUse);
        core.ClearPrefixes();
        Assert.Equal(0, core.Statistics.BlocksInUse);
        for (int i = 0; i < requests.Length; i++)
            Compare(generations[i]!, Context, $"seed {seed}, request {i}");
    }

    public void Dispose()
    {
        foreach (Compute compute in _computes)
            compute.Dispose();
    }

    // Prompts begin like each other and repeat themselves, so that prefixes are shared and drafts are right.
    private GenerationRequest Request(Random random)
    {
        int family = random.Next(3);
        var shared = new Random(family);
        int vocabulary = Math.Min(model.Config.VocabSize, 40);
        int[] prefix = [.. Enumerable.Range(0, random.Next(0, 4) * 64 * Math.Min(family, 1)).Select(_ => shared.Next(vocabulary))];
        var tail = new Random(random.Next(6));
        int[] rest = [.. Enumerable.Range(0, tail.Next(1, 50)).Select(_ => tail.Next(vocabulary))];
        return new GenerationRequest
        {
            Prompt = (int[])[.. prefix, .. rest],
            MaxTokens = random.Next(4) == 0 ? random.Next(60, 150) : random.Next(1, 25),
            Count = random.Next(5) == 0 ? random.Next(2, 4) : 1,
            Priority = random.Next(3) - 1,
            StopTokens = random.Next(3) == 0 ? [3, 17, 29] : [],
            AllowDrafts = random.Next(5) != 0,
            Sampling = random.Next(3) switch
            {
                0 => new SamplingOptions { Temperature = 0.7f, TopK = 20, TopP = 0.9f, Seed = (ulong)random.Next(2) },
                1 => new SamplingOptions { RepetitionPenalty = 1.3f, FrequencyPenalty = 0.2f },
                _ => new SamplingOptions(),
            },
        };
    }

    private void Compare(Generation generation, int context, string what)
    {
        GenerationRequest request = generation.Request;
        var answers = new List<EngineToken>[request.Count];
        for (int i = 0; i < answers.Length; i++)
            answers[i] = [];
        while (generation.TryRead(out EngineToken token))
            answers[token.Answer].Add(token);
        Assert.True(generation.IsCompleted, what);
        for (int i = 0; i < answers.Length; i++)
        {
            List<GeneratedToken> expected = Alone(request, i, context);
            int count = generation.IsCancelled ? Math.Min(answers[i].Count, expected.Count) : expected.Count;
            Assert.True(count == answers[i].Count, $"{what}, answer {i}: {answers[i].Count} tokens instead of {expected.Count}");
            for (int t = 0; t < count; t++)
            {
                EngineToken token = answers[i][t];
                Assert.True(
                    expected[t].Token == token.Token && BitConverter.SingleToInt32Bits(expected[t].Logprob) == BitConverter.SingleToInt32Bits(token.Logprob)
                    && expected[t].Finish == token.Finish,
                    $"{what}, answer {i}, token {t}: {token} instead of {expected[t]}");
            }
        }
    }

    private List<GeneratedToken> Alone(GenerationRequest request, int answer, int context)
    {
        SamplingOptions sampling = request.Sampling with { Seed = request.Sampling.Seed + (ulong)answer };
        string key = $"{string.Join(',', request.Prompt.ToArray())} {sampling} {request.MaxTokens} {request.StopTokens.Count}";
        if (_alone.TryGetValue(key, out List<GeneratedToken>? tokens))
            return tokens;
        using var session = new GenerationSession(model, _computes[0], context);
        tokens = [.. session.Generate(request.Prompt, new GenerationOptions { Sampling = sampling, MaxTokens = request.MaxTokens, StopTokens = request.StopTokens })];
        return _alone[key] = tokens;
    }
}
