using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>The gated activation <c>silu(gate) * up</c>, forward and backward.</summary>
/// <remarks>
/// Gate and up may be two matrices, or halves of one [rows, 2 * columns] matrix: then up = gate + columns with the same row distance. Shazeer 2020.
/// </remarks>
internal static unsafe partial class SwiGlu
{
    // A multiple of the lanes.
    private const int LongRow = 2048;

    /// <summary><c>y = gate / (1 + exp(-gate)) * up</c>, element by element.</summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="gate">[rows, columns], rows <paramref name="ldg"/> floats apart.</param>
    /// <param name="ldg">Distance of the rows of <paramref name="gate"/>.</param>
    /// <param name="up">[rows, columns], rows <paramref name="ldu"/> floats apart.</param>
    /// <param name="ldu">Distance of the rows of <paramref name="up"/>.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="y">Output, rows <paramref name="ldy"/> floats apart. May be <paramref name="gate"/> or <paramref name="up"/>.</param>
    /// <param name="ldy">Distance of the rows of <paramref name="y"/>.</param>
    public static void Forward(ThreadTeam? team, float* gate, int ldg, float* up, int ldu, int rows, int columns, float* y, int ldy)
    {
        if (rows > 1 && columns % Lanes.Count != 0 && ldg == columns && ldu == columns && ldy == columns)
        {
            // Rows without gaps are one long row, whose tail is shorter than the tails of them all.
            long count = (long)rows * columns, whole = count / LongRow * LongRow;
            Forward(team, gate, LongRow, up, LongRow, (int)(count / LongRow), LongRow, y, LongRow);
            (rows, columns) = (1, (int)(count - whole));
            gate += whole;
            up += whole;
            y += whole;
        }

        var args = new Arguments { Gate = gate, LdGate = ldg, Up = up, LdUp = ldu, Columns = columns, Y = y, LdY = ldy };
        RowSplit.Run(team, rows, columns, Simd.Level switch
        {
            SimdLevel.Avx512 => &ForwardRows<Lanes512>,
            SimdLevel.Avx2 => &ForwardRows<Lanes256>,
            _ => &ForwardRows<Lanes128>,
        }, &args);
    }

    /// <summary>
    /// With <c>e = 1 + exp(-gate)</c> and <c>s = 1 / e</c>: <c>dup = dy * (gate / e)</c> and <c>dgate = ((dy * up) * s) * fma(gate, 1 - s, 1)</c>.
    /// </summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="dy">Gradient of the output, rows <paramref name="lddy"/> floats apart.</param>
    /// <param name="lddy">Distance of the rows of <paramref name="dy"/>.</param>
    /// <param name="gate">[rows, columns], rows <paramref name="ldg"/> floats apart.</param>
    /// <param name="ldg">Distance of the rows of <paramref name="gate"/>.</param>
    /// <param name="up">[rows, columns], rows <paramref name="ldu"/> floats apart.</param>
    /// <param name="ldu">Distance of the rows of <paramref name="up"/>.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="dgate">Output, rows <paramref name="lddg"/> floats apart. May be <paramref name="gate"/>.</param>
    /// <param name="lddg">Distance of the rows of <paramref name="dgate"/>.</param>
    /// <param name="dup">Output, rows <paramref name="lddu"/> floats apart. May be <paramref name="up"/>.</param>
    /// <param name="lddu">Distance of the rows of <paramref name="dup"/>.</param>
    public static void Backward(
        ThreadTeam? team, float* dy, int lddy, float* gate, int ldg, float* up, int ldu, int rows, int columns, float* dgate, int lddg, float* dup, int lddu)
    {
        if (rows > 1 && columns % Lanes.Count != 0 && lddy == columns && ldg == columns && ldu == columns && lddg == columns && lddu == columns)
        {
            long count = (long)rows * columns, whole = count / LongRow * LongRow;
            Backward(team, dy, LongRow, gate, LongRow, up, LongRow, (int)(count / LongRow), LongRow, dgate, LongRow, dup, LongRow);
            (rows, columns) = (1, (int)(count - whole));
            dy += whole;
            gate += whole;
            up += whole;
            dgate += whole;
            dup += whole;
        }

        var args = new Arguments
        {
            Y = dy,
            LdY = lddy,
            Gate = gate,
            LdGate = ldg,
            Up = up,
            LdUp = ldu,
            Columns = columns,
            DGate = dgate,
            LdDGate = lddg,
            DUp = dup,
            LdDUp = lddu,
        };
        RowSplit.Run(team, rows, columns, Simd.Level switch
        {
            SimdLevel.Avx512 => &BackwardRows<Lanes512>,
            SimdLevel.Avx2 => &BackwardRows<Lanes256>,
            _ => &BackwardRows<Lanes128>,
        }, &args);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ForwardRows<TLanes>(Arguments* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        int columns = args->Columns;
        TLanes one = TLanes.Broadcast(1);
        for (int row = first; row < end; row++)
        {
            float* gate = args->Gate + row * (long)args->LdGate;
            float* up = args->Up + row * (long)args->LdUp;
            float* y = args->Y + row * (long)args->LdY;
            int i = 0;
            for (; i + Lanes.Count <= columns; i += Lanes.Count)
            {
                TLanes g = TLanes.Load(gate + i);
                TLanes.Store(g / (one + TLanes.Exp(-g)) * TLanes.Load(up + i), y + i);
            }

            for (; i < columns; i++)
                y[i] = gate[i] / (1 + VectorMath.Exp(-gate[i])) * up[i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BackwardRows<TLanes>(Arguments* args, int first, int end)
        where TLanes : struct, ILanes<TLanes>
    {
        int columns = args->Columns;
        TLanes one = TLanes.Broadcast(1);
        for (int row = first; row < end; row++)
        {
            float* dy = args->Y + row * (long)args->LdY;
            float* gate = args->Gate + row * (long)args->LdGate;
            float* up = args->Up + row * (long)args->LdUp;
            float* dgate = args->DGate + row * (long)args->LdDGate;
            float* dup = args->DUp + row * (long)args->LdDUp;
            int i = 0;
            for (; i + Lanes.Count <= columns; i += Lanes.Count)
            {
                TLanes d = TLanes.Load(dy + i), g = TLanes.Load(gate + i), u = TLanes.Load(up + i);
                TLanes e = one + TLanes.Exp(-g), s = one / e;
                TLanes.Store(d * (g / e), dup + i);
                TLanes.Store(d * u * s * TLanes.FusedMultiplyAdd(g, one - s, one), dgate + i);
            }

            for (; i < columns; i++)
                (dgate[i], dup[i]) = BackwardElement(dy[i], gate[i], up[i]);
        }
    }

    private struct Arguments
    {
        public float* Gate;
        public int LdGate;
        public float* Up;
        public int LdUp;
        public int Columns;
        public float* Y;
        public int LdY;
        public float* DGate;
        public int LdDGate;
        public float* DUp;
        public int LdDUp;
    }
}
