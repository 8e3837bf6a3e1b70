using System.Numerics;

namespace Glimmer.Kernels;

/// <summary>
/// The loss of a DSA indexer over one document: <c>KL(p_t || softmax(I_t))</c> for each token t, p the mean over the heads of the main attention's probabilities, both over the keys that
/// count for t; and its gradients of index queries, index keys and head weights.
/// </summary>
/// <remarks>
/// <para>Nothing of the size [H, T, T] exists: queries are taken in blocks, for each the target is computed again from queries and keys. Scores are chains along the head dimension, one a key;
/// softmaxes and losses are in fp64. The gradient of an index key is a chain over queries, then index heads. The bits do not depend on the number of threads.</para>
/// <para>Gradient: <c>dI = weight (softmax(I) - p)</c>, exact, without an epsilon. DeepSeek-V3.2 technical report, eq. 3 and 4; Megatron-core <c>compute_dsa_indexer_loss</c> (development tree).</para>
/// </remarks>
internal sealed unsafe class IndexerDivergence : TeamJob
{
    private const int QueriesOfBlock = 64, KeysOfRange = 64;
    private const long BlockFloats = 8L << 20;

    private readonly float[] _mainKeys;  // [KeyDim, T]
    private readonly float[] _indexKeys; // [Di, T]
    private readonly float[] _slopes;    // d loss / d (q . k), [block, Hi, T]
    private int _next;
    private int _firstQuery;
    private int _queries;
    private bool _keyPass;

    /// <summary>Prepares a document.</summary>
    /// <param name="shape">Sizes of the indexer.</param>
    /// <param name="main">Sizes of the main attention; all heads share one key.</param>
    /// <param name="tokens">T.</param>
    /// <param name="inputs">What is read and written.</param>
    /// <param name="weight">Factor of the loss of a token.</param>
    public IndexerDivergence(in IndexerShape shape, in AttentionShape main, int tokens, Arrays inputs, double weight)
    {
        (Shape, Main, Tokens, Inputs, Weight) = (shape, main, tokens, inputs, weight);
        _mainKeys = Transposed(inputs.MainKeys, tokens, main.KeyDim);
        _indexKeys = Transposed(inputs.IndexKeys, tokens, shape.Dim);
        BlockQueries = (int)Math.Clamp(BlockFloats / ((long)shape.Heads * tokens), 1, QueriesOfBlock);
        _slopes = new float[(long)BlockQueries * shape.Heads * tokens];
        Losses = new double[tokens];
    }

    private IndexerShape Shape { get; }

    private AttentionShape Main { get; }

    private int Tokens { get; }

    private Arrays Inputs { get; }

    private double Weight { get; }

    private int BlockQueries { get; }

    /// <summary>The loss of each token, unweighted.</summary>
    public double[] Losses { get; }

    /// <summary>For each token that sees more than TopK keys, how good the indexer's choice is; null unless it is wanted. Set before <see cref="Run"/>.</summary>
    public IndexerRecall[]? Recalls { get; init; }

    /// <summary>Computes losses and gradients.</summary>
    public void Run(ThreadTeam team)
    {
        for (_firstQuery = 0; _firstQuery < Tokens; _firstQuery += BlockQueries)
        {
            _queries = Math.Min(BlockQueries, Tokens - _firstQuery);
            (_next, _keyPass) = (0, false);
            team.Run(this);
            (_next, _keyPass) = (0, true);
            team.Run(this);
        }
    }

    /// <inheritdoc/>
    public override void Execute(int thread, int threads)
    {
        if (_keyPass)
        {
            int ranges = (Tokens + KeysOfRange - 1) / KeysOfRange;
            for (int range = Interlocked.Increment(ref _next) - 1; range < ranges; range = Interlocked.Increment(ref _next) - 1)
                KeyGradients(range * KeysOfRange, Math.Min((range + 1) * KeysOfRange, Tokens));
            return;
        }

        var scratch = new Scratch(Tokens, Shape, Main.KeyDim, Inputs.Positions is not null);
        for (int query = Interlocked.Increment(ref _next) - 1; query < _queries; query = Interlocked.Increment(ref _next) - 1)
            Query(_firstQuery + query, query, scratch);
    }

    private int KeysOf(int t) => Inputs.Positions is null ? t + 1 : Inputs.Counts[t];

