using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>Sizes and options of a router.</summary>
/// <param name="Experts">Routed experts, E.</param>
/// <param name="Chosen">Experts per token, K; <c>num_experts_per_tok</c>.</param>
/// <param name="Groups">Groups of neighbouring experts; <c>n_group</c>.</param>
/// <param name="ChosenGroups">Groups that stay in the choice; <c>topk_group</c>.</param>
/// <param name="Normalise">Whether weights are divided by their sum + 1e-20; <c>norm_topk_prob</c>.</param>
/// <param name="Scale">Factor of the weights; <c>routed_scaling_factor</c>.</param>
internal readonly record struct RouterShape(int Experts, int Chosen, int Groups, int ChosenGroups, bool Normalise, float Scale)
{
    /// <summary>Scores of one token live on the stack, so there is a limit; the largest models have a few hundred.</summary>
    public const int MostExperts = 8192;

    /// <summary>Throws when the sizes do not fit together.</summary>
    public void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Experts, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Experts, MostExperts);
        ArgumentOutOfRangeException.ThrowIfLessThan(Chosen, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Groups, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(ChosenGroups, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ChosenGroups, Groups);
        if (Experts % Groups != 0)
            throw new ArgumentOutOfRangeException(nameof(Groups), Groups, $"{Experts} experts do not form {Groups} groups of equal size.");
        if (Chosen > Experts / Groups * ChosenGroups)
            throw new ArgumentOutOfRangeException(
                nameof(Chosen), Chosen, $"{Chosen} experts cannot be chosen from {ChosenGroups} groups of {Experts / Groups}.");
    }
}

/// <summary>The router of a mixture-of-experts layer: sigmoid scores, choice by biased score, weights by raw score.</summary>
/// <remarks>
/// All in fp32. <c>s = sigmoid(logit)</c>; <c>b = s + bias</c> (one rounding). A group's score is the sum of its two largest b; experts outside the best
/// groups get -infinity. The K largest b are chosen (<see cref="TopK"/>), ids ascending. <c>w = s / (sum + 1e-20) * scale</c>: the sum is a chain of adds
/// over the chosen experts in ascending id from +0, then one rounding for each of the addition, the division and the product (without
/// normalisation <c>w = s * scale</c>).
/// Backward, with Z = sum + 1e-20: <c>c = chain fma(dw, s, c)</c>, <c>ds = (scale / Z) * (dw - c / Z)</c>, <c>dlogit = ds * s * (1 - s)</c> from left to right;
/// the choice and the bias have no gradient. transformers <c>Glm4MoeTopkRouter</c>.
/// </remarks>
internal static unsafe partial class Router
{
    private const float NormaliserEpsilon = 1e-20f;

    // A sigmoid and a choice cost about this many plain elements.
    private const int ForwardWork = 4;

    /// <summary>Chooses experts and weights for every token, split over the team by token.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="shape">Sizes and options.</param>
    /// <param name="logits">Logits, [T, E].</param>
    /// <param name="bias">Correction bias of the choice, [E], or null for none.</param>
    /// <param name="tokens">Tokens, T.</param>
    /// <param name="ids">Receives the chosen experts, ascending, [T, K].</param>
    /// <param name="weights">Receives their weights, [T, K].</param>
    /// <param name="scores">Receives the sigmoid scores, [T, E]; null when nobody needs them.</param>
    /// <exception cref="ArithmeticException">A logit is NaN.</exception>
    public static void Forward(ThreadTeam team, in RouterShape shape, float* logits, float* bias, int tokens, int* ids, float* weights, float* scores = null)
    {
        shape.Check();
        var state = new ForwardState(shape, logits, bias, ids, weights, scores);
        RowSplit.Run(team, tokens, ForwardWork * shape.Experts, &ForwardTokens, &state);
    }

    /// <summary>Gradient of the logits, split over the team by token.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="shape">Sizes and options.</param>
    /// <param name="logits">Logits of the forward pass, [T, E].</param>
    /// <param name="ids">Chosen experts, [T, K].</param>
    /// <param name="dweights">Gradient of the weights, [T, K].</param>
    /// <param name="tokens">Tokens, T.</param>
    /// <param name="dlogits">Receives the gradient, [T, E], overwritten.</param>
    public static void Backward(ThreadTeam team, in RouterShape shape, float* logits, int* ids, float* dweights, int tokens, float* dlogits)
    {
        shape.Check();
        var state = new BackwardState(shape, logits, ids, dweights, dlogits);
        RowSplit.Run(team, tokens, shape.Experts, &BackwardTokens, &state);
    }

