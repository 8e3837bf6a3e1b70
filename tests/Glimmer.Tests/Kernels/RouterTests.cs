using Glimmer.Kernels;

namespace Glimmer.Tests.Kernels;

[Collection("Simd level")]
public sealed unsafe class RouterTests
{
    public static TheoryData<int, int, int, int, bool, float> Shapes => new()
    {
        { 8, 2, 1, 1, true, 1f },
        { 256, 8, 1, 1, true, 2.5f },
        { 128, 8, 8, 4, true, 1f },
        { 19, 4, 1, 1, false, 1.8f },
        { 12, 3, 4, 2, false, 2.5f },
        { 6, 2, 6, 3, true, 1f },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_form_equals_the_scalar_twin(int experts, int chosen, int groups, int chosenGroups, bool normalise, float scale)
    {
        const int Tokens = 370;
        var shape = new RouterShape(experts, chosen, groups, chosenGroups, normalise, scale);
        var random = new Random(experts);
        float[] logits = [.. Enumerable.Range(0, Tokens * experts).Select(_ => random.NextSingle() * 8 - 4)];
        float[] bias = [.. Enumerable.Range(0, experts).Select(_ => random.NextSingle() - 0.7f)];
        float[] dweights = [.. Enumerable.Range(0, Tokens * chosen).Select(_ => random.NextSingle() * 2 - 1)];
        int[] ids = new int[Tokens * chosen];
        float[] weights = new float[Tokens * chosen], scores = new float[Tokens * experts], dlogits = new float[Tokens * experts], biased = new float[experts];
        fixed (float* lp = logits, bp = bias, sp = scores, wp = weights, dw = dweights, dl = dlogits, scratch = biased)
        fixed (int* ip = ids)
        {
            for (int t = 0; t < Tokens; t++)
            {
                Router.ForwardScalar(shape, lp + t * experts, bp, sp + t * experts, scratch, ip + t * chosen, wp + t * chosen);
                Router.BackwardScalar(shape, lp + t * experts, ip + t * chosen, dw + t * chosen, dl + t * experts);
            }
        }

        foreach (SimdLevel level in LevelScope.All())
        {
            for (int threads = 1; threads <= 3; threads++)
            {
                using var scope = new LevelScope(level);
                using var team = new ThreadTeam(threads);
                int[] fastIds = new int[ids.Length];
                float[] fastWeights = new float[weights.Length], fastScores = new float[scores.Length], fastDlogits = new float[dlogits.Length];
                fixed (float* lp = logits, bp = bias, sp = fastScores, wp = fastWeights, dw = dweights, dl = fastDlogits)
                fixed (int* ip = fastIds)
                {
                    Router.Forward(team, shape, lp, bp, Tokens, ip, wp, threads == 2 ? null : sp);
                    Router.Backward(team, shape, lp, ip, dw, Tokens, dl);
                }

                Assert.Equal(ids, fastIds);
                Same.Bits(weights, fastWeights, $"weights, {level}");
                Same.Bits(dlogits, fastDlogits, $"dlogits, {level}");
                if (threads != 2)
                    Same.Bits(scores, fastScores, $"scores, {level}");
            }
        }
    }

    [Fact]
    public void Router_picks_by_biased_score_but_weights_by_raw_score()
    {
        var shape = new RouterShape(4, 2, 1, 1, Normalise: true, Scale: 1f);
        (int[] ids, float[] weights) = Route(shape, [2f, 1f, 0f, -1f], [0f, 0f, 10f, 10f]);
        Assert.Equal([2, 3], ids);
        float s2 = VectorMath.Sigmoid(0f), s3 = VectorMath.Sigmoid(-1f);
        Assert.Equal([s2 / (s2 + s3 + 1e-20f), s3 / (s2 + s3 + 1e-20f)], weights);
    }

    [Fact]
    public void Rejected_groups_lose_even_against_negative_scores()
    {
        // Group 0 wins by its two largest; its third expert is negative and still beats all of group 1.
        var shape = new RouterShape(6, 3, 2, 1, Normalise: false, Scale: 1f);
        (int[] ids, _) = Route(shape, [0f, 0f, 0f, 0f, 0f, 0f], [5f, 5f, -9f, 4f, 4f, 4f]);
        Assert.Equal([0, 1, 2], ids);
    }

    [Fact]
    public void A_logit_that_is_not_a_number_is_an_error_that_names_the_token()
    {
        foreach (RouterShape shape in new RouterShape[] { new(4, 2, 1, 1, true, 1f), new(4, 1, 2, 1, true, 1f) })
            Assert.Contains("token 0", Assert.Throws<ArithmeticException>(() => Route(shape, [0f, float.NaN, 0f, 0f], [0f, 0f, 0f, 0f])).Message);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_double_twin_agrees_with_central_differences(bool normalise)
    {
        var shape = new RouterShape(9, 4, 3, 2, normalise, 2.5f);
        var random = new Random(5);
        double[] logits = [.. Enumerable.Range(0, 9).Select(_ => random.NextDouble() * 4 - 2)];
        double[] gradient = [.. Enumerable.Range(0, 4).Select(_ => random.NextDouble() * 2 - 1)];
        double[] bias = [.. Enumerable.Range(0, 9).Select(_ => random.NextDouble())];
        double[] scores = new double[9], biased = new double[9], weights = new double[4], dlogits = new double[9];
        int[] ids = new int[4];
        double Loss()
        {
            fixed (double* lp = logits, bp = bias, sp = scores, scratch = biased, wp = weights)
            fixed (int* ip = ids)
                Router.ForwardScalar(shape, lp, bp, sp, scratch, ip, wp);
            return weights.Zip(gradient, (w, g) => w * g).Sum();
        }

        Loss();
        fixed (double* lp = logits, gp = gradient, dp = dlogits)
        fixed (int* ip = ids)
            Router.BackwardScalar(shape, lp, ip, gp, dp);
        CentralDifferences.Assert(Loss, logits, dlogits, "dlogits");
    }

    [Fact]
    public void Impossible_sizes_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new RouterShape(6, 2, 4, 1, true, 1f).Check());
        Assert.Throws<ArgumentOutOfRangeException>(() => new RouterShape(8, 5, 4, 2, true, 1f).Check());
        Assert.Throws<ArgumentOutOfRangeException>(() => new RouterShape(8, 2, 2, 3, true, 1f).Check());
    }

    private static (int[] Ids, float[] Weights) Route(RouterShape shape, float[] logits, float[] bias)
    {
        var ids = new int[shape.Chosen];
        var weights = new float[shape.Chosen];
        using var team = new ThreadTeam(1);
        fixed (float* lp = logits, bp = bias, wp = weights)
        fixed (int* ip = ids)
            Router.Forward(team, shape, lp, bp, 1, ip, wp);
        return (ids, weights);
    }
}
