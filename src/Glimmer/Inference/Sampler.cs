using Glimmer.Kernels;

namespace Glimmer.Inference;

/// <summary>A token with a log-probability.</summary>
public readonly record struct TokenLogprob(int Token, float Logprob);

/// <summary>Chooses tokens: penalties, logit bias, constraint mask, temperature, top-k, top-p, min-p, then <c>argmax(log p + gumbel)</c>.</summary>
/// <remarks>
/// The noise of an entry is keyed by (seed, position, id), so a request's tokens do not depend on the requests beside it, and verifying a draft against
/// the same draw changes no token. Ties go to the lower id. One sampler serves one sequence.
/// </remarks>
public sealed class Sampler
{
    // -log(-log(u)) of the largest u that CounterRandom draws, 1 - 2^-53, rounded up.
    private const double LargestNoise = 37.5;

    private static readonly SamplingOptions s_unfiltered = new();

    private readonly SamplingOptions _options;
    private readonly SamplingScratch _scratch;
    private readonly ITokenConstraint? _constraint;
    private readonly KeyValuePair<int, float>[] _bias;
    private readonly Dictionary<int, int> _generated = [];
    private readonly HashSet<int> _seen = [];

    /// <summary>Creates a sampler with memory of its own.</summary>
    /// <param name="options">How to choose.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="prompt">Tokens that the repetition penalty counts as seen.</param>
    /// <param name="constraint">Which tokens are allowed; null for all.</param>
    public Sampler(SamplingOptions options, int vocabulary, ReadOnlySpan<int> prompt, ITokenConstraint? constraint = null)
        : this(options, new SamplingScratch(vocabulary), prompt, constraint)
    {
    }

