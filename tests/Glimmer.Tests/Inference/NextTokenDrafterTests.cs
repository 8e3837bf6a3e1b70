using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Tests.Inference;

[Trait("Category", "Golden")]
public class NextTokenDrafterTests
{
    public static TheoryData<string> Cases() => TinyModels.Names();

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Drafts_are_those_of_the_MTP_layer_over_the_whole_sequence(string name)
    {
        (Checkpoint checkpoint, CausalLm model) = TinyModels.Open(name);
        using (checkpoint)
        using (model)
        using (var compute = new Compute(1))
        {
            Skip.If(model.NextToken is null, "the model has no MTP layer");
            using var core = new EngineCore(model, compute, new EngineOptions { ContextLength = 200, PrefillTokens = 23, MixedPrefillTokens = 11 }, null);
            for (int i = 0; i < 3; i++)
                core.Add(new Generation(new GenerationRequest { Prompt = Prompt(i), MaxTokens = 14, Count = i == 1 ? 2 : 1 }, core.Cancel));
            int compared = 0;
            while (core.HasWork)
            {
                core.Step();
                foreach (Sequence sequence in core.Running.Where(s => s.DraftCount > 0))
                {
                    Assert.Equal(Expected(model, sequence.Tokens.ToArray(), sequence.DraftCount), sequence.Drafts[..sequence.DraftCount]);
                    compared++;
                }
            }

            Assert.True(compared > 10);
        }
    }

    private static int[] Prompt(int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, 40 + (seed * 12)).Select(_ => random.Next(30))];
    }

    private static int[] Expected(CausalLm model, int[] tokens, int count)
    {
        using var compute = new Compute(1);
        using var cache = new KeyValueCache(model.CacheSlots);
        using CachedSequence sequence = cache.NewSequence();
        var batch = new Batch();
        batch.AddCached(sequence, tokens.AsSpan(0, tokens.Length - 1), 0);
        compute.Begin();
        Tensor hidden = model.Forward(compute, batch);
        return [.. model.NextToken!.Draft(compute, sequence, tokens.AsSpan(1), 0, hidden, count, shareSelection: false).Tokens];
    }
}
