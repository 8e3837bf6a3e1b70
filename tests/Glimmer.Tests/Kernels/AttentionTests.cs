using CsCheck;
using Glimmer.Kernels;

namespace Glimmer.Tests.Kernels;

[Collection("Simd level")]
public sealed unsafe class AttentionTests
{
    public static TheoryData<int, int, int, int> Shapes => new()
    {
        { 1, 1, 16, 16 },
        { 3, 1, 64, 64 },
        { 4, 2, 20, 12 },
        { 12, 1, 128, 128 },
        { 8, 1, 72, 64 },
        { 80, 1, 24, 16 },
        { 5, 5, 7, 33 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_form_equals_the_scalar_twin(int heads, int kvHeads, int keyDim, int valueDim)
    {
        var shape = new AttentionShape(heads, kvHeads, keyDim, valueDim, 0.3f);
        foreach ((int First, int Tokens)[] steps in new (int, int)[][]
        {
            [(0, 1)],
            [(0, 17), (63, 1), (5, 0), (64, 2)],
            [(1000, 50), (2047, 1), (0, 70)],
            [(1024, 1), (2040, 20)],
        })
        {
            using var batch = new PagedBatch(shape.Layout, steps, 1);
            float[] q = batch.Queries(heads * keyDim, 2);
            (float[] output, float[] lse) = Scalar(shape, batch.Sequences, q, batch.Tokens);
            foreach (SimdLevel level in LevelScope.All())
            {
                for (int threads = 1; threads <= 3; threads++)
                {
                    (float[] fast, float[] fastLse) = Fast(shape, batch.Sequences, q, batch.Tokens, threads, level);
                    Same.Bits(output, fast, $"output, {level}, {threads} threads, steps {string.Join(' ', steps)}");
                    Same.Bits(lse, fastLse, $"lse, {level}, {threads} threads");
                }
            }
        }
    }

    [Theory]
    [InlineData(3, 1, 64, 64)]
    [InlineData(2, 2, 8, 8)]
    public void A_token_is_the_same_alone_in_a_batch_in_chunks_and_step_by_step(int heads, int kvHeads, int keyDim, int valueDim)
    {
        const int Positions = 2100;
        var shape = new AttentionShape(heads, kvHeads, keyDim, valueDim, 0.2f);
        using var batch = new PagedBatch(shape.Layout, [(0, Positions), (0, 130)], 3);
        float[] q = batch.Queries(heads * keyDim, 4);
        (float[] whole, _) = Fast(shape, batch.Sequences, q, batch.Tokens, 2, Simd.Best);

        // Pages of positions after the step hold other keys already: they must not matter.
        foreach ((int From, int Tokens) chunk in new[] { (
            0, 1), (0, 7), (7, 64), (63, 1), (64, 1), (1020, 10), (1023, 1), (1024, 1), (2047, 1), (2048, 3), (2099, 1), (500, 1600) })
        {
            float[] part = q.AsSpan(chunk.From * heads * keyDim, chunk.Tokens * heads * keyDim).ToArray();
            for (int threads = 1; threads <= 3; threads++)
            {
                (float[] alone, _) = Fast(shape, [batch.Step(0, 0, chunk.Tokens, chunk.From)], part, chunk.Tokens, threads, Simd.Best);
                Same.Bits(whole.AsSpan(chunk.From * heads * valueDim, chunk.Tokens * heads * valueDim), alone, $"chunk {chunk}, {threads} threads");
            }
        }
    }

    [Fact]
    public void Any_batch_equals_the_scalar_twin() => SampleBatches(iterations: 60, longest: 2200);

    [Fact]
    [Trait("Category", "Slow")]
    public void Any_batch_of_long_sequences_equals_the_scalar_twin() => SampleBatches(iterations: 500, longest: 5000);

    [Fact]
    public void Sparse_attention_over_all_keys_equals_dense_attention()
    {
        foreach (bool prefix in new[] { false, true })
        {
            var shape = new AttentionShape(8, 1, 48, 32, 0.2f, prefix);
            using var batch = new PagedBatch(shape.Layout, [(0, 80), (1020, 30), (2050, 1)], 5, prefix);
            float[] q = batch.Queries(8 * 48, 6);
            (float[] dense, float[] lse) = Fast(shape, batch.Sequences, q, batch.Tokens, 2, Simd.Best);
            (int[] positions, int stride, int[] counts) = Lists(batch, keep: 1.0, seed: 0);
            (float[] sparse, float[] sparseLse) = Fast(shape, batch.Sequences, q, batch.Tokens, 2, Simd.Best, positions, stride, counts);
            Same.Bits(dense, sparse, "output");
            Same.Bits(lse, sparseLse, "lse");
        }
    }

    [Theory]
    [InlineData(0.9, false, 1)]
    [InlineData(0.5, true, 1)]
    [InlineData(0.03, false, 2)]
    public void Every_sparse_form_equals_the_scalar_twin(double keep, bool prefix, int kvHeads)
    {
        var shape = new AttentionShape(8 * kvHeads, kvHeads, 40, 20, 0.2f, prefix);
        using var batch = new PagedBatch(shape.Layout, [(0, 70), (2200, 5), (4500, 1)], 7, prefix);
        float[] q = batch.Queries(shape.Heads * 40, 8);
        (int[] positions, int stride, int[] counts) = Lists(batch, keep, seed: 9);
        (float[] output, float[] lse) = Scalar(shape, batch.Sequences, q, batch.Tokens, positions, stride, counts);
        foreach (SimdLevel level in LevelScope.All())
        {
            for (int threads = 1; threads <= 3; threads++)
            {
                (float[] fast, float[] fastLse) = Fast(shape, batch.Sequences, q, batch.Tokens, threads, level, positions, stride, counts);
                Same.Bits(output, fast, $"output, {level}, {threads} threads");
                Same.Bits(lse, fastLse, $"lse, {level}, {threads} threads");
            }
        }
    }

    [Theory]
    [InlineData(KeyValueType.BF16, false, 2)]
    [InlineData(KeyValueType.BF16, true, 1)]
    [InlineData(KeyValueType.Int8, false, 2)]
    [InlineData(KeyValueType.Int8, true, 1)]
    [InlineData(KeyValueType.F32, true, 1)]
    public void Pages_of_every_type_give_the_bits_of_the_numbers_they_stand_for(KeyValueType type, bool prefix, int kvHeads)
    {
        var shape = new AttentionShape(6 * kvHeads, kvHeads, 40, 20, 0.2f, prefix, type);
        AttentionShape plain = shape with { PageType = KeyValueType.F32 };
        using var batch = new PagedBatch(shape.Layout, [(0, 70), (1010, 30), (2300, 1)], 7, prefix);
        AttentionSequence[] sequences = type == KeyValueType.F32 ? batch.Sequences : batch.Plain();
        float[] q = batch.Queries(shape.Heads * 40, 8);
        (float[] dense, float[] denseLse) = Scalar(plain, sequences, q, batch.Tokens);
        (int[] positions, int stride, int[] counts) = Lists(batch, 0.4, seed: 9);
        (float[] sparse, float[] sparseLse) = Scalar(plain, sequences, q, batch.Tokens, positions, stride, counts);
        foreach (SimdLevel level in LevelScope.All())
        {
            for (int threads = 1; threads <= 3; threads++)
            {
                (float[] fast, float[] lse) = Fast(shape, batch.Sequences, q, batch.Tokens, threads, level);
                Same.Bits(dense, fast, $"output, {level}, {threads} threads");
                Same.Bits(denseLse, lse, $"lse, {level}, {threads} threads");
                (fast, lse) = Fast(shape, batch.Sequences, q, batch.Tokens, threads, level, positions, stride, counts);
                Same.Bits(sparse, fast, $"sparse output, {level}, {threads} threads");
                Same.Bits(sparseLse, lse, $"sparse lse, {level}, {threads} threads");
            }
        }
    }

    [Fact]
    public void A_full_list_is_read_through_the_list_as_well_as_from_the_pages()
    {
        // The last key is left out by giving the token one more visible key than it lists: the list is 0..p-1, which dense attention of the token before sees.
        var shape = new AttentionShape(4, 2, 16, 16, 0.25f);
        using var batch = new PagedBatch(shape.Layout, [(1500, 1)], 11);
        float[] q = batch.Queries(4 * 16, 12);
        int[] list = [.. Enumerable.Range(0, 1500)];
        (float[] sparse, _) = Fast(shape, batch.Sequences, q, 1, 2, Simd.Best, list, 1500, [1500]);
        (float[] dense, _) = Fast(shape, [batch.Step(0, 0, 1, 1499)], q, 1, 2, Simd.Best);
        Same.Bits(dense, sparse, "output");
    }

    [Fact]
    public void An_empty_list_of_keys_is_refused()
    {
        var shape = new AttentionShape(1, 1, 4, 4, 1f);
        using var batch = new PagedBatch(shape.Layout, [(3, 1)], 13);
        float[] q = batch.Queries(4, 14);
        Assert.Throws<ArgumentOutOfRangeException>(() => Fast(shape, batch.Sequences, q, 1, 1, Simd.Best, [0], 1, [0]));
    }

    [Fact]
    public void Steady_state_allocates_nothing()
    {
        var shape = new AttentionShape(6, 2, 32, 32, 0.2f);
        using var batch = new PagedBatch(shape.Layout, [(1500, 1), (0, 40)], 15);
        float[] q = batch.Queries(6 * 32, 16);
        var output = new float[batch.Tokens * 6 * 32];
        using var team = new ThreadTeam(2);
        var windows = new AllocationWindows();
        fixed (float* qp = q, op = output)
        {
            for (int round = 0; round < 20; round++)
            {
                windows.Begin();
                Attention.Forward(team, shape, batch.Sequences, qp, op, null);
                windows.End();
            }
        }

        windows.AssertNone();
    }

    private static void SampleBatches(int iterations, int longest)
    {
        Gen<AttentionShape> shapes = Gen.Select(
            Gen.Int[1, 13], Gen.Int[1, 3], Gen.Int[1, 70], Gen.Int[1, 70], (
                group, kvHeads, keyDim, valueDim) => new AttentionShape(group * kvHeads, kvHeads, keyDim, valueDim, 0.3f));
        Gen<(int, int)[]> steps = Gen.Select(Gen.Int[0, longest], Gen.OneOf(Gen.Const(1), Gen.Int[0, 40])).Array[1, 4];
        Gen.Select(shapes, steps, Gen.Int[1, 3], Gen.Enum<SimdLevel>().Where(level => level <= Simd.Best), Gen.Double[0.01, 2]).Sample(
            (shape, step, threads, level, keep) =>
            {
                using var batch = new PagedBatch(shape.Layout, step, seed: 21);
                float[] q = batch.Queries(shape.Heads * shape.KeyDim, seed: 22);
                (int[]? positions, int stride, int[]? counts) = keep < 1 ? Lists(batch, keep, seed: 23) : (null, 0, null);
                (float[] output, float[] lse) = Scalar(shape, batch.Sequences, q, batch.Tokens, positions, stride, counts);
                (float[] fast, float[] fastLse) = Fast(shape, batch.Sequences, q, batch.Tokens, threads, level, positions, stride, counts);
                Same.Bits(output, fast, "output");
                Same.Bits(lse, fastLse, "lse");
            },
            iter: iterations,
            threads: 1);
    }

    /// <summary>Ascending lists that keep each visible key with a probability, the own one always.</summary>
    internal static (int[] Positions, int Stride, int[] Counts) Lists(PagedBatch batch, double keep, int seed)
    {
        int stride = batch.Sequences.Max(s => s.FirstPosition + s.Tokens);
        var positions = new int[batch.Tokens * stride];
        positions.AsSpan().Fill(-1);
        var counts = new int[batch.Tokens];
        var random = new Random(seed);
        foreach (AttentionSequence sequence in batch.Sequences)
        {
            for (int t = 0; t < sequence.Tokens; t++)
            {
                int row = sequence.FirstToken + t, own = sequence.FirstPosition + t;
                for (int p = 0; p <= own; p++)
                {
                    if (p == own || random.NextDouble() < keep)
                        positions[row * stride + counts[row]++] = p;
                }
            }
        }

        return (positions, stride, counts);
    }

    private static (float[] Output, float[] Lse) Scalar(
        AttentionShape shape, AttentionSequence[] sequences, float[] q, int tokens, int[]? positions = null, int stride = 0, int[]? counts = null)
    {
        var output = new float[tokens * shape.Heads * shape.ValueDim];
        var lse = new float[tokens * shape.Heads];
        fixed (float* qp = q, op = output, lp = lse)
        fixed (int* pp = positions, cp = counts)
        {
            foreach (AttentionSequence sequence in sequences)
            {
                int t = sequence.FirstToken;
                Attention.ForwardScalar(
                    shape, sequence.Tokens, sequence.FirstPosition, sequence.Pages,
                    pp == null ? null : pp + (long)t * stride, stride, cp == null ? null : cp + t,
                    qp + (long)t * shape.Heads * shape.KeyDim, op + (long)t * shape.Heads * shape.ValueDim, lp + (long)t * shape.Heads);
            }
        }

        return (output, lse);
    }

    private static (float[] Output, float[] Lse) Fast(
        AttentionShape shape, AttentionSequence[] sequences, float[] q, int tokens, int threads, SimdLevel level,
        int[]? positions = null, int stride = 0, int[]? counts = null)
    {
        var output = new float[tokens * shape.Heads * shape.ValueDim];
        var lse = new float[tokens * shape.Heads];
        using var scope = new LevelScope(level);
        using var team = new ThreadTeam(threads);
        fixed (float* qp = q, op = output, lp = lse)
        fixed (int* pp = positions, cp = counts)
        {
            if (positions is null)
                Attention.Forward(team, shape, sequences, qp, op, lp);
            else
                Attention.SparseForward(team, shape, sequences, pp, stride, cp, qp, op, lp);
        }

        return (output, lse);
    }
}
