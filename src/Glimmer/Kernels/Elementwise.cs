using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>Additions of whole arrays, and sums of columns.</summary>
internal static unsafe partial class Elementwise
{
    // Elements of a piece when an array is shared among threads.
    private const int Piece = 4096;

    /// <summary><c>y[i] = a[i] + b[i]</c>. <paramref name="y"/> may be <paramref name="a"/> or <paramref name="b"/>: addition in place.</summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="a">First summand.</param>
    /// <param name="b">Second summand.</param>
    /// <param name="count">Elements.</param>
    /// <param name="y">Sum.</param>
    public static void Add(ThreadTeam? team, float* a, float* b, long count, float* y)
    {
        var args = new Arguments { A = a, B = b, Count = count, Y = y };
        RowSplit.Run(team, Pieces(count), Piece, Simd.Level switch
        {
            SimdLevel.Avx512 => &AddPieces<Lanes512>,
            SimdLevel.Avx2 => &AddPieces<Lanes256>,
            _ => &AddPieces<Lanes128>,
        }, &args);
    }

    /// <summary><c>y[i] = fma(scale, x[i], y[i])</c>.</summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="x">Added after scaling.</param>
    /// <param name="scale">Factor.</param>
    /// <param name="count">Elements.</param>
    /// <param name="y">Running sum.</param>
    public static void AddScaled(ThreadTeam? team, float* x, float scale, long count, float* y)
    {
        var args = new Arguments { A = x, Scale = scale, Count = count, Y = y };
        RowSplit.Run(team, Pieces(count), Piece, Simd.Level switch
        {
            SimdLevel.Avx512 => &AddScaledPieces<Lanes512>,
            SimdLevel.Avx2 => &AddScaledPieces<Lanes256>,
            _ => &AddScaledPieces<Lanes128>,
        }, &args);
    }

    /// <summary><c>sums[i] = sums[i] + x[t, i]</c> for t ascending: the gradient of a bias, a chain over the rows (rule 9 of docs/adr/0001).</summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="x">[rows, columns], rows <paramref name="ldx"/> floats apart.</param>
    /// <param name="ldx">Distance of the rows of <paramref name="x"/>.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="sums">Output, [columns].</param>
    /// <param name="mode">How the chains start and end.</param>
    public static void ColumnSums(ThreadTeam? team, float* x, int ldx, int rows, int columns, float* sums, GradientMode mode) =>
        ColumnChain.Run(team, new ColumnChain { A = x, LdA = ldx, Rows = rows, Columns = columns, Output = sums, Mode = mode });

    private static int Pieces(long count) => checked((int)((count + Piece - 1) / Piece));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddPieces<TLanes>(Arguments* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        long i = (long)first * Piece, stop = Math.Min((long)end * Piece, args->Count);
        for (; i + Lanes.Count <= stop; i += Lanes.Count)
            TLanes.Store(TLanes.Load(args->A + i) + TLanes.Load(args->B + i), args->Y + i);
        for (; i < stop; i++)
            args->Y[i] = args->A[i] + args->B[i];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddScaledPieces<TLanes>(Arguments* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes scale = TLanes.Broadcast(args->Scale);
        long i = (long)first * Piece, stop = Math.Min((long)end * Piece, args->Count);
        for (; i + Lanes.Count <= stop; i += Lanes.Count)
            TLanes.Store(TLanes.FusedMultiplyAdd(scale, TLanes.Load(args->A + i), TLanes.Load(args->Y + i)), args->Y + i);
        for (; i < stop; i++)
            args->Y[i] = MathF.FusedMultiplyAdd(args->Scale, args->A[i], args->Y[i]);
    }

    private struct Arguments
    {
        public float* A;
        public float* B;
        public float Scale;
        public long Count;
        public float* Y;
    }
}
