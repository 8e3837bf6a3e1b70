using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>RMS normalisation of rows, forward and backward.</summary>
/// <remarks>Rows may be parts of longer rows (a head, a latent): every matrix has its own row distance. Zhang and Sennrich 2019, eq. 4.</remarks>
internal static unsafe partial class RmsNorm
{
    /// <summary><c>r = 1 / sqrt(sum_i x[i]^2 / n + eps)</c>, <c>y[i] = (x[i] * r) * weight[i]</c>, row by row.</summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="x">Input [rows, columns], rows <paramref name="ldx"/> floats apart.</param>
    /// <param name="ldx">Distance of the rows of <paramref name="x"/>.</param>
    /// <param name="weight">Gain, [columns].</param>
    /// <param name="eps">Added to the mean square; <c>rms_norm_eps</c> of the config.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="y">Output, rows <paramref name="ldy"/> floats apart. May be <paramref name="x"/>.</param>
    /// <param name="ldy">Distance of the rows of <paramref name="y"/>.</param>
    /// <param name="inverse">Receives r of each row for the backward pass, [rows], or null.</param>
    /// <remarks>The sum runs in 32 lanes by fused multiply-adds (rule 3 of docs/adr/0001).</remarks>
    public static void Forward(ThreadTeam? team, float* x, int ldx, float* weight, float eps, int rows, int columns, float* y, int ldy, float* inverse = null)
    {
        var args = new Arguments { X = x, LdX = ldx, Weight = weight, Eps = eps, Columns = columns, Y = y, LdY = ldy, Inverse = inverse };
        RowSplit.Run(team, rows, columns, Simd.Level switch
        {
            SimdLevel.Avx512 => &ForwardRows<Lanes512>,
            SimdLevel.Avx2 => &ForwardRows<Lanes256>,
            _ => &ForwardRows<Lanes128>,
        }, &args);
    }

    /// <summary>
    /// With <c>s = sum_i (weight[i] dy[i]) x[i]</c> and <c>c = (r r r / n) s</c>: <c>dx[i] = fma(-c, x[i], r * (weight[i] * dy[i]))</c>, row by row.
    /// </summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="dy">Gradient of the output, rows <paramref name="lddy"/> floats apart.</param>
    /// <param name="lddy">Distance of the rows of <paramref name="dy"/>.</param>
    /// <param name="x">Input of the forward pass, rows <paramref name="ldx"/> floats apart.</param>
    /// <param name="ldx">Distance of the rows of <paramref name="x"/>.</param>
    /// <param name="weight">Gain, [columns].</param>
    /// <param name="inverse">r of each row, [rows].</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="dx">Gradient of the input, rows <paramref name="lddx"/> floats apart. May be <paramref name="dy"/>.</param>
    /// <param name="lddx">Distance of the rows of <paramref name="dx"/>.</param>
    /// <param name="add">Adds the result to <paramref name="dx"/> (one rounding) instead of storing it.</param>
    public static void Backward(
        ThreadTeam? team, float* dy, int lddy, float* x, int ldx, float* weight, float* inverse, int rows, int columns, float* dx, int lddx, bool add = false)
    {
        var args = new Arguments
        {
            DY = dy,
            LdDY = lddy,
            X = x,
            LdX = ldx,
            Weight = weight,
            Inverse = inverse,
            Columns = columns,
            Y = dx,
            LdY = lddx,
            Add = add,
        };
        RowSplit.Run(team, rows, columns, Simd.Level switch
        {
            SimdLevel.Avx512 => &BackwardRows<Lanes512>,
            SimdLevel.Avx2 => &BackwardRows<Lanes256>,
            _ => &BackwardRows<Lanes128>,
        }, &args);
    }

