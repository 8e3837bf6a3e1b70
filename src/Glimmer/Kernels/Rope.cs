using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>Which elements of the rotated part of a head form a pair.</summary>
internal enum RopePairing
{
    /// <summary>Element i with i + dim / 2 (glm4_moe).</summary>
    HalfSplit,

    /// <summary>Element 2i with 2i + 1 (MLA, indexer).</summary>
    Interleaved,
}

/// <summary>Rotary position embedding, in place.</summary>
/// <remarks>
/// A pair (a, b) becomes <c>a' = fma(a, cos, -(b * sin))</c>, <c>b' = fma(b, cos, a * sin)</c>. The backward pass rotates the gradient by the negative
/// angle. Only the table's <see cref="RopeTable.Dim"/> elements from the given pointer on are touched, so a partial rotation passes the
/// pointer to its first element.
/// </remarks>
internal static unsafe partial class Rope
{
    /// <summary>Rotates the heads of every token, split over the team by token.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="table">Angles; must have rows for all positions.</param>
    /// <param name="positions">Position of each token, [T].</param>
    /// <param name="tokens">Tokens, T.</param>
    /// <param name="x">First rotated element of token 0, head 0.</param>
    /// <param name="tokenStride">Floats from one token to the next.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="headStride">Floats from one head to the next.</param>
    /// <param name="pairing">Which elements form a pair.</param>
    /// <param name="inverse">Whether to rotate by the negative angle: the backward pass.</param>
    /// <exception cref="ArgumentOutOfRangeException">A position has no row in the table.</exception>
    public static void Apply(
        ThreadTeam team, RopeTable table, int* positions, int tokens,
        float* x, int tokenStride, int heads, int headStride, RopePairing pairing, bool inverse = false)
    {
        if (tokens == 0)
            return;
        for (int t = 0; t < tokens; t++)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(positions[t]);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(positions[t], table.Positions);
        }

        var state = new State(table.Cos(0), table.Dim, positions, x, tokenStride, heads, headStride, pairing, inverse);
        RowSplit.Run(team, tokens, (long)heads * table.Dim, &RotateTokens, &state);
    }

    private static void RotateTokens(State* state, int from, int to)
    {
        // Cosines and signed sines spread over the pair, [2, dim].
        float* spread = stackalloc float[2 * state->Dim];
        for (int t = from; t < to; t++)
        {
            float* cos = state->Rows + (long)state->Positions[t] * state->Dim;
            Spread(cos, cos + state->Dim / 2, state->Dim, state->Pairing, state->Inverse, spread);
            float* x = state->X + (long)t * state->TokenStride;
            switch (Simd.Level)
            {
                case SimdLevel.Avx512:
                    RotateHeads<Avx512Isa, Vector512<float>>(x, state->Heads, state->HeadStride, state->Dim, state->Pairing, spread);
                    break;
                case SimdLevel.Avx2:
                    RotateHeads<Avx2Isa, Vector256<float>>(x, state->Heads, state->HeadStride, state->Dim, state->Pairing, spread);
                    break;
                default:
                    RotateHeads<PortableIsa, Vector128<float>>(x, state->Heads, state->HeadStride, state->Dim, state->Pairing, spread);
                    break;
            }
        }
    }

    // x'[i] = fma(x[i], c[i], x[partner of i] * s[i]) with s = -sin for the first of a pair: negation is exact, so these are the roundings of the definition.
    private static void Spread(float* cos, float* sin, int dim, RopePairing pairing, bool inverse, float* spread)
    {
        float* c = spread, s = spread + dim;
        for (int i = 0; i < dim / 2; i++)
        {
            int first = pairing == RopePairing.HalfSplit ? i : 2 * i;
            int second = first + (pairing == RopePairing.HalfSplit ? dim / 2 : 1);
            c[first] = c[second] = cos[i];
            s[first] = inverse ? sin[i] : -sin[i];
            s[second] = -s[first];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RotateHeads<I, V>(float* x, int heads, int headStride, int dim, RopePairing pairing, float* spread)
        where I : struct, IVectorIsa<V>
        where V : struct
    {
        float* c = spread, s = spread + dim;
        int half = dim / 2;
        for (int h = 0; h < heads; h++, x += headStride)
        {
            int i = 0;
            if (pairing == RopePairing.HalfSplit)
            {
                for (; i + I.Lanes <= half; i += I.Lanes)
                {
                    V a = I.Load(x + i), b = I.Load(x + half + i);
                    I.Store(I.Fma(a, I.Load(c + i), I.Multiply(b, I.Load(s + i))), x + i);
                    I.Store(I.Fma(b, I.Load(c + half + i), I.Multiply(a, I.Load(s + half + i))), x + half + i);
                }

                for (; i < half; i++)
                    RotatePair(x, i, half + i, c, s);
                continue;
            }

            for (; i + I.Lanes <= dim; i += I.Lanes)
            {
                V v = I.Load(x + i);
                I.Store(I.Fma(v, I.Load(c + i), I.Multiply(I.SwapPairs(v), I.Load(s + i))), x + i);
            }

            for (; i < dim; i += 2)
                RotatePair(x, i, i + 1, c, s);
        }
    }

    private static void RotatePair(float* x, int first, int second, float* c, float* s)
    {
        float a = x[first], b = x[second];
        x[first] = MathF.FusedMultiplyAdd(a, c[first], b * s[first]);
        x[second] = MathF.FusedMultiplyAdd(b, c[second], a * s[second]);
    }

    private readonly struct State(
        float* rows, int dim, int* positions, float* x, int tokenStride, int heads, int headStride, RopePairing pairing, bool inverse)
    {
        public readonly float* Rows = rows;
        public readonly int Dim = dim;
        public readonly int* Positions = positions;
        public readonly float* X = x;
        public readonly int TokenStride = tokenStride;
        public readonly int Heads = heads;
        public readonly int HeadStride = headStride;
        public readonly RopePairing Pairing = pairing;
        public readonly bool Inverse = inverse;
    }
}
