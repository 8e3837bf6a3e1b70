using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>The loss of next-token prediction on given logits, forward and backward.</summary>
/// <remarks>
/// A row whose target is negative is skipped: loss and log-sum-exp 0, gradient 0. The log-sum-exp is <see cref="Softmax"/>'s (rule 8 of docs/adr/0001).
/// </remarks>
internal static unsafe partial class CrossEntropy
{
    /// <summary><c>loss[t] = lse[t] - logits[t, target[t]]</c>, the negative of <c>log p = logit - lse</c>.</summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="logits">[rows, vocabulary], rows <paramref name="ld"/> floats apart.</param>
    /// <param name="ld">Distance of the rows of <paramref name="logits"/>.</param>
    /// <param name="targets">Token of each row, below <paramref name="vocabulary"/>; negative to skip the row.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="vocabulary">Entries of a row.</param>
    /// <param name="loss">Output, [rows].</param>
    /// <param name="lse">Output for the backward pass, [rows].</param>
    /// <param name="rest">Output for the backward pass: what the rounding of <paramref name="lse"/> lost, [rows].</param>
    /// <exception cref="ArgumentOutOfRangeException">A target is not in the vocabulary.</exception>
    public static void Forward(ThreadTeam? team, float* logits, int ld, int* targets, int rows, int vocabulary, float* loss, float* lse, float* rest)
    {
        RequireTargets(targets, rows, vocabulary);
        var args = new Arguments { Logits = logits, Ld = ld, Targets = targets, Vocabulary = vocabulary, Loss = loss, Lse = lse, Rest = rest };
        RowSplit.Run(team, rows, vocabulary, Simd.Level switch
        {
            SimdLevel.Avx512 => &ForwardRows<Lanes512>,
            SimdLevel.Avx2 => &ForwardRows<Lanes256>,
            _ => &ForwardRows<Lanes128>,
        }, &args);
    }

    /// <summary><c>logits[t, i] = (exp((logits[t, i] - lse[t]) - rest[t]) - [i = target[t]]) * scale[t]</c>: the gradient replaces the logits.</summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="logits">Logits, then their gradient: [rows, vocabulary], rows <paramref name="ld"/> floats apart.</param>
    /// <param name="ld">Distance of the rows of <paramref name="logits"/>.</param>
    /// <param name="targets">Token of each row; negative to skip the row.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="vocabulary">Entries of a row.</param>
    /// <param name="lse">Log-sum-exp of the forward pass, [rows].</param>
    /// <param name="rest">What its rounding lost, [rows]. With logits in the hundreds it is 1e-5 and would be a relative error of every probability.</param>
    /// <param name="scale">Gradient of each row's loss, [rows].</param>
    /// <exception cref="ArgumentOutOfRangeException">A target is not in the vocabulary.</exception>
    public static void Backward(ThreadTeam? team, float* logits, int ld, int* targets, int rows, int vocabulary, float* lse, float* rest, float* scale)
    {
        RequireTargets(targets, rows, vocabulary);
        var args = new Arguments { Logits = logits, Ld = ld, Targets = targets, Vocabulary = vocabulary, Lse = lse, Rest = rest, Scale = scale };
        RowSplit.Run(team, rows, vocabulary, Simd.Level switch
        {
            SimdLevel.Avx512 => &BackwardRows<Lanes512>,
            SimdLevel.Avx2 => &BackwardRows<Lanes256>,
            _ => &BackwardRows<Lanes128>,
        }, &args);
    }

    private static void RequireTargets(int* targets, int rows, int vocabulary)
    {
        for (int t = 0; t < rows; t++)
        {
            if (targets[t] >= vocabulary)
                throw new ArgumentOutOfRangeException(nameof(targets), $"The target of row {t} is {targets[t]}, but the vocabulary has {vocabulary} tokens.");
        }
    }

    private static void ForwardRows<TLanes>(Arguments* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        for (int row = first; row < end; row++)
        {
            float* logits = args->Logits + row * (long)args->Ld;
            int target = args->Targets[row];
            float rest = 0, lse = target < 0 ? 0 : Softmax.LogSumExp<TLanes>(logits, args->Vocabulary, out rest);
            args->Lse[row] = lse;
            args->Rest[row] = rest;
            args->Loss[row] = target < 0 ? 0 : lse - logits[target];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BackwardRows<TLanes>(Arguments* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        int vocabulary = args->Vocabulary;
        for (int row = first; row < end; row++)
        {
            float* logits = args->Logits + row * (long)args->Ld;
            int target = args->Targets[row];
            if (target < 0)
            {
                new Span<float>(logits, vocabulary).Clear();
                continue;
            }

            float lse = args->Lse[row], rest = args->Rest[row], scale = args->Scale[row];
            float atTarget = (VectorMath.Exp(logits[target] - lse - rest) - 1) * scale;
            TLanes lses = TLanes.Broadcast(lse), rests = TLanes.Broadcast(rest), scales = TLanes.Broadcast(scale);
            int i = 0;
            for (; i + Lanes.Count <= vocabulary; i += Lanes.Count)
                TLanes.Store(TLanes.Exp(TLanes.Load(logits + i) - lses - rests) * scales, logits + i);
            for (; i < vocabulary; i++)
                logits[i] = VectorMath.Exp(logits[i] - lse - rest) * scale;
            logits[target] = atTarget;
        }
    }

    private struct Arguments
    {
        public float* Logits;
        public int Ld;
        public int* Targets;
        public int Vocabulary;
        public float* Loss;
        public float* Lse;
        public float* Rest;
        public float* Scale;
    }
}
