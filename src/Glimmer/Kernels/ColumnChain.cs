using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>Chains over the rows of a matrix, one a column: gradients of gains and biases (rule 9 of docs/adr/0001).</summary>
/// <remarks>
/// <c>output[i] = fma(a[t, i], f(x[t, i]), output[i])</c> with <c>f = x * r[t]</c>, or <c>(x - mean[t]) * r[t]</c> where means are given; without x
/// <c>output[i] = output[i] + a[t, i]</c>. Threads share the columns.
/// </remarks>
internal unsafe struct ColumnChain
{
    public float* A;
    public int LdA;
    public float* X;
    public int LdX;
    public float* Inverse;
    public float* Mean;
    public int Rows;
    public int Columns;
    public float* Output;
    public GradientMode Mode;

    /// <summary>Runs the chains, groups of 32 columns shared among the threads.</summary>
    public static void Run(ThreadTeam? team, ColumnChain args)
    {
        int groups = (args.Columns + Lanes.Count - 1) / Lanes.Count;
        RowSplit.Run(team, groups, (long)Lanes.Count * args.Rows, Simd.Level switch
        {
            SimdLevel.Avx512 => &Groups<Lanes512>,
            SimdLevel.Avx2 => &Groups<Lanes256>,
            _ => &Groups<Lanes128>,
        }, &args);
    }

    // A group is read row by row: 128 bytes of each row, which the hardware prefetcher follows.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Groups<TLanes>(ColumnChain* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        for (int group = first; group < end; group++)
        {
            int column = group * Lanes.Count, count = Math.Min(Lanes.Count, args->Columns - column);
            float* output = args->Output + column;
            TLanes before = Load<TLanes>(output, count);
            TLanes sum = args->Mode == GradientMode.Continue ? before : TLanes.Broadcast(0);
            for (int t = 0; t < args->Rows; t++)
            {
                TLanes a = Load<TLanes>(args->A + t * (long)args->LdA + column, count);
                if (args->X == null)
                {
                    sum += a;
                    continue;
                }

                TLanes x = Load<TLanes>(args->X + t * (long)args->LdX + column, count);
                if (args->Mean != null)
                    x -= TLanes.Broadcast(args->Mean[t]);
                sum = TLanes.FusedMultiplyAdd(a, x * TLanes.Broadcast(args->Inverse[t]), sum);
            }

            if (args->Mode == GradientMode.AddTo)
                sum = before + sum;
            if (count == Lanes.Count)
                TLanes.Store(sum, output);
            else
                TLanes.StoreFirst(sum, output, count);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Load<TLanes>(float* source, int count)
        where TLanes : struct, ILanes<TLanes> => count == Lanes.Count ? TLanes.Load(source) : TLanes.LoadFirst(source, count);
}
