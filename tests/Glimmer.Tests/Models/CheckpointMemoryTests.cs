using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Tensors;

namespace Glimmer.Tests.Models;

public class CheckpointMemoryTests
{
    private static readonly TensorInfo[] s_dense =
    [
        new("a", DType.Q8_0, [1_000_000, 3200], 3_400_000_000), new("b", DType.F8E4M3, [1024, 1000], 1_024_000, isComputed: true),
    ];

    private static readonly TensorInfo[] s_sparse =
    [
        new("model.embed_tokens.weight", DType.F32, [3200, 100], 1_280_000),
        .. Enumerable.Range(0, 10).SelectMany(e => new[] { "gate", "up", "down" }.Select(
            m => new TensorInfo($"model.layers.1.mlp.experts.{e}.{m}_proj.weight", DType.F32, [320, 100], 128_000))),
    ];

    [Fact]
    public void Weights_that_cannot_fit_are_refused_with_both_sizes()
    {
        // 3.4 GB as stored, and 1,024 x 1,000 numbers that are computed to fp32.
        MemoryPlan plan = MemoryPlan.Of(s_dense);
        Assert.Equal(3_400_000_000 + 4_096_000, plan.PackedBytes);
        Assert.Null(plan.ExpertBudget("model", new LoadOptions(), plan.PackedBytes));
        string message = Assert.Throws<UnsupportedModelException>(() => plan.ExpertBudget("model", new LoadOptions(), plan.PackedBytes - 5_000_000)).Message;
        Assert.Contains("3.404 GB", message, StringComparison.Ordinal);
        Assert.Contains("3.399 GB", message, StringComparison.Ordinal);
        Assert.Contains("'model'", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Experts_that_do_not_fit_need_a_folder()
    {
        MemoryPlan plan = MemoryPlan.Of(s_sparse);
        Assert.Equal(30 * 128_000, plan.ExpertBytes);
        Assert.Equal(3 * 128_000, plan.LargestExpert);
        string message = Assert.Throws<UnsupportedModelException>(() => plan.ExpertBudget("model", new LoadOptions(), 4_000_000)).Message;
        Assert.Contains("--pack-cache", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_budget_is_what_dense_weights_leave_to_experts()
    {
        MemoryPlan plan = MemoryPlan.Of(s_sparse);
        var options = new LoadOptions { PackCache = "somewhere", MemoryBudget = 3_000_000 };
        Assert.Equal(3_000_000 - 1_280_000, plan.ExpertBudget("model", options, 10_000_000));
        Assert.Null(plan.ExpertBudget("model", options with { MemoryBudget = plan.PackedBytes }, 10_000_000));
        // Without a budget a part of the free memory is left alone.
        long? free = plan.ExpertBudget("model", options with { MemoryBudget = 0 }, 4_000_000);
        Assert.InRange(free!.Value, 1, 4_000_000 - 1_280_000 - 1);
    }

    [Theory]
    [InlineData(1_600_000, "0.002 GB", "the least")]
    [InlineData(20_000_000, "more than", "can be had")]
    public void A_budget_that_cannot_work_says_why(long budget, string first, string second)
    {
        MemoryPlan plan = MemoryPlan.Of(s_sparse);
        string message = Assert.Throws<UnsupportedModelException>(
            () => plan.ExpertBudget("model", new LoadOptions { PackCache = "somewhere", MemoryBudget = budget }, 10_000_000)).Message;
        Assert.Contains(first, message, StringComparison.Ordinal);
        Assert.Contains(second, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_without_a_folder_are_refused()
    {
        Assert.Throws<ArgumentException>(new LoadOptions { MemoryBudget = 1 }.Check);
        Assert.Throws<ArgumentException>(new LoadOptions { VerifyPackCache = true }.Check);
        Assert.Throws<ArgumentOutOfRangeException>(new LoadOptions { PackCache = "x", MemoryBudget = -1 }.Check);
    }
}