    /// <summary><c>dgain[i] = fma(dy[t, i], x[t, i] * r[t], dgain[i])</c> for t ascending: a chain over the rows (rule 9).</summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="dy">Gradient of the output, rows <paramref name="lddy"/> floats apart.</param>
    /// <param name="lddy">Distance of the rows of <paramref name="dy"/>.</param>
    /// <param name="x">Input of the forward pass, rows <paramref name="ldx"/> floats apart.</param>
    /// <param name="ldx">Distance of the rows of <paramref name="x"/>.</param>
    /// <param name="inverse">r of each row, [rows].</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="dgain">Gradient of the gain, [columns].</param>
    /// <param name="mode">How the chains start and end.</param>
    public static void GainGradient(
        ThreadTeam? team, float* dy, int lddy, float* x, int ldx, float* inverse, int rows, int columns, float* dgain, GradientMode mode)
    {
        var args = new ColumnChain { A = dy, LdA = lddy, X = x, LdX = ldx, Inverse = inverse, Rows = rows, Columns = columns, Output = dgain, Mode = mode };
        ColumnChain.Run(team, args);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ForwardRows<TLanes>(Arguments* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        int columns = args->Columns;
        float* weight = args->Weight;
        for (int row = first; row < end; row++)
        {
            float* x = args->X + row * (long)args->LdX;
            float* y = args->Y + row * (long)args->LdY;
            TLanes squares = TLanes.Broadcast(0);
            int i = 0;
            for (; i + Lanes.Count <= columns; i += Lanes.Count)
            {
                TLanes v = TLanes.Load(x + i);
                squares = TLanes.FusedMultiplyAdd(v, v, squares);
            }

            if (i < columns)
            {
                TLanes v = TLanes.LoadFirst(x + i, columns - i);
                squares = TLanes.FusedMultiplyAdd(v, v, squares);
            }

            float r = 1 / MathF.Sqrt(TLanes.Sum(squares) / columns + args->Eps);
            if (args->Inverse != null)
                args->Inverse[row] = r;
            TLanes scale = TLanes.Broadcast(r);
            for (i = 0; i + Lanes.Count <= columns; i += Lanes.Count)
                TLanes.Store(TLanes.Load(x + i) * scale * TLanes.Load(weight + i), y + i);
            for (; i < columns; i++)
                y[i] = x[i] * r * weight[i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BackwardRows<TLanes>(Arguments* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        int columns = args->Columns;
        float* weight = args->Weight;
        for (int row = first; row < end; row++)
        {
            float* x = args->X + row * (long)args->LdX;
            float* dy = args->DY + row * (long)args->LdDY;
            float* dx = args->Y + row * (long)args->LdY;
            TLanes sum = TLanes.Broadcast(0);
            int i = 0;
            for (; i + Lanes.Count <= columns; i += Lanes.Count)
                sum = TLanes.FusedMultiplyAdd(TLanes.Load(weight + i) * TLanes.Load(dy + i), TLanes.Load(x + i), sum);
            if (i < columns)
            {
                int rest = columns - i;
                TLanes g = TLanes.LoadFirst(weight + i, rest) * TLanes.LoadFirst(dy + i, rest);
                sum = TLanes.FusedMultiplyAdd(g, TLanes.LoadFirst(x + i, rest), sum);
            }

            float r = args->Inverse[row];
            float c = r * r * r / columns * TLanes.Sum(sum);
            TLanes scale = TLanes.Broadcast(r), minus = TLanes.Broadcast(-c);
            for (i = 0; i + Lanes.Count <= columns; i += Lanes.Count)
            {
                TLanes value = TLanes.FusedMultiplyAdd(minus, TLanes.Load(x + i), scale * (TLanes.Load(weight + i) * TLanes.Load(dy + i)));
                TLanes.Store(args->Add ? TLanes.Load(dx + i) + value : value, dx + i);
            }

            for (; i < columns; i++)
            {
                float value = MathF.FusedMultiplyAdd(-c, x[i], r * (weight[i] * dy[i]));
                dx[i] = args->Add ? dx[i] + value : value;
            }
        }
    }

    private struct Arguments
    {
        public float* DY;
        public int LdDY;
        public float* X;
        public int LdX;
        public float* Weight;
        public float Eps;
        public int Columns;
        public float* Y;
        public int LdY;
        public float* Inverse;
        public bool Add;
    }
}
