using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;
using Xunit.Abstractions;

namespace Glimmer.Tests.Inference;

/// <summary>A step in steady state allocates nothing on the engine's thread.</summary>
[Trait("Category", "Golden")]
public class EngineAllocationTests(ITestOutputHelper output)
{
    public static TheoryData<string> Cases() => TinyModels.Names();

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Decoding_allocates_nothing(string name)
    {
        (Checkpoint checkpoint, CausalLm model) = TinyModels.Open(name);
        using (checkpoint)
        using (model)
        using (var compute = new Compute(2))
        {
            foreach (DraftSource drafts in (ReadOnlySpan<DraftSource>)[DraftSource.None, DraftSource.Auto])
                Measure(model, compute, drafts);
        }
    }

    private void Measure(CausalLm model, Compute compute, DraftSource drafts)
    {
        using var core = new EngineCore(model, compute, new EngineOptions { ContextLength = 200, Drafts = drafts, ReusePrefixes = false }, null);
        // The first round brings in every block that the second one needs.
        Generation[] generations = Add(core);
        while (core.HasWork)
            Step(core, generations);
        generations = Add(core);
        for (int i = 0; i < 10; i++)
            Step(core, generations);
        // The runtime itself may allocate once on a busy machine (a wait that has to sleep, code that is compiled again); what a step allocates shows in every window.
        long least = long.MaxValue;
        for (int window = 0; window < 6 && core.HasWork && least != 0; window++)
        {
            long tokens = core.Statistics.GeneratedTokens;
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 10; i++)
                Step(core, generations);
            long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
            output.WriteLine($"drafts {drafts}: {bytes} bytes for {core.Statistics.GeneratedTokens - tokens} tokens");
            least = Math.Min(least, bytes);
        }

        Assert.Equal(0, least);
    }

    private static Generation[] Add(EngineCore core)
    {
        var generations = new Generation[3];
        for (int i = 0; i < generations.Length; i++)
        {
            var request = new GenerationRequest
            {
                Prompt = (int[])[1, 2, 3, 4, 5 + i],
                MaxTokens = 190,
                Sampling = new SamplingOptions { Temperature = i, TopK = 10, TopP = 0.9f },
            };
            core.Add(generations[i] = new Generation(request, core.Cancel));
        }

        return generations;
    }

    private static void Step(EngineCore core, Generation[] generations)
    {
        core.Step();
        foreach (Generation generation in generations)
        {
            while (generation.TryRead(out _))
            {
            }
        }
    }
}