    private int PositionOf(int t, int i) => Inputs.Positions is null ? i : Inputs.Positions[((long)t * Inputs.Stride) + i];

    private void Query(int t, int slot, Scratch s)
    {
        int keys = KeysOf(t), stride = Tokens;
        float[] mainKeys = _mainKeys, indexKeys = _indexKeys;
        if (Inputs.Positions is not null)
        {
            Select(t, keys, _mainKeys, Main.KeyDim, s.MainKeys);
            Select(t, keys, _indexKeys, Shape.Dim, s.IndexKeys);
            (mainKeys, indexKeys, stride) = (s.MainKeys, s.IndexKeys, keys);
        }

        Span<double> target = s.Target.AsSpan(0, keys), predicted = s.Predicted.AsSpan(0, keys);
        target.Clear();
        for (int h = 0; h < Main.Heads; h++)
        {
            Span<float> scores = s.Scores.AsSpan(0, keys);
            Products(Inputs.MainQueries + ((((long)t * Main.Heads) + h) * Main.KeyDim), mainKeys, Main.KeyDim, stride, scores);
            double max = double.NegativeInfinity, sum = 0;
            foreach (float score in scores)
                max = Math.Max(max, (double)score * Main.Scale);
            for (int i = 0; i < keys; i++)
                sum += predicted[i] = Math.Exp(((double)scores[i] * Main.Scale) - max);
            for (int i = 0; i < keys; i++)
                target[i] += predicted[i] / sum;
        }

        Span<float> index = s.Index.AsSpan(0, keys);
        index.Clear();
        float* weights = Inputs.HeadWeights + ((long)t * Shape.Heads);
        for (int a = 0; a < Shape.Heads; a++)
        {
            Span<float> products = s.Products.AsSpan(a * Tokens, keys);
            Products(Inputs.IndexQueries + ((((long)t * Shape.Heads) + a) * Shape.Dim), indexKeys, Shape.Dim, stride, products);
            for (int i = 0; i < keys; i++)
            {
                products[i] *= Shape.Scale;
                index[i] = MathF.FusedMultiplyAdd(weights[a], Shape.Relu ? Math.Max(products[i], 0) : products[i], index[i]);
            }
        }

        double largest = double.NegativeInfinity, total = 0, loss = 0;
        foreach (float score in index)
            largest = Math.Max(largest, score);
        foreach (float score in index)
            total += Math.Exp(score - largest);
        double logSum = largest + Math.Log(total);
        for (int i = 0; i < keys; i++)
        {
            double p = target[i] /= Main.Heads, logQ = index[i] - logSum;
            loss += p > 0 ? p * (Math.Log(p) - logQ) : 0;
            predicted[i] = Weight * (Math.Exp(logQ) - p);
        }

        Losses[t] = loss;
        if (Recalls is not null && keys > Shape.TopK)
            Recalls[t] = IndexerRecall.Of(index, target, Shape.TopK);
        QueryGradients(t, slot, keys, s);
    }

    // dw_a = sum_s dI relu(z); dq_a = sum_s dz k_s with dz = dI w_a scale where z > 0.
    private void QueryGradients(int t, int slot, int keys, Scratch s)
    {
        for (int a = 0; a < Shape.Heads; a++)
        {
            float weight = Inputs.HeadWeights[((long)t * Shape.Heads) + a];
            ReadOnlySpan<float> products = s.Products.AsSpan(a * Tokens, keys);
            Span<float> slopes = _slopes.AsSpan(checked(((slot * Shape.Heads) + a) * Tokens), keys);
            float* dq = Inputs.QueryGradients + ((((long)t * Shape.Heads) + a) * Shape.Dim);
            new Span<float>(dq, Shape.Dim).Clear();
            double head = 0;
            for (int i = 0; i < keys; i++)
            {
                bool passes = !Shape.Relu || products[i] > 0;
                slopes[i] = passes ? (float)(s.Predicted[i] * weight * Shape.Scale) : 0;
                head += passes ? s.Predicted[i] * products[i] : 0;
                if (slopes[i] != 0)
                    AddScaled(slopes[i], Inputs.IndexKeys + ((long)PositionOf(t, i) * Shape.Dim), dq, Shape.Dim);
            }

            Inputs.WeightGradients[((long)t * Shape.Heads) + a] = (float)head;
        }
    }

