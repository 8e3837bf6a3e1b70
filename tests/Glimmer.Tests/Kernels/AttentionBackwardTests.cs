using Glimmer.Kernels;

namespace Glimmer.Tests.Kernels;

[Collection("Simd level")]
public sealed unsafe class AttentionBackwardTests
{
    public static TheoryData<int, int, int, int> Shapes => new()
    {
        { 1, 1, 16, 16 },
        { 6, 2, 64, 64 },
        { 4, 4, 20, 12 },
        { 12, 1, 40, 72 },
        { 110, 1, 8, 4 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_form_equals_the_scalar_twin(int heads, int kvHeads, int keyDim, int valueDim)
    {
        var shape = new AttentionShape(heads, kvHeads, keyDim, valueDim, 0.3f);
        foreach (int[] lengths in new int[][] { [1], [130], [3, 0, 64, 65, 20, 7], [150, 5] })
        {
            foreach (double keep in new[] { 2.0, 0.4 })
            {
                var problem = new Problem(shape, lengths, keep < 1 ? keep : null, seed: 1);
                Gradients expected = problem.Scalar();
                foreach (SimdLevel level in LevelScope.All())
                {
                    for (int threads = 1; threads <= 3; threads++)
                    {
                        Gradients actual = problem.Fast(threads, level);
                        string what = $"{level}, {threads} threads, documents {string.Join(' ', lengths)}, {(keep < 1 ? "sparse" : "dense")}";
                        Same.Bits(expected.Dq, actual.Dq, "dq, " + what);
                        Same.Bits(expected.Dk, actual.Dk, "dk, " + what);
                        Same.Bits(expected.Dv, actual.Dv, "dv, " + what);
                    }
                }
            }
        }
    }

    [Fact]
    public void Sparse_gradients_over_all_keys_equal_dense_ones()
    {
        var shape = new AttentionShape(8, 1, 48, 32, 0.2f);
        Gradients dense = new Problem(shape, [200], null, seed: 2).Fast(2, Simd.Best);
        Gradients sparse = new Problem(shape, [200], 1.0, seed: 2).Fast(2, Simd.Best);
        Same.Bits(dense.Dq, sparse.Dq, "dq");
        Same.Bits(dense.Dk, sparse.Dk, "dk");
        Same.Bits(dense.Dv, sparse.Dv, "dv");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_double_twin_agrees_with_central_differences(bool sparse)
    {
        const int Tokens = 7;
        var shape = new AttentionShape(4, 2, 5, 3, 0.6f);
        var random = new Random(3);
        double[] q = Random(random, Tokens * 4 * 5), k = Random(random, Tokens * 2 * 5), v = Random(random, Tokens * 2 * 3), w = Random(random, Tokens * 4 * 3);
        var positions = new int[Tokens * Tokens];
        var counts = new int[Tokens];
        for (int t = 0; t < Tokens; t++)
        {
            for (int p = 0; p <= t; p++)
            {
                if (p == t || random.Next(2) == 0)
                    positions[t * Tokens + counts[t]++] = p;
            }
        }

        if (!sparse)
            positions = counts = null!;
        double[] output = new double[w.Length], lse = new double[Tokens * 4];
        double Loss()
        {
            ForwardDouble(shape, Tokens, positions, counts, q, k, v, output, lse);
            double loss = 0;
            for (int i = 0; i < w.Length; i++)
                loss += w[i] * output[i];
            return loss;
        }

        double[] dq = new double[q.Length], dk = new double[k.Length], dv = new double[v.Length];
        Loss();
        fixed (double* qp = q, kp = k, vp = v, op = output, lp = lse, wp = w, dqp = dq, dkp = dk, dvp = dv)
        fixed (int* pp = positions, cp = counts)
            Attention.BackwardScalar(shape, Tokens, pp, Tokens, cp, qp, kp, vp, op, lp, wp, dqp, dkp, dvp);
        CentralDifferences.Assert(Loss, q, dq, "dq");
        CentralDifferences.Assert(Loss, k, dk, "dk");
        CentralDifferences.Assert(Loss, v, dv, "dv");
    }

    [Fact]
    public void A_document_that_does_not_start_at_position_0_is_refused()
    {
        using var team = new ThreadTeam(1);
        Assert.Throws<ArgumentOutOfRangeException>(() =>
            Attention.Backward(
                team, new AttentionShape(1, 1, 4, 4, 1f), [new AttentionSequence(0, 1, 5, null)], null, null, null, null, null, null, null, null, null));
    }

    [Fact]
    public void Steady_state_allocates_nothing()
    {
        var problem = new Problem(new AttentionShape(4, 2, 32, 32, 0.2f), [100, 30], null, seed: 4);
        using var team = new ThreadTeam(2);
        Gradients gradients = problem.NewGradients();
        var windows = new AllocationWindows();
        for (int round = 0; round < 6; round++)
        {
            windows.Begin();
            problem.Run(team, gradients);
            windows.End();
        }

        windows.AssertNone();
    }

    private static double[] Random(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextDouble() * 2 - 1)];

    private static void ForwardDouble(
        AttentionShape shape, int tokens, int[]? positions, int[]? counts, double[] q, double[] k, double[] v, double[] output, double[] lse)
    {
        var page = new double[shape.Layout.PageFloats];
        fixed (double* pagePointer = page, qp = q, kp = k, vp = v, op = output, lp = lse)
        fixed (int* pp = positions, cp = counts)
        {
            for (int t = 0; t < tokens; t++)
            {
                for (int head = 0; head < shape.KvHeads; head++)
                {
                    shape.Layout.WriteKey(pagePointer, head, t, kp + (t * shape.KvHeads + head) * shape.KeyDim);
                    shape.Layout.WriteValue(pagePointer, head, t, vp + (t * shape.KvHeads + head) * shape.ValueDim);
                }
            }

            double* pages = pagePointer;
            Attention.ForwardScalar(shape, tokens, 0, &pages, pp, tokens, cp, qp, op, lp);
        }
    }

    private sealed record Gradients(float[] Dq, float[] Dk, float[] Dv);

    private sealed class Problem
    {
        private readonly AttentionShape _shape;
        private readonly AttentionSequence[] _documents;
        private readonly float[] _q, _k, _v, _dout, _output, _lse;
        private readonly int[]? _positions, _counts;
        private readonly int _tokens, _stride;

        public Problem(AttentionShape shape, int[] lengths, double? keep, int seed)
        {
            _shape = shape;
            var random = new Random(seed);
            float[] Rows(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() * 2 - 1)];
            _documents = new AttentionSequence[lengths.Length];
            for (int d = 0; d < lengths.Length; d++)
            {
                _documents[d] = new AttentionSequence(_tokens, lengths[d], 0, null);
                _tokens += lengths[d];
            }

            _stride = lengths.Max();
            _q = Rows(_tokens * shape.Heads * shape.KeyDim);
            _k = Rows(_tokens * shape.KvHeads * shape.KeyDim);
            _v = Rows(_tokens * shape.KvHeads * shape.ValueDim);
            _dout = Rows(_tokens * shape.Heads * shape.ValueDim);
            if (keep is double probability)
            {
                _positions = new int[_tokens * _stride];
                _counts = new int[_tokens];
                var lists = new Random(seed + 1);
                foreach (AttentionSequence document in _documents)
                {
                    for (int t = 0; t < document.Tokens; t++)
                    {
                        int row = document.FirstToken + t;
                        for (int p = 0; p <= t; p++)
                        {
                            if (p == t || lists.NextDouble() < probability)
                                _positions[row * _stride + _counts[row]++] = p;
                        }
                    }
                }
            }

            // Values of the size that a forward pass gives are enough: the twin and the fast forms get the same ones.
            _output = Rows(_dout.Length);
            _lse = [.. Rows(_tokens * shape.Heads).Select(x => x + 3f)];
        }

        public Gradients NewGradients()
        {
            // NaN: every element must be overwritten.
            static float[] Nan(int count) => [.. Enumerable.Repeat(float.NaN, count)];
            return new Gradients(Nan(_q.Length), Nan(_k.Length), Nan(_v.Length));
        }

        public Gradients Scalar()
        {
            Gradients gradients = NewGradients();
            fixed (float* q = _q, k = _k, v = _v, o = _output, lse = _lse, dout = _dout, dq = gradients.Dq, dk = gradients.Dk, dv = gradients.Dv)
            fixed (int* positions = _positions, counts = _counts)
            {
                foreach (AttentionSequence document in _documents)
                {
                    int t = document.FirstToken;
                    Attention.BackwardScalar(
                        _shape, document.Tokens, positions == null ? null : positions + t * _stride, _stride, counts == null ? null : counts + t,
                        q + t * _shape.Heads * _shape.KeyDim, k + t * _shape.KvHeads * _shape.KeyDim, v + t * _shape.KvHeads * _shape.ValueDim,
                        o + t * _shape.Heads * _shape.ValueDim, lse + t * _shape.Heads, dout + t * _shape.Heads * _shape.ValueDim,
                        dq + t * _shape.Heads * _shape.KeyDim, dk + t * _shape.KvHeads * _shape.KeyDim, dv + t * _shape.KvHeads * _shape.ValueDim);
                }
            }

            return gradients;
        }

        public Gradients Fast(int threads, SimdLevel level)
        {
            Gradients gradients = NewGradients();
            using var scope = new LevelScope(level);
            using var team = new ThreadTeam(threads);
            Run(team, gradients);
            return gradients;
        }

        public void Run(ThreadTeam team, Gradients gradients)
        {
            fixed (float* q = _q, k = _k, v = _v, o = _output, lse = _lse, dout = _dout, dq = gradients.Dq, dk = gradients.Dk, dv = gradients.Dv)
            fixed (int* positions = _positions, counts = _counts)
            {
                if (positions == null)
                    Attention.Backward(team, _shape, _documents, q, k, v, o, lse, dout, dq, dk, dv);
                else
                    Attention.SparseBackward(team, _shape, _documents, positions, _stride, counts, q, k, v, o, lse, dout, dq, dk, dv);
            }
        }
    }
}
