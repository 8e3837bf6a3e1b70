using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;

namespace Glimmer.Tests.Inference;

/// <summary>The experts that an engine reports are those that one forward pass over the finished sequence chooses.</summary>
[Trait("Category", "Golden")]
public sealed class RoutedExpertsTests : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly CausalLm _model;
    private readonly Compute _compute = new(1);

    public RoutedExpertsTests() => (_checkpoint, _model) = TinyModels.FirstOrNone(model => model.NextToken is not null && model.Config.NRoutedExperts > 0);

    [SkippableFact]
    public void Reported_experts_are_those_of_one_pass_over_the_sequence()
    {
        Skip.If(_model is null);
        // Two long requests that share a prefix and do not fit at once, in chunks, with drafts, beside one that does not ask.
        using var core = new EngineCore(_model, _compute, new EngineOptions { ContextLength = 200, CacheTokens = 64 * 4, PrefillTokens = 23, MaxDrafts = 3 }, null);
        int[] shared = Prompt(70, 0);
        GenerationRequest[] requests =
        [
            Request([.. shared, .. Prompt(20, 1)], 80) with { Sampling = new SamplingOptions { Temperature = 0.8f, TopK = 5, Seed = 3 } },
            Request([.. shared, .. Prompt(9, 2)], 70) with { Count = 2 },
            Request(Prompt(30, 3), 20) with { ReturnRoutedExperts = false },
            Request([7], 5),
        ];
        Generation[] generations = [.. requests.Select(request => new Generation(request, core.Cancel))];
        foreach (Generation generation in generations)
            core.Add(generation);
        while (core.HasWork)
            core.Step();
        Assert.True(core.Statistics.Preemptions > 0, "nothing was preempted");
        foreach (Generation generation in generations)
            Compare(generation);
    }

    [SkippableFact]
    public void Nothing_is_reported_unasked()
    {
        Skip.If(_model is null);
        using var core = new EngineCore(_model, _compute, new EngineOptions { ContextLength = 100 }, null);
        var generation = new Generation(new GenerationRequest { Prompt = Prompt(20, 0), MaxTokens = 3 }, core.Cancel);
        core.Add(generation);
        while (core.HasWork)
            core.Step();
        Assert.True(generation.PromptRoutedExperts.IsEmpty);
        while (generation.TryRead(out EngineToken token))
            Assert.True(token.RoutedExperts.IsEmpty);
    }

    public void Dispose()
    {
        _compute.Dispose();
        _model?.Dispose();
        _checkpoint?.Dispose();
    }

    private static GenerationRequest Request(int[] prompt, int tokens) => new() { Prompt = prompt, MaxTokens = tokens, ReturnRoutedExperts = true };

    private static int[] Prompt(int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => random.Next(40))];
    }

    private void Compare(Generation generation)
    {
        GenerationRequest request = generation.Request;
        var tokens = new List<EngineToken>();
        while (generation.TryRead(out EngineToken token))
            tokens.Add(token);
        for (int answer = 0; answer < request.Count; answer++)
        {
            List<EngineToken> own = [.. tokens.Where(t => t.Answer == answer)];
            Assert.Equal(request.MaxTokens, own.Count);
            int[] reported = [.. generation.PromptRoutedExperts.Span, .. own.SelectMany(t => t.RoutedExperts.ToArray())];
            int[] expected = request.ReturnRoutedExperts ? Alone([.. request.Prompt.Span, .. own.SkipLast(1).Select(t => t.Token)]) : [];
            Assert.Equal(expected, reported);
        }
    }

    // The choices that an observer sees, [T, L, K].
    private int[] Alone(int[] sequence)
    {
        (int layers, int perToken) = (_model.Config.NumHiddenLayers, _model.Config.NumExpertsPerTok);
        var all = new int[sequence.Length * layers * perToken];
        _compute.Observer = (name, value) =>
        {
            for (int layer = 0; layer < layers; layer++)
            {
                if (!name.StartsWith($"layer{layer}.", StringComparison.Ordinal) || !name.EndsWith("experts", StringComparison.Ordinal))
                    continue;
                for (int t = 0; t < sequence.Length; t++)
                    value.I32.Slice(t * perToken, perToken).CopyTo(all.AsSpan(((t * layers) + layer) * perToken));
            }
        };
        var batch = new Batch();
        batch.AddDocument(sequence);
        _compute.Begin();
        _model.Forward(_compute, batch);
        _compute.Observer = null;
        return all;
    }
}
