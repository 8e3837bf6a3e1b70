using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Tests.Kernels;

[Collection("Simd level")]
public sealed unsafe class SparseIndexerTests
{
    [Theory]
    [InlineData(1, 16, true)]
    [InlineData(4, 24, true)]
    [InlineData(32, 128, true)]
    [InlineData(3, 7, false)]
    [InlineData(70, 8, true)]
    public void Every_form_equals_the_scalar_twin(int heads, int dim, bool relu)
    {
        var shape = new IndexerShape(heads, dim, TopK: 50, Scale: 0.37f, relu);
        using var batch = new PagedBatch(shape.Layout, [(0, 70), (1000, 30), (2047, 1), (0, 0), (130, 3)], 1);
        float[] q = batch.Queries(heads * dim, 2);
        float[] weights = batch.Queries(heads, 3);
        int stride = batch.Sequences.Max(s => s.FirstPosition + s.Tokens);
        var expected = new float[batch.Tokens * stride];
        expected.AsSpan().Fill(float.NaN);
        var expectedPositions = new int[batch.Tokens * shape.TopK];
        expectedPositions.AsSpan().Fill(-1);
        var expectedCounts = new int[batch.Tokens];
        fixed (float* qp = q, wp = weights, sp = expected)
        {
            foreach (AttentionSequence sequence in batch.Sequences)
            {
                for (int i = 0; i < sequence.Tokens; i++)
                {
                    int t = sequence.FirstToken + i, keys = sequence.FirstPosition + i + 1;
                    SparseIndexer.ScoresScalar(shape, qp + t * heads * dim, wp + t * heads, sequence.Pages, keys, sp + t * stride);
                    expectedCounts[t] = Math.Min(keys, shape.TopK);
                    TopK.SelectScalar<float>(expected.AsSpan(t * stride, keys), expectedPositions.AsSpan(t * shape.TopK, expectedCounts[t]));
                }
            }
        }

        foreach (SimdLevel level in LevelScope.All())
        {
            for (int threads = 1; threads <= 3; threads++)
            {
                (float[] scores, int[] positions, int[] counts) = Run(level, threads, shape, batch.Sequences, q, weights, stride);
                Same.Bits(expected, scores, $"scores, {level}, {threads} threads");
                Assert.Equal(expectedCounts, counts);
                Assert.Equal(expectedPositions, positions);
            }
        }
    }

