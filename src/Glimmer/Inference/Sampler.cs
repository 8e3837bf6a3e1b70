using Glimmer.Kernels;

namespace Glimmer.Inference;

/// <summary>A chosen token with its log-probability under the model (before penalties, temperature and filters).</summary>
public readonly record struct TokenLogprob(int Token, float Logprob);

/// <summary>Chooses tokens: penalties, temperature, top-k, top-p, min-p, then <c>argmax(log p + gumbel)</c>.</summary>
/// <remarks>
/// The noise of an entry is keyed by (seed, position, id), so a request's tokens do not depend on the requests beside it, and verifying a draft against
/// the same draw changes no token. Ties go to the lower id. One sampler serves one sequence.
/// </remarks>
public sealed class Sampler
{
    private readonly SamplingOptions _options;
    private readonly float[] _scores;
    private readonly int[] _order;
    private readonly Dictionary<int, int> _generated = [];
    private readonly HashSet<int> _seen = [];

    /// <summary>Creates a sampler.</summary>
    /// <param name="options">How to choose.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="prompt">Tokens that the repetition penalty counts as seen.</param>
    public Sampler(SamplingOptions options, int vocabulary, ReadOnlySpan<int> prompt)
    {
        options.Check();
        _options = options;
        _scores = new float[vocabulary];
        _order = new int[vocabulary];
        foreach (int token in prompt)
            _seen.Add(token);
    }

    /// <summary>Chooses the token for a position and remembers it for the penalties.</summary>
    /// <param name="logits">[V]. Unchanged.</param>
    /// <param name="position">Position the token will have.</param>
    /// <exception cref="ArithmeticException">A logit is NaN.</exception>
    public TokenLogprob Next(ReadOnlySpan<float> logits, long position)
    {
        int token = Choose(logits, position);
        _seen.Add(token);
        _generated[token] = _generated.GetValueOrDefault(token) + 1;
        return new TokenLogprob(token, logits[token] - LogSumExp(logits));
    }

    // The same function as the loss and the scorer, so that log-probabilities agree in every bit.
    private static unsafe float LogSumExp(ReadOnlySpan<float> logits)
    {
        float lse;
        fixed (float* row = logits)
            Softmax.LogSumExp(null, row, logits.Length, 1, logits.Length, &lse);
        return lse;
    }

    private int Choose(ReadOnlySpan<float> logits, long position)
    {
        Span<float> scores = _scores;
        logits.CopyTo(scores);
        Penalise(scores);
        int best = ArgMax(scores);
        if (_options.Temperature == 0)
            return best;

        float inverse = 1f / _options.Temperature;
        for (int i = 0; i < scores.Length; i++)
            scores[i] *= inverse;
        ReadOnlySpan<int> kept = Filter(scores, best);
        // The normaliser is the same for all entries, so log p + gumbel orders like score + gumbel.
        int chosen = kept[0];
        double largest = double.NegativeInfinity;
        foreach (int id in kept)
        {
            double value = scores[id] + CounterRandom.Gumbel(_options.Seed, DrawPurpose.Sampling, position, (uint)id);
            if (value > largest || (value == largest && id < chosen))
                (largest, chosen) = (value, id);
        }

        return chosen;
    }

    private void Penalise(Span<float> scores)
    {
        if (_options.RepetitionPenalty != 1)
        {
            foreach (int token in _seen)
                scores[token] = scores[token] > 0 ? scores[token] / _options.RepetitionPenalty : scores[token] * _options.RepetitionPenalty;
        }

        if (_options.FrequencyPenalty == 0 && _options.PresencePenalty == 0)
            return;
        foreach ((int token, int count) in _generated)
            scores[token] -= (_options.FrequencyPenalty * count) + _options.PresencePenalty;
    }

    // The ids that may be drawn. Sorting is needed only when something is cut off.
    private ReadOnlySpan<int> Filter(ReadOnlySpan<float> scores, int best)
    {
        int count = 0;
        float floor = _options.MinP > 0 ? scores[best] + MathF.Log(_options.MinP) : float.NegativeInfinity;
        bool sorted = _options.TopK > 0 || _options.TopP < 1;
        for (int i = 0; i < scores.Length; i++)
        {
            // min-p compares with the most likely token, which no filter removes, so it may run first when nothing is renormalised before it.
            if (float.IsNegativeInfinity(scores[i]) || (!sorted && scores[i] < floor))
                continue;
            _order[count++] = i;
        }

        if (!sorted)
            return _order.AsSpan(0, count);
        Span<int> order = _order.AsSpan(0, count);
        if (_options.TopK > 0 && _options.TopK < count)
            order = order[..KeepTopK(scores, order, _options.TopK)];
        order.Sort((a, b) => _scores[b].CompareTo(_scores[a]) is not 0 and var byScore ? byScore : a.CompareTo(b));
        if (_options.TopP < 1)
            order = order[..NucleusSize(scores, order)];
        int last = order.Length;
        while (last > 1 && scores[order[last - 1]] < floor)
            last--;
        return order[..last];
    }

    // Moves the k largest to the front (ties: lower id), in expected linear time.
    private static int KeepTopK(ReadOnlySpan<float> scores, Span<int> order, int k)
    {
        var heap = new PriorityQueue<int, (float, int)>(k + 1);
        foreach (int id in order)
        {
            // Smallest first: the lower score, then the higher id.
            if (heap.Count < k)
                heap.Enqueue(id, (scores[id], -id));
            else
                heap.EnqueueDequeue(id, (scores[id], -id));
        }

        for (int i = heap.Count - 1; i >= 0; i--)
            order[i] = heap.Dequeue();
        return k;
    }

    // The shortest prefix whose probabilities, renormalised over what top-k kept, reach top-p.
    private int NucleusSize(ReadOnlySpan<float> scores, ReadOnlySpan<int> order)
    {
        double total = 0;
        foreach (int id in order)
            total += Math.Exp((double)scores[id] - scores[order[0]]);
        double mass = 0;
        for (int i = 0; i < order.Length; i++)
        {
            mass += Math.Exp((double)scores[order[i]] - scores[order[0]]);
            if (mass >= _options.TopP * total)
                return i + 1;
        }

        return order.Length;
    }

    private static int ArgMax(ReadOnlySpan<float> values)
    {
        int best = 0;
        for (int i = 0; i < values.Length; i++)
        {
            if (float.IsNaN(values[i]))
                throw new ArithmeticException($"The logit of token {i} is NaN: the weights or the inputs are damaged.");
            if (values[i] > values[best])
                best = i;
        }

        return best;
    }
}
