using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Distributed;
using Glimmer.Training.Optimizers;

namespace Glimmer.Tests.Training.Distributed;

public class ShardTransferTests
{
    // Their sum depends on the order: in fp32 ((1e8 + 1) - 1e8) + 0.5 = 0.5, but ((1e8 - 1e8) + 1) + 0.5 = 1.5, and ((1e8 + 1) + 0.5) - 1e8 = 0.
    private static readonly float[] s_summands = [1e8f, 1, -1e8f, 0.5f, 3, 7];

    [Theory]
    [InlineData(1, 3)]
    [InlineData(2, 1)]
    [InlineData(3, 4)]
    [InlineData(4, 1000)]
    public void Gradients_add_in_the_order_of_the_micro_batches(int size, int piece)
    {
        int[] lengths = [.. Enumerable.Range(0, size).Select(rank => 5 + (7 * rank % 4))];
        float expected = 0;
        foreach (float summand in s_summands)
            expected += summand;
        Ranks.Run(size, ranks =>
        {
            Tensor[][] gradients = [.. lengths.Select(length => new[] { Tensor.Allocate(DType.F32, 2), Tensor.Allocate(DType.F32, length - 2) })];
            FlatTensors[] shares = [.. gradients.Select(share => new FlatTensors(share))];
            using Tensor sum = Tensor.Allocate(DType.F32, lengths[ranks.Rank]);
            var transfer = new ShardTransfer(ranks, [.. lengths.Select(length => (long)length)], piece);
            for (int first = 0; first < s_summands.Length; first += size)
            {
                foreach (Tensor tensor in gradients.SelectMany(share => share))
                    tensor.F32.Fill(first + ranks.Rank < s_summands.Length ? s_summands[first + ranks.Rank] : float.NaN);
                transfer.AddInOrder(shares, Math.Min(size, s_summands.Length - first), new FlatTensors([sum]), first == 0);
            }

            Assert.All(sum.F32.ToArray(), value => Assert.Equal(expected, value));

            // Owners give away what they have; the root can get it too.
            foreach (Tensor tensor in gradients[ranks.Rank])
                tensor.F32.Fill(ranks.Rank + 0.25f);
            Tensor[] whole = [.. lengths.Select(length => Tensor.Allocate(DType.F32, length))];
            transfer.Collect(shares[ranks.Rank], ranks.IsRoot ? [.. whole.Select(tensor => new FlatTensors([tensor]))] : null);
            for (int owner = 0; owner < size && ranks.IsRoot; owner++)
                Assert.All(whole[owner].F32.ToArray(), value => Assert.Equal(owner + 0.25f, value));
            transfer.Share(shares);
            for (int owner = 0; owner < size; owner++)
                Assert.All(gradients[owner].SelectMany(tensor => tensor.F32.ToArray()), value => Assert.Equal(owner + 0.25f, value));
            foreach (Tensor tensor in gradients.SelectMany(share => share).Concat(whole))
                tensor.Dispose();
            return true;
        });
    }

    [Fact]
    public void Matrices_go_to_the_rank_with_the_least_work()
    {
        ParameterRule[] rules =
        [
            Rule("a", MatrixRule.Muon, 8, 8), Rule("b", MatrixRule.Muon, 4, 16), Rule("c", MatrixRule.Muon, 16, 4), Rule("d", MatrixRule.Muon, 2, 2),
            Rule("e", MatrixRule.AdamW, 10), Rule("f", MatrixRule.AdamW, 6), Rule("g", MatrixRule.AdamW, 5),
        ];
        // 5 (4 m^2 n + 2 m^3): 15,360 for a, 5,760 for b and c, 240 for d.
        Assert.Equal([15_360, 5_760, 5_760, 240, 10, 6, 5], rules.Select(ParameterShards.CostOf));
        var shards = new ParameterShards(rules, 2);
        Assert.Equal(["a", "e"], shards.Of(0).Select(rule => rule.Parameter.Name));
        Assert.Equal(["b", "c", "d", "f", "g"], shards.Of(1).Select(rule => rule.Parameter.Name));
        Assert.Equal(1, shards.OwnerOf(rules[3].Parameter));
        // More ranks than parameters: some own nothing.
        Assert.Empty(new ParameterShards(rules, 9).Of(8));
        foreach (ParameterRule rule in rules)
            rule.Parameter.Dispose();
    }

    [Fact]
    public void A_split_matrix_costs_what_its_blocks_cost()
    {
        ParameterRule whole = Rule("a", MatrixRule.Muon, 8, 8);
        Assert.Equal(4 * ParameterShards.CostOf(Rule("b", MatrixRule.Muon, 2, 8)), ParameterShards.CostOf(whole with { Split = MatrixSplit.Rows(2) }));
    }

    private static ParameterRule Rule(string name, MatrixRule rule, params int[] shape) => new(new Parameter(name, Tensor.Allocate(DType.F32, shape)), rule, 0, MatrixSplit.Whole);
}