    private static void ForwardTokens(ForwardState* state, int from, int to)
    {
        // Biased scores, scores nobody wants, group scores, chosen groups.
        int experts = state->Shape.Experts;
        float* scratch = stackalloc float[2 * experts + state->Shape.Groups + state->Shape.ChosenGroups];
        for (int t = from; t < to; t++)
        {
            float* scores = state->Scores == null ? scratch + experts : state->Scores + (long)t * experts;
            float* logits = state->Logits + (long)t * experts;
            switch (Simd.Level)
            {
                case SimdLevel.Avx512:
                    Score<Avx512Isa, Vector512<float>>(logits, state->Bias, experts, scores, scratch);
                    break;
                case SimdLevel.Avx2:
                    Score<Avx2Isa, Vector256<float>>(logits, state->Bias, experts, scores, scratch);
                    break;
                default:
                    Score<PortableIsa, Vector128<float>>(logits, state->Bias, experts, scores, scratch);
                    break;
            }

            Choose(state->Shape, t, scores, scratch, scratch + 2 * experts, state->Ids + (long)t * state->Shape.Chosen,
                state->Weights + (long)t * state->Shape.Chosen);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Score<I, V>(float* logits, float* bias, int experts, float* scores, float* biased)
        where I : struct, IVectorIsa<V>
        where V : struct
    {
        V one = I.Broadcast(1f);
        int e = 0;
        for (; e + I.Lanes <= experts; e += I.Lanes)
        {
            V s = I.Divide(one, I.Add(one, I.Exp(I.Negate(I.Load(logits + e)))));
            I.Store(s, scores + e);
            I.Store(bias == null ? s : I.Add(s, I.Load(bias + e)), biased + e);
        }

        for (; e < experts; e++)
        {
            scores[e] = VectorMath.Sigmoid(logits[e]);
            biased[e] = bias == null ? scores[e] : scores[e] + bias[e];
        }
    }

    private static void Choose(in RouterShape shape, int token, float* scores, float* biased, float* groupScores, int* ids, float* weights)
    {
        try
        {
            if (shape.ChosenGroups < shape.Groups)
                LimitGroups(shape, biased, groupScores);
            TopK.Select(new ReadOnlySpan<float>(biased, shape.Experts), new Span<int>(ids, shape.Chosen));
        }
        catch (ArithmeticException error)
        {
            throw new ArithmeticException($"The router of token {token} of the batch cannot choose: {error.Message}", error);
        }

        float sum = 0f;
        for (int i = 0; i < shape.Chosen; i++)
            sum += scores[ids[i]];
        float normaliser = sum + NormaliserEpsilon;
        for (int i = 0; i < shape.Chosen; i++)
            weights[i] = (shape.Normalise ? scores[ids[i]] / normaliser : scores[ids[i]]) * shape.Scale;
    }

    private static void LimitGroups(in RouterShape shape, float* biased, float* groupScores)
    {
        int size = shape.Experts / shape.Groups;
        for (int g = 0; g < shape.Groups; g++)
        {
            float first = float.NegativeInfinity, second = float.NegativeInfinity;
            for (int i = g * size; i < (g + 1) * size; i++)
            {
                float value = biased[i];
                if (float.IsNaN(value))
                    throw new ArithmeticException($"The biased score of expert {i} is NaN. The weights or the activations before it are broken.");
                if (value > first)
                    (first, second) = (value, first);
                else if (value > second)
                    second = value;
            }

            groupScores[g] = size == 1 ? first : first + second;
        }

        int* chosen = (int*)(groupScores + shape.Groups);
        TopK.Select(new ReadOnlySpan<float>(groupScores, shape.Groups), new Span<int>(chosen, shape.ChosenGroups));
        int next = 0;
        for (int g = 0; g < shape.Groups; g++)
        {
            if (next < shape.ChosenGroups && chosen[next] == g)
                next++;
            else
                new Span<float>(biased + g * size, size).Fill(float.NegativeInfinity);
        }
    }

    private static void BackwardTokens(BackwardState* state, int from, int to)
    {
        RouterShape shape = state->Shape;
        for (int t = from; t < to; t++)
        {
            BackwardScalar(
                shape,
                state->Logits + (long)t * shape.Experts,
                state->Ids + (long)t * shape.Chosen,
                state->Dweights + (long)t * shape.Chosen,
                state->Dlogits + (long)t * shape.Experts);
        }
    }

    private readonly struct ForwardState(
        RouterShape shape, float* logits, float* bias, int* ids, float* weights, float* scores)
    {
        public readonly RouterShape Shape = shape;
        public readonly float* Logits = logits;
        public readonly float* Bias = bias;
        public readonly int* Ids = ids;
        public readonly float* Weights = weights;
        public readonly float* Scores = scores;
    }

    private readonly struct BackwardState(RouterShape shape, float* logits, int* ids, float* dweights, float* dlogits)
    {
        public readonly RouterShape Shape = shape;
        public readonly float* Logits = logits;
        public readonly int* Ids = ids;
        public readonly float* Dweights = dweights;
        public readonly float* Dlogits = dlogits;
    }
}
