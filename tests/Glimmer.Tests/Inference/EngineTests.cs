using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;

namespace Glimmer.Tests.Inference;

/// <summary>What an engine promises to one request, on a tiny model.</summary>
[Trait("Category", "Golden")]
public sealed class EngineTests : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly CausalLm _model;
    private readonly Compute _compute = new(1);

    public EngineTests() => (_checkpoint, _model) = TinyModels.FirstOrNone(model => model.NextToken is not null);

    [SkippableFact]
    public async Task A_full_queue_refuses_requests()
    {
        using Engine engine = NewEngine(new EngineOptions { MaxRunning = 1, MaxWaiting = 1 });
        var request = new GenerationRequest { Prompt = Tokens(20), MaxTokens = 200 };
        Generation first = engine.Submit(request), second = engine.Submit(request);
        Assert.Throws<EngineBusyException>(() => engine.Submit(request));
        Assert.Equal((await Read(first)).Select(t => t.Token), (await Read(second)).Select(t => t.Token));
    }

    [SkippableFact]
    public void A_prompt_that_fills_the_context_is_refused_with_both_numbers()
    {
        using Engine engine = NewEngine(new EngineOptions { ContextLength = 30 });
        var error = Assert.Throws<PromptTooLongException>(() => engine.Submit(new GenerationRequest { Prompt = Tokens(30) }));
        Assert.Equal((30, 30), (error.PromptTokens, error.ContextLength));
    }

    [SkippableFact]
    public async Task A_full_context_ends_the_answer()
    {
        using Engine engine = NewEngine(new EngineOptions { ContextLength = 40 });
        List<EngineToken> tokens = await Read(engine.Submit(new GenerationRequest { Prompt = Tokens(30), MaxTokens = 100 }));
        Assert.Equal((10, FinishReason.Context), (tokens.Count, tokens[^1].Finish!.Value));
    }

    [SkippableFact]
    public async Task A_cancelled_generation_gives_its_memory_back()
    {
        using Engine engine = NewEngine(new EngineOptions { ReusePrefixes = false });
        using var source = new CancellationTokenSource();
        Generation generation = engine.Submit(new GenerationRequest { Prompt = Tokens(100), MaxTokens = 100_000, Count = 3 }, source.Token);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (EngineToken _ in generation.ReadAllAsync())
                await source.CancelAsync();
        });
        await Read(engine.Submit(new GenerationRequest { Prompt = Tokens(3), MaxTokens = 1 }));
        await Until(() => engine.Statistics is { Running: 0, Waiting: 0, BlocksInUse: 0 });
    }

    [SkippableFact]
    public async Task Stop_tokens_stop_from_the_least_length_on()
    {
        using Engine engine = NewEngine();
        var request = new GenerationRequest { Prompt = Tokens(20), MaxTokens = 12, Sampling = new SamplingOptions { Temperature = 1, Seed = 4 } };
        List<EngineToken> free = await Read(engine.Submit(request));
        int stop = free[2].Token;
        List<EngineToken> stopped = await Read(engine.Submit(request with { StopTokens = [stop] }));
        Assert.Equal((stop, FinishReason.Stop), (stopped[^1].Token, stopped[^1].Finish!.Value));
        Assert.True(stopped.Count <= 3);
        List<EngineToken> longer = await Read(engine.Submit(request with { StopTokens = [stop], MinTokens = 6 }));
        Assert.DoesNotContain(stop, longer.Take(5).Select(t => t.Token));
        Assert.True(longer.Count >= 6);
    }

    [SkippableFact]
    public async Task Log_probabilities_of_model_and_sampling_distribution_are_told_apart()
    {
        using Engine engine = NewEngine();
        var request = new GenerationRequest
        {
            Prompt = Tokens(20),
            MaxTokens = 8,
            TopLogprobs = 5,
            SamplingLogprobs = true,
            Sampling = new SamplingOptions { Temperature = 0.5f, TopK = 3, Seed = 1 },
        };
        foreach (EngineToken token in await Read(engine.Submit(request)))
        {
            Assert.Equal(5, token.Alternatives!.Model.Count);
            Assert.Equal(3, token.Alternatives.Sampling.Count);
            Assert.Equal(token.Alternatives.Model.Take(3).Select(t => t.Token), token.Alternatives.Sampling.Select(t => t.Token));
            Assert.Equal(1, token.Alternatives.Sampling.Sum(t => Math.Exp(t.Logprob)), 5);
            Assert.Equal(token.Logprob, token.Alternatives.Model.Single(t => t.Token == token.Token).Logprob);
            Assert.Equal(token.SamplingLogprob, token.Alternatives.Sampling.Single(t => t.Token == token.Token).Logprob);
        }
    }

    [SkippableFact]
    public async Task Log_probabilities_of_the_prompt_are_those_of_the_scorer_bit_for_bit()
    {
        int[] prompt = Tokens(150);
        float[] expected;
        using (Engine engine = NewEngine(new EngineOptions { PrefillTokens = 41 }))
        {
            await Read(engine.Submit(new GenerationRequest { Prompt = prompt, MaxTokens = 1 }));
            Generation scored = engine.Submit(new GenerationRequest { Prompt = prompt, MaxTokens = 1, PromptLogprobs = true });
            await Read(scored);
            expected = [.. scored.PromptLogprobs];
        }

        Models.EqualBits.AssertSame(TextScorer.LogProbabilities(_model, _compute, prompt), expected, "prompt");
    }

    [SkippableFact]
    public async Task A_repeated_prompt_comes_from_the_cache_until_the_weights_change()
    {
        using Engine engine = NewEngine();
        var request = new GenerationRequest { Prompt = Tokens(130), MaxTokens = 3 };
        Assert.Equal(0, await Cached(request));
        Assert.Equal(128, await Cached(request));
        Assert.Equal(0, await Cached(request with { CacheNamespace = "other" }));
        Assert.Equal(1, await engine.UpdateWeightsAsync(_ => { }));
        Assert.Equal(0, await Cached(request));

        async Task<int> Cached(GenerationRequest next)
        {
            Generation generation = engine.Submit(next);
            await Read(generation);
            return generation.CachedTokens;
        }
    }

    [SkippableFact]
    public async Task A_constraint_that_allows_nothing_fails_its_own_request_only()
    {
        using Engine engine = NewEngine();
        var request = new GenerationRequest { Prompt = Tokens(20), MaxTokens = 10 };
        Generation good = engine.Submit(request with { Constraint = () => new AllowedTokens([5, 6]) });
        Generation bad = engine.Submit(request with { Constraint = () => new AllowedTokens([]), Count = 2 });
        await Assert.ThrowsAsync<InvalidOperationException>(() => Read(bad));
        Assert.All(await Read(good), token => Assert.InRange(token.Token, 5, 6));
    }

    [SkippableFact]
    public async Task Higher_priority_goes_first_but_overtakes_only_so_many()
    {
        using Engine engine = NewEngine(new EngineOptions { MaxRunning = 1 });
        var started = new List<string>();
        // Long enough that all have arrived while the first one runs, and that a whole answer lies between the starts of the others.
        var request = new GenerationRequest { Prompt = Tokens(5), MaxTokens = 400 };
        Task[] all = [Run("first", 0), Run("low", 0), Run("high", 1)];
        await Task.WhenAll(all);
        Assert.True(started.IndexOf("high") < started.IndexOf("low"), string.Join(", ", started));

        async Task Run(string name, int priority)
        {
            bool isFirst = true;
            await foreach (EngineToken _ in engine.Submit(request with { Priority = priority }).ReadAllAsync())
            {
                if (!isFirst)
                    continue;
                isFirst = false;
                lock (started)
                    started.Add(name);
            }
        }
    }

    public void Dispose()
    {
        _compute.Dispose();
        _model?.Dispose();
        _checkpoint?.Dispose();
    }

    private Engine NewEngine(EngineOptions? options = null)
    {
        Skip.If(_model is null, "no golden data: set GLIMMER_FIXTURES to the folder that holds it");
        return new Engine(_model, _compute, options);
    }

    private int[] Tokens(int count)
    {
        Skip.If(_model is null, "no golden data: set GLIMMER_FIXTURES to the folder that holds it");
        var random = new Random(count);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(_model.Config.VocabSize))];
    }

    private static async Task<List<EngineToken>> Read(Generation generation)
    {
        var tokens = new List<EngineToken>();
        await foreach (EngineToken token in generation.ReadAllAsync())
            tokens.Add(token);
        return tokens;
    }

    private static async Task Until(Func<bool> condition)
    {
        for (int i = 0; i < 500 && !condition(); i++)
            await Task.Delay(10);
        Assert.True(condition());
    }
}
