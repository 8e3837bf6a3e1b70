using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>Layer normalisation of rows with gain and bias, forward and backward: the key norm of the sparse-attention indexer.</summary>
/// <remarks>All sums run in 32 lanes (rule 3 of docs/adr/0001). Ba, Kiros and Hinton 2016.</remarks>
internal static unsafe partial class LayerNorm
{
    /// <summary>
    /// <c>mean = sum_i x[i] / n</c>, <c>d[i] = x[i] - mean</c>, <c>r = 1 / sqrt(sum_i d[i]^2 / n + eps)</c>,
    /// <c>y[i] = fma(d[i] * r, weight[i], bias[i])</c>, row by row.
    /// </summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="x">Input [rows, columns], rows <paramref name="ldx"/> floats apart.</param>
    /// <param name="ldx">Distance of the rows of <paramref name="x"/>.</param>
    /// <param name="weight">Gain, [columns].</param>
    /// <param name="bias">Bias, [columns].</param>
    /// <param name="eps">Added to the variance.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="y">Output, rows <paramref name="ldy"/> floats apart. May be <paramref name="x"/>.</param>
    /// <param name="ldy">Distance of the rows of <paramref name="y"/>.</param>
    /// <param name="mean">Receives the mean of each row for the backward pass, [rows], or null.</param>
    /// <param name="inverse">Receives r of each row, [rows], or null.</param>
    public static void Forward(
        ThreadTeam? team, float* x, int ldx, float* weight, float* bias, float eps, int rows, int columns, float* y, int ldy,
        float* mean = null, float* inverse = null)
    {
        var args = new Arguments
        {
            X = x,
            LdX = ldx,
            Weight = weight,
            Bias = bias,
            Eps = eps,
            Columns = columns,
            Y = y,
            LdY = ldy,
            Mean = mean,
            Inverse = inverse,
        };
        RowSplit.Run(team, rows, columns, Simd.Level switch
        {
            SimdLevel.Avx512 => &ForwardRows<Lanes512>,
            SimdLevel.Avx2 => &ForwardRows<Lanes256>,
            _ => &ForwardRows<Lanes128>,
        }, &args);
    }

