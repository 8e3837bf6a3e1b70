using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>Moves tokens to the rows of their experts and back, in both directions of differentiation.</summary>
/// <remarks>
/// Slots of a token are in ascending expert id, so "slots ascending" below is "experts ascending".
/// Combine: <c>y = +0; y = fma(w, out, y)</c> over the slots, then <c>y = y + shared</c>. Its backward: <c>dout = w * dy</c>, <c>dw = dy . out</c> (rule 3).
/// Backward of the gathering: <c>dx = +0; dx = dx + drow</c> over the slots. All split over the team by token or row, with disjoint outputs.
/// </remarks>
internal static unsafe partial class ExpertDispatch
{
    /// <summary>Copies each token's row to the rows of its experts.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="assignment">The sorted pairs.</param>
    /// <param name="dim">Row length, D.</param>
    /// <param name="x">Tokens, [T, D].</param>
    /// <param name="rows">Receives the gathered rows, [T * K, D].</param>
    public static void Gather(ThreadTeam team, in ExpertAssignment assignment, int dim, float* x, float* rows)
    {
        var state = new State(assignment, dim, null, x, null, null, rows, null);
        RowSplit.Run(team, assignment.Rows, dim, &GatherRows, &state);
    }

    /// <summary>Adds each token's expert outputs, weighted, and the shared expert.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="assignment">The sorted pairs.</param>
    /// <param name="dim">Row length, D.</param>
    /// <param name="weights">Router weights, [T, K].</param>
    /// <param name="outputs">Expert outputs by row, [T * K, D].</param>
    /// <param name="shared">Output of the shared expert, [T, D], or null.</param>
    /// <param name="y">Receives the sum, [T, D]; may alias <paramref name="shared"/>.</param>
    public static void Combine(ThreadTeam team, in ExpertAssignment assignment, int dim, float* weights, float* outputs, float* shared, float* y)
    {
        var state = new State(assignment, dim, weights, outputs, shared, null, y, null);
        RowSplit.Run(team, assignment.Tokens, (long)dim * assignment.Chosen, &CombineShare, &state);
    }

    /// <summary>Backward pass of <see cref="Combine"/>; the gradient of the shared output is <paramref name="dy"/> itself.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="assignment">The sorted pairs.</param>
    /// <param name="dim">Row length, D.</param>
    /// <param name="weights">Router weights, [T, K].</param>
    /// <param name="outputs">Expert outputs by row, [T * K, D].</param>
    /// <param name="dy">Gradient of y, [T, D].</param>
    /// <param name="doutputs">Receives the gradient of the outputs by row, [T * K, D]; may alias <paramref name="outputs"/>.</param>
    /// <param name="dweights">Receives the gradient of the weights, [T, K].</param>
    public static void CombineBackward(
        ThreadTeam team, in ExpertAssignment assignment, int dim, float* weights, float* outputs, float* dy, float* doutputs, float* dweights)
    {
        var state = new State(assignment, dim, weights, outputs, null, dy, doutputs, dweights);
        RowSplit.Run(team, assignment.Rows, 2L * dim, &CombineBackwardShare, &state);
    }

    /// <summary>Backward pass of <see cref="Gather"/>: adds the gradients of a token's rows.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="assignment">The sorted pairs.</param>
    /// <param name="dim">Row length, D.</param>
    /// <param name="drows">Gradients of the gathered rows, [T * K, D].</param>
    /// <param name="dx">Receives the gradient of the tokens, [T, D], overwritten.</param>
    public static void GatherBackward(ThreadTeam team, in ExpertAssignment assignment, int dim, float* drows, float* dx)
    {
        var state = new State(assignment, dim, null, drows, null, null, dx, null);
        RowSplit.Run(team, assignment.Tokens, (long)dim * assignment.Chosen, &GatherBackwardShare, &state);
    }

    private static void GatherRows(State* state, int from, int to)
    {
        for (int row = from; row < to; row++)
        {
            float* source = state->Input + (long)state->Assignment.TokenOfRow[row] * state->Dim;
            Unsafe.CopyBlockUnaligned(state->Output + (long)row * state->Dim, source, (uint)(state->Dim * sizeof(float)));
        }
    }

