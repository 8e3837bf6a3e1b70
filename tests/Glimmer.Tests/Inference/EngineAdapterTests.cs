using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;

namespace Glimmer.Tests.Inference;

/// <summary>Requests of several adapters in one batch.</summary>
[Trait("Category", "Golden")]
public sealed class EngineAdapterTests : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly CausalLm _model;
    private readonly Compute _compute = new(2);
    private readonly TemporaryFolder _folder = new();

    public EngineAdapterTests() => (_checkpoint, _model) = TinyModels.FirstOrNone(model => model.NextToken is not null);

    [Theory]
    [InlineData(Training.TinyRun.GroupedQuery)]
    [InlineData(Training.TinyRun.Latent)]
    public async Task Answers_of_several_adapters_in_one_batch_are_those_of_lone_runs(string config)
    {
        using CausalLm model = Training.TinyRun.Model(config, _folder["model"], _compute);
        bool isLatent = model.Config.ModelType != "glm4_moe";
        EngineOptions options = Adapters(
            model,
            new LoraOptions { Rank = 2, TargetModules = [isLatent ? "kv_b_proj" : "v_proj", "o_proj"] },
            new LoraOptions { Rank = 3, TargetModules = isLatent ? ["q_a_proj", "q_b_proj"] : ["q_proj", "k_proj", "o_proj"], UseDora = true },
            new LoraOptions { Rank = 2, TargetModules = ["all-linear", "all-router"], UseRsLora = true },
            new LoraOptions { Rank = 1, TargetModules = ["o_proj"], TargetParameters = ["mlp.experts.down_proj"], ModulesToSave = ["lm_head", "embed_tokens"] });
        string?[] adapters = [null, "a", "b", "c", "d", "a", null, "d", "c"];
        var alone = new List<List<EngineToken>>();
        for (int i = 0; i < adapters.Length; i++)
        {
            // Without an adapter nothing of the others may be felt: the lone run has none at all.
            using var engine = new Engine(model, _compute, adapters[i] is null ? new EngineOptions() : options);
            alone.Add(await Read(engine.Submit(Request(i, adapters[i], 40))));
        }

        using var together = new Engine(model, _compute, options with { PrefillTokens = 7, MixedPrefillTokens = 5 });
        Generation[] generations = [.. adapters.Select((adapter, i) => together.Submit(Request(i, adapter, 40)))];
        for (int i = 0; i < generations.Length; i++)
            AssertSame(alone[i], await Read(generations[i]), $"request {i} with {adapters[i]}");

        // Each of them changes something.
        foreach (string name in options.Adapters.Keys)
            Assert.NotEqual(alone[0].Select(t => t.Logprob), (await Read(together.Submit(Request(0, name, 40)))).Select(t => t.Logprob));
    }

    [SkippableFact]
    public async Task A_named_adapter_computes_what_an_attached_one_does()
    {
        EngineOptions options = WithAdapters();
        int[] prompt = Tokens(90, 3);
        using LoraAdapter adapter = LoraAdapter.Load(_model, options.Adapters["b"]);
        adapter.Attach(_model);
        float[] expected = TextScorer.LogProbabilities(_model, _compute, prompt);
        adapter.Detach();
        using var engine = new Engine(_model, _compute, options);
        Generation scored = engine.Submit(new GenerationRequest { Prompt = prompt, MaxTokens = 1, PromptLogprobs = true, Adapter = "b" });
        Generation other = engine.Submit(new GenerationRequest { Prompt = prompt, MaxTokens = 1, PromptLogprobs = true, Adapter = "a" });
        await Read(scored);
        await Read(other);
        Models.EqualBits.AssertSame(expected, [.. scored.PromptLogprobs], "prompt");
        Assert.NotEqual(expected, other.PromptLogprobs);
    }

    [SkippableFact]
    public async Task Prefixes_are_shared_within_an_adapter_only()
    {
        using var engine = new Engine(_model, _compute, WithAdapters());
        int[] prompt = Tokens(130, 1);
        Assert.Equal(0, await Cached("a"));
        Assert.Equal(0, await Cached("b"));
        Assert.Equal(0, await Cached(null));
        Assert.Equal(128, await Cached("a"));
        await engine.LoadAdapterAsync("a", _folder["c"]);
        Assert.Equal(0, await Cached("a"));

        async Task<int> Cached(string? adapter)
        {
            Generation generation = engine.Submit(new GenerationRequest { Prompt = prompt, MaxTokens = 2, Adapter = adapter });
            await Read(generation);
            return generation.CachedTokens;
        }
    }

    [SkippableFact]
    public async Task Adapters_come_and_go_between_steps()
    {
        EngineOptions options = WithAdapters();
        using var engine = new Engine(_model, _compute, options with { Adapters = new Dictionary<string, string>() });
        var error = Assert.Throws<ArgumentException>(() => engine.Submit(Request(0, "a")));
        Assert.Contains("'a'", error.Message, StringComparison.Ordinal);
        await engine.LoadAdapterAsync("a", options.Adapters["a"]);
        Assert.Equal(["a"], engine.Adapters);
        List<EngineToken> before = await Read(engine.Submit(Request(0, "a")));

        // Another model of the same shape takes the adapters over.
        await engine.ReplaceModelAsync(_model);
        AssertSame(before, await Read(engine.Submit(Request(0, "a"))), "after the move");

        await engine.PauseAsync(PauseMode.InPlace);
        Generation running = engine.Submit(Request(0, "a")), other = engine.Submit(Request(0, null));
        await engine.UnloadAdapterAsync("a");
        await engine.ContinueAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => Read(running));
        Assert.NotEmpty(await Read(other));
        await Assert.ThrowsAsync<ArgumentException>(() => engine.UnloadAdapterAsync("a"));
        await Assert.ThrowsAsync<ModelFormatException>(() => engine.LoadAdapterAsync("x", _folder.ToString()));
        Assert.Empty(engine.Adapters);
        Assert.All(_model.Parameters, parameter => Assert.False(parameter.IsAdapted));
    }

    public void Dispose()
    {
        _folder.Dispose();
        _compute.Dispose();
        _model?.Dispose();
        _checkpoint?.Dispose();
    }

    private EngineOptions WithAdapters()
    {
        Fixtures.SkipIfAbsent(_model is null ? "" : "models");
        return Adapters(
            _model!, new LoraOptions { Rank = 2, TargetModules = ["q_proj", "v_proj"] }, new LoraOptions { Rank = 5, TargetModules = ["o_proj", "q_proj", "k_proj"] },
            new LoraOptions { Rank = 8, TargetModules = ["up_proj", "down_proj"] });
    }

    // Adapters a, b, ... strong enough to change tokens.
    private EngineOptions Adapters(CausalLm model, params LoraOptions[] all)
    {
        var folders = new Dictionary<string, string>();
        for (int i = 0; i < all.Length; i++)
        {
            string folder = Directory.CreateDirectory(_folder[$"{(char)('a' + i)}"]).FullName;
            using LoraAdapter adapter = LoraAdapter.Create(model, all[i] with { Alpha = 4, Seed = (ulong)i });
            var random = new Random(i);
            foreach (Parameter parameter in adapter.Parameters)
            {
                foreach (ref float value in parameter.Value!.F32)
                    value += (float)(random.NextDouble() - 0.5);
            }

            adapter.Save(folder);
            folders.Add(Path.GetFileName(folder), folder);
        }

        return new EngineOptions { Adapters = folders };
    }

    private GenerationRequest Request(int seed, string? adapter, int vocabulary = 0) => new()
    {
        Prompt = Tokens(11 + (4 * seed), seed, vocabulary),
        MaxTokens = 12,
        Adapter = adapter,
        Sampling = new SamplingOptions { Temperature = 1, Seed = (ulong)seed },
    };

    private int[] Tokens(int count, int seed, int vocabulary = 0)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(vocabulary == 0 ? _model.Config.VocabSize : vocabulary))];
    }

    private static void AssertSame(List<EngineToken> expected, List<EngineToken> actual, string name)
    {
        Assert.Equal(expected.Select(t => t.Token), actual.Select(t => t.Token));
        Models.EqualBits.AssertSame([.. expected.Select(t => t.Logprob)], [.. actual.Select(t => t.Logprob)], name);
    }

    private static async Task<List<EngineToken>> Read(Generation generation)
    {
        var tokens = new List<EngineToken>();
        await foreach (EngineToken token in generation.ReadAllAsync())
            tokens.Add(token);
        return tokens;
    }
}