    /// <summary>
    /// With <c>g[i] = weight[i] dy[i]</c>, <c>h[i] = (x[i] - mean) r</c>, <c>a = sum_i g[i] / n</c> and <c>c = sum_i g[i] h[i] / n</c>:
    /// <c>dx[i] = fma(-c, h[i], g[i] - a) * r</c>, row by row.
    /// </summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="dy">Gradient of the output, rows <paramref name="lddy"/> floats apart.</param>
    /// <param name="lddy">Distance of the rows of <paramref name="dy"/>.</param>
    /// <param name="x">Input of the forward pass, rows <paramref name="ldx"/> floats apart.</param>
    /// <param name="ldx">Distance of the rows of <paramref name="x"/>.</param>
    /// <param name="weight">Gain, [columns].</param>
    /// <param name="mean">Mean of each row, [rows].</param>
    /// <param name="inverse">r of each row, [rows].</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="dx">Gradient of the input, rows <paramref name="lddx"/> floats apart. May be <paramref name="dy"/>.</param>
    /// <param name="lddx">Distance of the rows of <paramref name="dx"/>.</param>
    /// <param name="add">Adds the result to <paramref name="dx"/> instead of storing it.</param>
    public static void Backward(
        ThreadTeam? team, float* dy, int lddy, float* x, int ldx, float* weight, float* mean, float* inverse, int rows, int columns,
        float* dx, int lddx, bool add = false)
    {
        var args = new Arguments
        {
            DY = dy,
            LdDY = lddy,
            X = x,
            LdX = ldx,
            Weight = weight,
            Mean = mean,
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

    /// <summary>
    /// <c>dgain[i] = fma(dy[t, i], (x[t, i] - mean[t]) * r[t], dgain[i])</c> and <c>dbias[i] += dy[t, i]</c> for t ascending: chains over the rows (rule 9).
    /// </summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="dy">Gradient of the output, rows <paramref name="lddy"/> floats apart.</param>
    /// <param name="lddy">Distance of the rows of <paramref name="dy"/>.</param>
    /// <param name="x">Input of the forward pass, rows <paramref name="ldx"/> floats apart.</param>
    /// <param name="ldx">Distance of the rows of <paramref name="x"/>.</param>
    /// <param name="mean">Mean of each row, [rows].</param>
    /// <param name="inverse">r of each row, [rows].</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="dgain">Gradient of the gain, [columns].</param>
    /// <param name="dbias">Gradient of the bias, [columns].</param>
    /// <param name="mode">How the chains start and end.</param>
    public static void ParameterGradients(
        ThreadTeam? team, float* dy, int lddy, float* x, int ldx, float* mean, float* inverse, int rows, int columns,
        float* dgain, float* dbias, GradientMode mode)
    {
        var args = new ColumnChain
        {
            A = dy,
            LdA = lddy,
            X = x,
            LdX = ldx,
            Mean = mean,
            Inverse = inverse,
            Rows = rows,
            Columns = columns,
            Output = dgain,
            Mode = mode,
        };
        ColumnChain.Run(team, args);
        ColumnChain.Run(team, args with { X = null, Output = dbias });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ForwardRows<TLanes>(Arguments* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        int n = args->Columns;
        for (int row = first; row < end; row++)
        {
            float* x = args->X + row * (long)args->LdX;
            float* y = args->Y + row * (long)args->LdY;
            TLanes sum = TLanes.Broadcast(0);
            int i = 0;
            for (; i + Lanes.Count <= n; i += Lanes.Count)
                sum += TLanes.Load(x + i);
            if (i < n)
                sum += TLanes.LoadFirst(x + i, n - i);
            float mean = TLanes.Sum(sum) / n;

            TLanes means = TLanes.Broadcast(mean), squares = TLanes.Broadcast(0);
            for (i = 0; i + Lanes.Count <= n; i += Lanes.Count)
            {
                TLanes d = TLanes.Load(x + i) - means;
                squares = TLanes.FusedMultiplyAdd(d, d, squares);
            }

            if (i < n)
            {
                TLanes d = TLanes.KeepFirst(TLanes.LoadFirst(x + i, n - i) - means, n - i, 0);
                squares = TLanes.FusedMultiplyAdd(d, d, squares);
            }

            float r = 1 / MathF.Sqrt(TLanes.Sum(squares) / n + args->Eps);
            if (args->Mean != null)
                args->Mean[row] = mean;
            if (args->Inverse != null)
                args->Inverse[row] = r;
            TLanes scale = TLanes.Broadcast(r);
            for (i = 0; i + Lanes.Count <= n; i += Lanes.Count)
            {
                TLanes h = (TLanes.Load(x + i) - means) * scale;
                TLanes.Store(TLanes.FusedMultiplyAdd(h, TLanes.Load(args->Weight + i), TLanes.Load(args->Bias + i)), y + i);
            }

            for (; i < n; i++)
                y[i] = MathF.FusedMultiplyAdd((x[i] - mean) * r, args->Weight[i], args->Bias[i]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BackwardRows<TLanes>(Arguments* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        int n = args->Columns;
        float* weight = args->Weight;
        for (int row = first; row < end; row++)
        {
            float* x = args->X + row * (long)args->LdX;
            float* dy = args->DY + row * (long)args->LdDY;
            float* dx = args->Y + row * (long)args->LdY;
            float mean = args->Mean[row], r = args->Inverse[row];
            TLanes means = TLanes.Broadcast(mean), scale = TLanes.Broadcast(r), sum = TLanes.Broadcast(0), products = sum;
            int i = 0;
            for (; i + Lanes.Count <= n; i += Lanes.Count)
            {
                TLanes g = TLanes.Load(weight + i) * TLanes.Load(dy + i);
                sum += g;
                products = TLanes.FusedMultiplyAdd(g, (TLanes.Load(x + i) - means) * scale, products);
            }

            if (i < n)
            {
                int rest = n - i;
                TLanes g = TLanes.LoadFirst(weight + i, rest) * TLanes.LoadFirst(dy + i, rest);
                sum += g;
                products = TLanes.FusedMultiplyAdd(g, (TLanes.LoadFirst(x + i, rest) - means) * scale, products);
            }

            float a = TLanes.Sum(sum) / n, c = TLanes.Sum(products) / n;
            TLanes subtract = TLanes.Broadcast(a), minus = TLanes.Broadcast(-c);
            for (i = 0; i + Lanes.Count <= n; i += Lanes.Count)
            {
                TLanes h = (TLanes.Load(x + i) - means) * scale;
                TLanes value = TLanes.FusedMultiplyAdd(minus, h, TLanes.Load(weight + i) * TLanes.Load(dy + i) - subtract) * scale;
                TLanes.Store(args->Add ? TLanes.Load(dx + i) + value : value, dx + i);
            }

            for (; i < n; i++)
            {
                float value = MathF.FusedMultiplyAdd(-c, (x[i] - mean) * r, weight[i] * dy[i] - a) * r;
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
        public float* Bias;
        public float Eps;
        public int Columns;
        public float* Y;
        public int LdY;
        public float* Mean;
        public float* Inverse;
        public bool Add;
    }
}