    [Theory]
    [InlineData(1, 32)]
    [InlineData(32, 128)]
    [InlineData(5, 40)]
    [InlineData(70, 7)]
    public void Byte_keys_are_scored_as_products_of_Q8_0_weights(int heads, int dim)
    {
        const int Positions = 1100, Last = 3;
        var shape = new IndexerShape(heads, dim, TopK: 50, Scale: 0.37f, ByteKeys: true);
        int columns = IndexPages.Columns(dim), pages = KeyValueLayout.PagesFor(Positions), tokens = Last;
        var random = new Random(7);
        float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() * 2 - 1)];
        float[] keys = Numbers(Positions * dim), q = Numbers(tokens * heads * dim), weights = Numbers(tokens * heads);
        using var memory = new NativeBuffer(pages * IndexPages.PageBytes(dim));
        new Span<byte>((void*)memory.Pointer, (int)(pages * IndexPages.PageBytes(dim))).Fill(0x7F); // what no key was written to
        float** table = stackalloc float*[pages];
        for (int i = 0; i < pages; i++)
            table[i] = (float*)(memory.Pointer + i * IndexPages.PageBytes(dim));
        AttentionSequence[] all = [new(0, Positions, 0, table)], step = [new(0, tokens, Positions - tokens, table)];

        // The reference: a matrix whose rows are the keys, the products that define 8-bit activations, and the definition of the scores.
        var rows = new float[Positions * columns];
        for (int i = 0; i < Positions; i++)
            keys.AsSpan(i * dim, dim).CopyTo(rows.AsSpan(i * columns));
        var blocks = new byte[Positions * columns / 32 * 34];
        Q8_0.Quantize(rows, blocks);
        var queries = new float[tokens * heads * columns];
        for (int i = 0; i < tokens * heads; i++)
            q.AsSpan(i * dim, dim).CopyTo(queries.AsSpan(i * columns));
        var products = new float[tokens * heads * Positions];
        var expected = new float[tokens * Positions];
        expected.AsSpan().Fill(float.NaN);
        using var one = new ThreadTeam(1);
        fixed (byte* b = blocks)
        fixed (float* qp = queries, pp = products)
        {
            using PackedMatrix matrix = MatrixPacker.Pack(
                one, PackedWeights.Create(DType.Q8_0, Positions, columns), [new RowSource(b, DType.Q8_0, Positions, columns / 32 * 34)]);
            MatMul.BlockTwin(qp, columns, tokens * heads, matrix, null, pp, Positions, 32, hasMinimum: false);
        }

        for (int t = 0; t < tokens; t++)
        {
            for (int s = 0; s <= Positions - tokens + t; s++)
            {
                float sum = 0;
                for (int j = 0; j < heads; j++)
                    sum = MathF.FusedMultiplyAdd(weights[t * heads + j], MathF.Max(products[(t * heads + j) * Positions + s] * shape.Scale, 0), sum);
                expected[t * Positions + s] = sum;
            }
        }

        fixed (float* kp = keys)
            IndexKeys.WriteBytes(all, kp, dim, dim);
        foreach (SimdLevel level in LevelScope.All())
        {
            for (int threads = 1; threads <= 3; threads++)
            {
                (float[] scores, int[] positions, _) = Run(level, threads, shape, step, q, weights, Positions);
                Same.Bits(expected, scores, $"scores, {level}, {threads} threads");
                var best = new int[shape.TopK];
                TopK.SelectScalar<float>(expected.AsSpan(0, Positions - tokens + 1), best);
                Assert.Equal(best, positions[..shape.TopK]);
            }
        }
    }

    [Fact]
    public void A_key_that_is_not_finite_cannot_be_kept_as_bytes()
    {
        float[] keys = new float[32];
        keys[3] = float.NaN;
        using var memory = new NativeBuffer(IndexPages.PageBytes(32));
        float* page = (float*)memory.Pointer;
        var sequence = new AttentionSequence(0, 1, 5, &page);
        ArithmeticException error = Assert.Throws<ArithmeticException>(() =>
        {
            fixed (float* k = keys)
                IndexKeys.WriteBytes([sequence], k, 32, 32);
        });
        Assert.Contains("position 5", error.Message);
    }

    [Fact]
    public void Heads_below_zero_do_not_count_and_ties_take_the_lower_position()
    {
        // One index head whose products are negative: every score is 0, so the choice is the first keys.
        var shape = new IndexerShape(1, 4, TopK: 3, Scale: 0.5f);
        using var batch = new PagedBatch(shape.Layout, [(9, 1)], 4);
        float* page = batch.Sequences[0].Pages[0];
        float[] ones = [1, 1, 1, 1];
        float[] q = [-1, -1, -1, -1];
        float[] weights = [-2];
        var positions = new int[3];
        int count;
        using var team = new ThreadTeam(1);
        fixed (float* one = ones, qp = q, wp = weights)
        fixed (int* pp = positions)
        {
            for (int slot = 0; slot < 10; slot++)
                shape.Layout.WriteKey(page, 0, slot, one);
            SparseIndexer.Choose(team, shape, batch.Sequences, qp, wp, pp, &count);
        }

        Assert.Equal(3, count);
        Assert.Equal([0, 1, 2], positions);
    }

    [Fact]
    public void A_score_that_is_not_a_number_is_an_error_that_names_the_token()
    {
        var shape = new IndexerShape(1, 4, TopK: 3, Scale: 0.5f);
        using var batch = new PagedBatch(shape.Layout, [(9, 1)], 4);
        float[] q = [float.NaN, 0, 0, 0];
        float[] weights = [1];
        var positions = new int[3];
        var counts = new int[1];
        using var team = new ThreadTeam(2);
        ArithmeticException error = Assert.Throws<ArithmeticException>(() =>
        {
            fixed (float* qp = q, wp = weights)
            fixed (int* pp = positions, cp = counts)
                SparseIndexer.Choose(team, shape, batch.Sequences, qp, wp, pp, cp);
        });
        Assert.Contains("token 0", error.Message);
    }

    [Fact]
    public void Steady_state_allocates_nothing()
    {
        var shape = new IndexerShape(4, 16, TopK: 40, Scale: 0.25f);
        using var batch = new PagedBatch(shape.Layout, [(500, 4), (0, 50)], 5);
        float[] q = batch.Queries(4 * 16, 6), weights = batch.Queries(4, 7);
        var positions = new int[batch.Tokens * 40];
        var counts = new int[batch.Tokens];
        using var team = new ThreadTeam(2);
        var windows = new AllocationWindows();
        fixed (float* qp = q, wp = weights)
        fixed (int* pp = positions, cp = counts)
        {
            for (int round = 0; round < 8; round++)
            {
                windows.Begin();
                SparseIndexer.Choose(team, shape, batch.Sequences, qp, wp, pp, cp);
                windows.End();
            }
        }

        windows.AssertNone();
    }

    // Scores and choice; what is not written is NaN and -1.
    private static (float[] Scores, int[] Positions, int[] Counts) Run(
        SimdLevel level, int threads, in IndexerShape shape, AttentionSequence[] sequences, float[] q, float[] weights, int stride)
    {
        using var scope = new LevelScope(level);
        using var team = new ThreadTeam(threads);
        int tokens = sequences.Sum(sequence => sequence.Tokens);
        var scores = new float[tokens * stride];
        scores.AsSpan().Fill(float.NaN);
        var positions = new int[tokens * shape.TopK];
        positions.AsSpan().Fill(-1);
        var counts = new int[tokens];
        fixed (float* qp = q, wp = weights, sp = scores)
        fixed (int* pp = positions, cp = counts)
        {
            SparseIndexer.Scores(team, shape, sequences, qp, wp, sp, stride);
            SparseIndexer.Choose(team, shape, sequences, qp, wp, pp, cp);
        }

        return (scores, positions, counts);
    }
}
