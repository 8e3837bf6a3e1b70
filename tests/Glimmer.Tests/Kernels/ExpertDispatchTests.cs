using Glimmer.Kernels;

namespace Glimmer.Tests.Kernels;

[Collection("Simd level")]
public sealed unsafe class ExpertDispatchTests
{
    [Fact]
    public void The_sort_is_stable_and_its_inverse_fits()
    {
        var routing = new Routing(tokens: 50, chosen: 3, experts: 7, seed: 1);
        routing.With(assignment =>
        {
            Assert.Equal(0, assignment.Offsets[0]);
            Assert.Equal(150, assignment.Offsets[7]);
            for (int e = 0; e < 7; e++)
            {
                for (int row = assignment.Offsets[e]; row < assignment.Offsets[e + 1]; row++)
                {
                    int i = assignment.TokenOfRow[row] * 3 + assignment.SlotOfRow[row];
                    Assert.Equal(e, assignment.Ids[i]);
                    Assert.Equal(row, assignment.RowOfSlot[i]);
                    if (row > assignment.Offsets[e])
                        Assert.True(assignment.TokenOfRow[row] > assignment.TokenOfRow[row - 1]);
                }
            }
        });
    }

    [Fact]
    public void An_id_that_is_no_expert_is_refused()
    {
        var routing = new Routing(tokens: 2, chosen: 1, experts: 3, seed: 1);
        routing.Ids[1] = 3;
        Assert.Throws<ArgumentOutOfRangeException>(() => routing.With(_ => { }));
    }

    [Theory]
    [InlineData(1, 1, 1, 1)]
    [InlineData(33, 4, 8, 70)]
    [InlineData(20, 8, 16, 128)]
    [InlineData(300, 8, 16, 130)]
    [InlineData(0, 2, 4, 16)]
    public void Every_form_equals_the_scalar_twin(int tokens, int chosen, int experts, int dim)
    {
        var routing = new Routing(tokens, chosen, experts, seed: 2);
        var random = new Random(3);
        float[] Rows(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() * 2 - 1)];
        float[] x = Rows(
            tokens * dim), shared = Rows(tokens * dim), dy = Rows(tokens * dim), outputs = Rows(tokens * chosen * dim), weights = Rows(tokens * chosen);
        routing.With(assignment =>
        {
            float[] y = new float[x.Length], plain = new float[x.Length], dx = new float[x.Length];
            float[] doutputs = new float[outputs.Length], dweights = new float[weights.Length];
            fixed (float* sp = shared, gp = dy, op = outputs, wp = weights, yp = y, pp = plain, dop = doutputs, dwp = dweights, dxp = dx)
            {
                ExpertDispatch.CombineScalar(assignment, dim, wp, op, sp, yp);
                ExpertDispatch.CombineScalar(assignment, dim, wp, op, null, pp);
                ExpertDispatch.CombineBackwardScalar(assignment, dim, wp, op, gp, dop, dwp);
                ExpertDispatch.GatherBackwardScalar(assignment, dim, dop, dxp);
            }

            foreach (SimdLevel level in LevelScope.All())
            {
                for (int threads = 1; threads <= 3; threads++)
                {
                    using var scope = new LevelScope(level);
                    using var team = new ThreadTeam(threads);
                    float[] rows = new float[outputs.Length], fast = new float[x.Length];
                    float[] fastDout = new float[outputs.Length], fastDw = new float[weights.Length];
                    fixed (float* xp = x, sp = shared, gp = dy, op = outputs, wp = weights, rp = rows, fp = fast, dop = fastDout, dwp = fastDw)
                    {
                        ExpertDispatch.Gather(team, assignment, dim, xp, rp);
                        for (int row = 0; row < assignment.Rows; row++)
                            Same.Bits(x.AsSpan(assignment.TokenOfRow[row] * dim, dim), rows.AsSpan(row * dim, dim), "gathered row");
                        ExpertDispatch.Combine(team, assignment, dim, wp, op, sp, fp);
                        Same.Bits(y, fast, $"y with shared, {level}");
                        ExpertDispatch.Combine(team, assignment, dim, wp, op, null, fp);
                        Same.Bits(plain, fast, $"y, {level}");
                        ExpertDispatch.CombineBackward(team, assignment, dim, wp, op, gp, dop, dwp);
                        Same.Bits(doutputs, fastDout, $"doutputs, {level}");
                        Same.Bits(dweights, fastDw, $"dweights, {level}");
                        ExpertDispatch.GatherBackward(team, assignment, dim, dop, fp);
                        Same.Bits(dx, fast, $"dx, {level}");
                    }
                }
            }
        });
    }

    [Fact]
    public void The_double_twins_agree_with_central_differences()
    {
        const int Tokens = 3, Chosen = 2, Dim = 4;
        var routing = new Routing(Tokens, Chosen, experts: 4, seed: 4);
        var random = new Random(5);
        double[] Rows(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextDouble() * 2 - 1)];
        double[] outputs = Rows(Tokens * Chosen * Dim), weights = Rows(Tokens * Chosen), dy = Rows(Tokens * Dim);
        double[] y = new double[dy.Length], doutputs = new double[outputs.Length], dweights = new double[weights.Length];
        routing.With(assignment =>
        {
            double Loss()
            {
                fixed (double* op = outputs, wp = weights, yp = y)
                    ExpertDispatch.CombineScalar(assignment, Dim, wp, op, null, yp);
                return y.Zip(dy, (a, b) => a * b).Sum();
            }

            fixed (double* op = outputs, wp = weights, gp = dy, dop = doutputs, dwp = dweights)
                ExpertDispatch.CombineBackwardScalar(assignment, Dim, wp, op, gp, dop, dwp);
            CentralDifferences.Assert(Loss, outputs, doutputs, "doutputs");
            CentralDifferences.Assert(Loss, weights, dweights, "dweights");
        });
    }

    private delegate void Use(ExpertAssignment assignment);

    private sealed class Routing(int tokens, int chosen, int experts, int seed)
    {
        public int[] Ids { get; } = Choose(tokens, chosen, experts, seed);

        public void With(Use use)
        {
            int[] offsets = new int[experts + 1], tokenOfRow = new int[tokens * chosen];
            int[] slotOfRow = new int[tokens * chosen], rowOfSlot = new int[tokens * chosen];
            fixed (int* ids = Ids, o = offsets, t = tokenOfRow, s = slotOfRow, r = rowOfSlot)
            {
                var assignment = new ExpertAssignment(tokens, chosen, experts, ids, o, t, s, r);
                assignment.Sort();
                use(assignment);
            }
        }

        private static int[] Choose(int tokens, int chosen, int experts, int seed)
        {
            var random = new Random(seed);
            return [.. Enumerable.Range(0, tokens).SelectMany(_ => Enumerable.Range(0, experts).OrderBy(_ => random.Next()).Take(chosen).Order())];
        }
    }
}