    // dk_s += sum over the block's queries t and heads a of dz q_ta.
    private void KeyGradients(int first, int end)
    {
        for (int slot = 0; slot < _queries; slot++)
        {
            int t = _firstQuery + slot, keys = KeysOf(t), from = LowerBound(t, keys, first);
            for (int a = 0; a < Shape.Heads; a++)
            {
                ReadOnlySpan<float> slopes = _slopes.AsSpan(checked(((slot * Shape.Heads) + a) * Tokens), keys);
                float* q = Inputs.IndexQueries + ((((long)t * Shape.Heads) + a) * Shape.Dim);
                for (int i = from; i < keys; i++)
                {
                    int position = PositionOf(t, i);
                    if (position >= end)
                        break;
                    if (slopes[i] != 0)
                        AddScaled(slopes[i], q, Inputs.KeyGradients + ((long)position * Shape.Dim), Shape.Dim);
                }
            }
        }
    }

    // First entry of a row whose position is at least the given one.
    private int LowerBound(int t, int keys, int position)
    {
        (int low, int high) = (0, keys);
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (PositionOf(t, middle) < position)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    private void Select(int t, int keys, float[] all, int dim, float[] selected)
    {
        for (int d = 0; d < dim; d++)
        {
            for (int i = 0; i < keys; i++)
                selected[(d * keys) + i] = all[((long)d * Tokens) + PositionOf(t, i)];
        }
    }

    // products[s] = chain over d of q[d] k[d, s].
    private static void Products(float* q, float[] keys, int dim, int stride, Span<float> products)
    {
        products.Clear();
        fixed (float* k = keys, y = products)
        {
            for (int d = 0; d < dim; d++)
                AddScaled(q[d], k + ((long)d * stride), y, products.Length);
        }
    }

    // y[i] = fma(scale, x[i], y[i])
    private static void AddScaled(float scale, float* x, float* y, int count)
    {
        int i = 0;
        var factor = new Vector<float>(scale);
        for (; i <= count - Vector<float>.Count; i += Vector<float>.Count)
            Vector.FusedMultiplyAdd(factor, Vector.Load(x + i), Vector.Load(y + i)).Store(y + i);
        for (; i < count; i++)
            y[i] = MathF.FusedMultiplyAdd(scale, x[i], y[i]);
    }

    private static float[] Transposed(float* rows, int tokens, int dim)
    {
        var columns = new float[(long)tokens * dim];
        for (int t = 0; t < tokens; t++)
        {
            for (int d = 0; d < dim; d++)
                columns[((long)d * tokens) + t] = rows[((long)t * dim) + d];
        }

        return columns;
    }

    /// <summary>Memory of one document. Rows are its tokens.</summary>
    internal struct Arrays
    {
        /// <summary>Queries of the main attention, [T, H, KeyDim].</summary>
        public float* MainQueries;

        /// <summary>Its keys, [T, KeyDim].</summary>
        public float* MainKeys;

        /// <summary>Index queries, [T, Hi, Di].</summary>
        public float* IndexQueries;

        /// <summary>Index keys, [T, Di].</summary>
        public float* IndexKeys;

        /// <summary>Head weights, [T, Hi].</summary>
        public float* HeadWeights;

        /// <summary>Keys that count for each token, ascending, rows <see cref="Stride"/> apart; null for all it sees.</summary>
        public int* Positions;

        /// <summary>Their number, [T].</summary>
        public int* Counts;

        /// <summary>Row length of <see cref="Positions"/>.</summary>
        public int Stride;

        /// <summary>Receives the gradients of the index queries.</summary>
        public float* QueryGradients;

        /// <summary>Receives the gradients of the index keys; zeros before.</summary>
        public float* KeyGradients;

        /// <summary>Receives the gradients of the head weights.</summary>
        public float* WeightGradients;
    }

    private sealed class Scratch(int tokens, IndexerShape shape, int keyDim, bool selects)
    {
        public readonly double[] Target = new double[tokens];
        public readonly double[] Predicted = new double[tokens];
        public readonly float[] Scores = new float[tokens];
        public readonly float[] Index = new float[tokens];
        public readonly float[] Products = new float[(long)tokens * shape.Heads];
        public readonly float[] MainKeys = selects ? new float[(long)tokens * keyDim] : [];
        public readonly float[] IndexKeys = selects ? new float[(long)tokens * shape.Dim] : [];
    }
}
