using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>Softmax and log-sum-exp of rows.</summary>
internal static unsafe partial class Softmax
{
    /// <summary>Entries of a chunk of <see cref="LogSumExp"/>: rule 8 of docs/adr/0001.</summary>
    public const int Chunk = 4096;

    /// <summary><c>y[i] = exp(x[i] - max(x)) * (1 / sum_j exp(x[j] - max(x)))</c>, row by row.</summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="x">Input [rows, columns], rows <paramref name="ldx"/> floats apart; at least one finite entry a row, else the row is NaN.</param>
    /// <param name="ldx">Distance of the rows of <paramref name="x"/>.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Entries of a row.</param>
    /// <param name="y">Output, rows <paramref name="ldy"/> floats apart. May be <paramref name="x"/>.</param>
    /// <param name="ldy">Distance of the rows of <paramref name="y"/>.</param>
    /// <remarks>The sum runs in 32 lanes (rule 3).</remarks>
    public static void Forward(ThreadTeam? team, float* x, int ldx, int rows, int columns, float* y, int ldy)
    {
        var args = new Arguments { X = x, LdX = ldx, Columns = columns, Y = y, LdY = ldy };
        RowSplit.Run(team, rows, columns, Simd.Level switch
        {
            SimdLevel.Avx512 => &Rows<Lanes512>,
            SimdLevel.Avx2 => &Rows<Lanes256>,
            _ => &Rows<Lanes128>,
        }, &args);
    }

    /// <summary><c>lse = log(sum_i exp(x[i]))</c> of each row: the function that the loss, the sampler and scoring share.</summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="x">Input [rows, columns], rows <paramref name="ldx"/> floats apart.</param>
    /// <param name="ldx">Distance of the rows of <paramref name="x"/>.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Entries of a row.</param>
    /// <param name="lse">Output, [rows].</param>
    /// <remarks>
    /// Chunks of 4,096 entries have their own maximum and their own sum in 32 lanes and are merged in ascending order; chunks of negative infinities only are
    /// skipped, and a row of nothing else gives negative infinity.
    /// </remarks>
    public static void LogSumExp(ThreadTeam? team, float* x, int ldx, int rows, int columns, float* lse)
    {
        var args = new Arguments { X = x, LdX = ldx, Columns = columns, Y = lse };
        RowSplit.Run(team, rows, columns, Simd.Level switch
        {
            SimdLevel.Avx512 => &LogSumExpRows<Lanes512>,
            SimdLevel.Avx2 => &LogSumExpRows<Lanes256>,
            _ => &LogSumExpRows<Lanes128>,
        }, &args);
    }

    /// <summary>The log-sum-exp of one row, on the calling thread.</summary>
    public static float LogSumExp<TLanes>(float* x, int columns)
        where TLanes : struct, ILanes<TLanes> => LogSumExp<TLanes>(x, columns, out _);

    /// <summary>The log-sum-exp of one row and what its last rounding lost: <c>lse + rest</c> is the better value.</summary>
    public static float LogSumExp<TLanes>(float* x, int columns, out float rest)
        where TLanes : struct, ILanes<TLanes>
    {
        float max = float.NegativeInfinity, sum = 0;
        for (int first = 0; first < columns; first += Chunk)
        {
            int count = Math.Min(Chunk, columns - first);
            float m = Largest<TLanes>(x + first, count);
            if (m == float.NegativeInfinity)
                continue;
            float l = SumOfExp<TLanes>(x + first, count, m, null);
            (max, sum) = Merge(max, sum, m, l);
        }

        float log = VectorMath.Log(sum), lse = max + log;
        rest = Lost(max, log, lse);
        return lse;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows<TLanes>(Arguments* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        int columns = args->Columns;
        for (int row = first; row < end; row++)
        {
            float* x = args->X + row * (long)args->LdX;
            float* y = args->Y + row * (long)args->LdY;
            float max = Largest<TLanes>(x, columns);
            float scale = 1 / SumOfExp<TLanes>(x, columns, max, y);
            TLanes scales = TLanes.Broadcast(scale);
            int i = 0;
            for (; i + Lanes.Count <= columns; i += Lanes.Count)
                TLanes.Store(TLanes.Load(y + i) * scales, y + i);
            for (; i < columns; i++)
                y[i] *= scale;
        }
    }

    private static void LogSumExpRows<TLanes>(Arguments* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        for (int row = first; row < end; row++)
            args->Y[row] = LogSumExp<TLanes>(args->X + row * (long)args->LdX, args->Columns);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Largest<TLanes>(float* x, int count)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes max = TLanes.Broadcast(float.NegativeInfinity);
        int i = 0;
        for (; i + Lanes.Count <= count; i += Lanes.Count)
            max = TLanes.Max(max, TLanes.Load(x + i));
        if (i < count)
            max = TLanes.Max(max, TLanes.KeepFirst(TLanes.LoadFirst(x + i, count - i), count - i, float.NegativeInfinity));
        return TLanes.Largest(max);
    }

    // The sum of exp(x - max); the terms are stored where output is given.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float SumOfExp<TLanes>(float* x, int count, float max, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes maxima = TLanes.Broadcast(max), sum = TLanes.Broadcast(0);
        int i = 0;
        if (output == null)
        {
            for (; i + Lanes.Count <= count; i += Lanes.Count)
                sum += TLanes.Exp(TLanes.Load(x + i) - maxima);
        }
        else
        {
            for (; i + Lanes.Count <= count; i += Lanes.Count)
            {
                TLanes term = TLanes.Exp(TLanes.Load(x + i) - maxima);
                TLanes.Store(term, output + i);
                sum += term;
            }
        }

        if (i < count)
        {
            TLanes term = TLanes.Exp(TLanes.LoadFirst(x + i, count - i) - maxima);
            if (output != null)
                TLanes.StoreFirst(term, output + i, count - i);
            sum += TLanes.KeepFirst(term, count - i, 0);
        }

        return TLanes.Sum(sum);
    }

    private struct Arguments
    {
        public float* X;
        public int LdX;
        public int Columns;
        public float* Y;
        public int LdY;
    }
}