    internal Sampler(SamplingOptions options, SamplingScratch scratch, ReadOnlySpan<int> prompt, ITokenConstraint? constraint)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        (_options, _scratch, _constraint) = (options, scratch, constraint);
        _bias = options.LogitBias is null ? [] : [.. options.LogitBias];
        foreach ((int token, float _) in _bias)
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(token, scratch.Scores.Length, nameof(SamplingOptions.LogitBias));
        if (options.RepetitionPenalty == 1)
            return;
        foreach (int token in prompt)
            _seen.Add(token);
    }

    /// <summary>Scores after all stages, [V], of the last <see cref="Choose"/>. With temperature 0 the temperature and what follows it are left out.</summary>
    internal ReadOnlySpan<float> Scores => _scratch.Scores;

    /// <summary>Ids that could be drawn in the last <see cref="Choose"/>.</summary>
    internal ReadOnlySpan<int> Kept => _scratch.Kept.AsSpan(0, KeptCount);

    private int KeptCount { get; set; }

    /// <summary>Chooses the token for a position and remembers it for the penalties.</summary>
    /// <param name="logits">[V]. Unchanged.</param>
    /// <param name="position">Position the token will have.</param>
    /// <param name="forbidden">Tokens that may not come.</param>
    /// <returns>The token with its log-probability under the model, before any stage.</returns>
    /// <exception cref="ArithmeticException">A logit is NaN.</exception>
    /// <exception cref="InvalidOperationException">The constraint or the bias forbids every token.</exception>
    public TokenLogprob Next(ReadOnlySpan<float> logits, long position, ReadOnlySpan<int> forbidden = default)
    {
        int token = Choose(logits, position, forbidden, [], wantKept: false);
        Accept(token);
        return new TokenLogprob(token, logits[token] - LogSumExp(logits));
    }

    /// <summary>Log-sum-exp of logits, by the function that the loss and the scorer use, so that log-probabilities agree in every bit.</summary>
    internal static unsafe float LogSumExp(ReadOnlySpan<float> logits)
    {
        float lse;
        fixed (float* row = logits)
            Softmax.LogSumExp(null, row, logits.Length, 1, logits.Length, &lse);
        return lse;
    }

    /// <summary>Log of the sum of <c>exp(score)</c> over the kept tokens of the last <see cref="Choose"/>, in fp64.</summary>
    internal double KeptLogSumExp()
    {
        float best = float.NegativeInfinity;
        foreach (int id in Kept)
            best = MathF.Max(best, Scores[id]);
        double sum = 0;
        foreach (int id in Kept)
            sum += Math.Exp((double)Scores[id] - best);
        return best + Math.Log(sum);
    }

    /// <summary>Chooses the token for a position; changes nothing that a later choice depends on.</summary>
    /// <param name="logits">[V]. Unchanged.</param>
    /// <param name="position">Position the token will have.</param>
    /// <param name="forbidden">Tokens that may not come.</param>
    /// <param name="ends">Stop tokens before the least length: they may come only where the constraint allows nothing else.</param>
    /// <param name="wantKept">Whether <see cref="Kept"/> is filled with temperature 0 too, where the choice does not need it.</param>
    internal int Choose(ReadOnlySpan<float> logits, long position, ReadOnlySpan<int> forbidden, ReadOnlySpan<int> ends, bool wantKept)
    {
        Span<float> scores = _scratch.Scores;
        int best = Prepare(logits, scores, forbidden, ends);
        if (float.IsNegativeInfinity(scores[best]) && _constraint is not null && !ends.IsEmpty)
            best = Prepare(logits, scores, forbidden, []); // The text is complete before the least length.
        if (float.IsNegativeInfinity(scores[best]))
            throw new InvalidOperationException("No token is allowed here: the constraint, the logit bias or the least length forbids every one.");
        if (_options.Temperature == 0)
        {
            KeptCount = wantKept ? TokenFilter.Keep(s_unfiltered, scores, scores[best], _scratch) : 0;
            return best;
        }

        if (_options.Temperature != 1)
        {
            // Relative to the best one, so that no temperature overflows above.
            float top = scores[best];
            for (int i = 0; i < scores.Length; i++)
                scores[i] = (scores[i] - top) / _options.Temperature;
        }

        KeptCount = TokenFilter.Keep(_options, scores, scores[best], _scratch);
        return Draw(scores, Kept, best, new KeyedNoise(_options.Seed, position));
    }

    /// <summary>Remembers a token that is final.</summary>
    internal void Accept(int token)
    {
        if (_options.RepetitionPenalty != 1)
            _seen.Add(token);
        if (_options.FrequencyPenalty != 0 || _options.PresencePenalty != 0)
            _generated[token] = _generated.GetValueOrDefault(token) + 1;
        _constraint?.Accept(token);
    }

    /// <summary><c>argmax(score + noise)</c> over the kept tokens. The normaliser is the same for all, so it orders like log p + noise.</summary>
    /// <remarks>Noise is bounded: what cannot win is not drawn.</remarks>
    internal static int Draw<TNoise>(ReadOnlySpan<float> scores, ReadOnlySpan<int> kept, int best, TNoise noise)
        where TNoise : struct, INoise
    {
        int chosen = best;
        double largest = scores[best] + noise.Of(best);
        foreach (int id in kept)
        {
            if (scores[id] + LargestNoise < largest || id == best)
                continue;
            double value = scores[id] + noise.Of(id);
            if (value > largest || (value == largest && id < chosen))
                (largest, chosen) = (value, id);
        }

        return chosen;
    }

    /// <summary>Gumbel noise of each token at one position.</summary>
    internal interface INoise
    {
        /// <summary>The noise of a token.</summary>
        double Of(int id);
    }

    private readonly struct KeyedNoise(ulong seed, long position) : INoise
    {
        public double Of(int id) => CounterRandom.Gumbel(seed, DrawPurpose.Sampling, position, (uint)id);
    }

    // Scores of the allowed tokens; the best one.
    private int Prepare(ReadOnlySpan<float> logits, Span<float> scores, ReadOnlySpan<int> forbidden, ReadOnlySpan<int> ends)
    {
        logits.CopyTo(scores);
        Penalise(scores);
        Mask(scores, forbidden, ends);
        return TopK.ArgMax(scores);
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

    private void Mask(Span<float> scores, ReadOnlySpan<int> forbidden, ReadOnlySpan<int> ends)
    {
        foreach ((int token, float bias) in _bias)
            scores[token] += bias;
        foreach (int token in forbidden)
            scores[token] = float.NegativeInfinity;
        foreach (int token in ends)
            scores[token] = float.NegativeInfinity;
        if (_constraint is null)
            return;
        ulong[] mask = _scratch.Mask;
        _constraint.Mask(mask);
        for (int word = 0; word < mask.Length; word++)
        {
            for (ulong left = ~mask[word]; left != 0; left &= left - 1)
            {
                int id = (word * 64) + System.Numerics.BitOperations.TrailingZeroCount(left);
                if (id >= scores.Length)
                    break;
                scores[id] = float.NegativeInfinity;
            }
        }
    }
}