    private static void CombineShare(State* state, int from, int to)
    {
        switch (Simd.Level)
        {
            case SimdLevel.Avx512:
                CombineTokens<Avx512Isa, Vector512<float>>(state, from, to);
                break;
            case SimdLevel.Avx2:
                CombineTokens<Avx2Isa, Vector256<float>>(state, from, to);
                break;
            default:
                CombineTokens<PortableIsa, Vector128<float>>(state, from, to);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CombineTokens<I, V>(State* state, int from, int to)
        where I : struct, IVectorIsa<V>
        where V : struct
    {
        int dim = state->Dim, chosen = state->Assignment.Chosen;
        for (int t = from; t < to; t++)
        {
            float* weights = state->Weights + (long)t * chosen;
            int* rows = state->Assignment.RowOfSlot + (long)t * chosen;
            float* shared = state->Shared == null ? null : state->Shared + (long)t * dim;
            float* y = state->Output + (long)t * dim;
            int d = 0;
            for (; d + 2 * I.Lanes <= dim; d += 2 * I.Lanes)
            {
                V first = I.Zero, second = I.Zero;
                for (int slot = 0; slot < chosen; slot++)
                {
                    float* output = state->Input + (long)rows[slot] * dim + d;
                    V weight = I.Broadcast(weights[slot]);
                    first = I.Fma(weight, I.Load(output), first);
                    second = I.Fma(weight, I.Load(output + I.Lanes), second);
                }

                I.Store(shared == null ? first : I.Add(first, I.Load(shared + d)), y + d);
                I.Store(shared == null ? second : I.Add(second, I.Load(shared + d + I.Lanes)), y + d + I.Lanes);
            }

            for (; d < dim; d++)
            {
                float sum = 0f;
                for (int slot = 0; slot < chosen; slot++)
                    sum = MathF.FusedMultiplyAdd(weights[slot], state->Input[(long)rows[slot] * dim + d], sum);
                y[d] = shared == null ? sum : sum + shared[d];
            }
        }
    }

    private static void CombineBackwardShare(State* state, int from, int to)
    {
        switch (Simd.Level)
        {
            case SimdLevel.Avx512:
                CombineBackwardRows<Avx512Isa, Vector512<float>>(state, from, to);
                break;
            case SimdLevel.Avx2:
                CombineBackwardRows<Avx2Isa, Vector256<float>>(state, from, to);
                break;
            default:
                CombineBackwardRows<PortableIsa, Vector128<float>>(state, from, to);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CombineBackwardRows<I, V>(State* state, int from, int to)
        where I : struct, IVectorIsa<V>
        where V : struct
    {
        int dim = state->Dim;
        for (int row = from; row < to; row++)
        {
            int token = state->Assignment.TokenOfRow[row];
            long i = (long)token * state->Assignment.Chosen + state->Assignment.SlotOfRow[row];
            float* dy = state->Gradient + (long)token * dim;
            float* output = state->Input + (long)row * dim;
            float* doutput = state->Output + (long)row * dim;
            state->Dweights[i] = LaneSum.OfProducts<I, V>(dy, output, dim);
            float weight = state->Weights[i];
            int d = 0;
            for (; d + I.Lanes <= dim; d += I.Lanes)
                I.Store(I.Multiply(I.Broadcast(weight), I.Load(dy + d)), doutput + d);
            for (; d < dim; d++)
                doutput[d] = weight * dy[d];
        }
    }

    private static void GatherBackwardShare(State* state, int from, int to)
    {
        switch (Simd.Level)
        {
            case SimdLevel.Avx512:
                GatherBackwardTokens<Avx512Isa, Vector512<float>>(state, from, to);
                break;
            case SimdLevel.Avx2:
                GatherBackwardTokens<Avx2Isa, Vector256<float>>(state, from, to);
                break;
            default:
                GatherBackwardTokens<PortableIsa, Vector128<float>>(state, from, to);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void GatherBackwardTokens<I, V>(State* state, int from, int to)
        where I : struct, IVectorIsa<V>
        where V : struct
    {
        int dim = state->Dim, chosen = state->Assignment.Chosen;
        for (int t = from; t < to; t++)
        {
            int* rows = state->Assignment.RowOfSlot + (long)t * chosen;
            float* dx = state->Output + (long)t * dim;
            int d = 0;
            for (; d + I.Lanes <= dim; d += I.Lanes)
            {
                V sum = I.Zero;
                for (int slot = 0; slot < chosen; slot++)
                    sum = I.Add(sum, I.Load(state->Input + (long)rows[slot] * dim + d));
                I.Store(sum, dx + d);
            }

            for (; d < dim; d++)
            {
                float sum = 0f;
                for (int slot = 0; slot < chosen; slot++)
                    sum += state->Input[(long)rows[slot] * dim + d];
                dx[d] = sum;
            }
        }
    }

    private readonly struct State(
        ExpertAssignment assignment, int dim, float* weights, float* input, float* shared, float* gradient, float* output, float* dweights)
    {
        public readonly ExpertAssignment Assignment = assignment;
        public readonly int Dim = dim;
        public readonly float* Weights = weights;
        public readonly float* Input = input;
        public readonly float* Shared = shared;
        public readonly float* Gradient = gradient;
        public readonly float* Output = output;
        public readonly float* Dweights = dweights;
    }
}
