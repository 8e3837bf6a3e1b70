using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tests.Inference;

namespace Glimmer.Tests.Models;

/// <summary>A model whose experts stay on disk computes the bits of the same model in memory, whatever the budget.</summary>
[Trait("Category", "Golden")]
public class ExpertStoreTests
{
    public static TheoryData<string> Names() => TinyModels.Names();

    [SkippableTheory]
    [MemberData(nameof(Names))]
    public void Experts_on_disk_change_no_bit(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string path = Path.Combine(Fixtures.Folder("models")!, name);
        MemoryPlan plan = PlanOf(path);
        Skip.If(plan.ExpertBytes == 0, "The model has no experts.");
        using var folder = new TemporaryFolder();
        float[] expected = PackCacheTests.Logits(path, new LoadOptions());
        // One expert at a time, a few, and all but one.
        foreach (long experts in (ReadOnlySpan<long>)[plan.LargestExpert, 3 * plan.LargestExpert + 5, plan.ExpertBytes - 1])
        {
            var options = new LoadOptions { PackCache = folder.ToString(), MemoryBudget = plan.DenseBytes + experts };
            float[] actual = PackCacheTests.Logits(path, options, model =>
            {
                ExpertStatistics statistics = model.ExpertStatistics!;
                Assert.True(statistics.Misses > 0);
                Assert.True(statistics.BytesRead > 0);
                Assert.Equal(experts, statistics.BudgetBytes);
                Assert.InRange(statistics.ResidentBytes, 1, experts);
                Assert.InRange(statistics.Resident, 1, statistics.Experts);
                if (experts == plan.ExpertBytes - 1)
                    Assert.True(statistics.Hits > 0, $"no hit with {experts} bytes");
            });
            EqualBits.AssertSame(expected, actual, $"{experts} bytes of experts");
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Names))]
    public void Batches_chunks_and_threads_change_no_bit_with_experts_on_disk(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string path = Path.Combine(Fixtures.Folder("models")!, name);
        MemoryPlan plan = PlanOf(path);
        Skip.If(plan.ExpertBytes == 0, "The model has no experts.");
        using var folder = new TemporaryFolder();
        using var team = new ThreadTeam(1);
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using CausalLm model = checkpoint.LoadModel(
            team, options: new LoadOptions { PackCache = folder.ToString(), MemoryBudget = plan.DenseBytes + 2 * plan.LargestExpert });
        EqualBits.Check(model, [37, 20, 5], maxBatch: 3);
    }

    [SkippableTheory]
    [MemberData(nameof(Names))]
    public void Training_a_model_with_experts_on_disk_uses_its_new_weights(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string path = Path.Combine(Fixtures.Folder("models")!, name);
        MemoryPlan plan = PlanOf(path);
        Skip.If(plan.ExpertBytes == 0, "The model has no experts.");
        using var folder = new TemporaryFolder();
        float[] expected = Doubled(path, new LoadOptions());
        EqualBits.AssertSame(expected, Doubled(path, new LoadOptions { PackCache = folder.ToString(), MemoryBudget = plan.DenseBytes + 2 * plan.LargestExpert }), "doubled");
    }

    // Logits after every expert matrix was doubled between two forward passes.
    private static float[] Doubled(string path, LoadOptions options)
    {
        using var team = new ThreadTeam(2);
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using CausalLm model = checkpoint.LoadModel(team, options: options);
        using var c = new Compute(team);
        int[][] tokens = [EqualBits.Tokens(model, 20, seed: 3)];
        EqualBits.Chunked(model, c, tokens, 7);
        foreach (Parameter parameter in model.Parameters.Where(p => MemoryPlan.IsExpert(p.Name)))
        {
            foreach (ref float value in parameter.EnsureValue().F32)
                value *= 2;
            parameter.Touch();
        }

        return EqualBits.Chunked(model, c, tokens, 7)[0];
    }

    private static MemoryPlan PlanOf(string path)
    {
        using Checkpoint checkpoint = Checkpoint.Open(path);
        return MemoryPlan.Of(checkpoint.Weights.Tensors);
    }
}
