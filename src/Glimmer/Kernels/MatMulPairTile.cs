using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Kernels;

/// <summary>The tile for one or two rows, which takes two strips at once: those of a panel, or one of each of two panels.</summary>
/// <remarks>
/// With so few rows a strip has two or four chains, and each waits for its previous multiply-add; a second strip doubles the work that is ready.
/// The chains are those of <see cref="MatMulTile"/>.
/// </remarks>
internal static unsafe class MatMulPairTile
{
    private const int PrefetchDistance = 4096;

    /// <summary>Both strips from column 0 on; see <see cref="MatMulTile.Run"/>.</summary>
    /// <param name="x">Packed rows.</param>
    /// <param name="panel">The first panel.</param>
    /// <param name="second">The second panel; the same one where it has two strips.</param>
    /// <param name="lane">First output of the first strip inside its panel.</param>
    /// <param name="secondLane">First output of the second strip inside its panel.</param>
    /// <param name="columns">Columns, a whole number of blocks.</param>
    /// <param name="c">Sums of the first strip.</param>
    /// <param name="secondC">Distance of the sums of the second strip in floats.</param>
    /// <param name="ldc">Distance of the rows of <paramref name="c"/> in floats.</param>
    /// <param name="bias">Added to the finished sums, or null.</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Run<TRows, TPanel, TForm, TVector>(float* x, byte* panel, byte* second, int lane, int secondLane, int columns, float* c, nint secondC, nint ldc, float* bias)
        where TRows : struct, IRowCount
        where TPanel : struct, IPanelFormat<TVector>
        where TForm : struct, IVectorForm<TVector>
        where TVector : struct
    {
        if (TForm.Width == 16)
            lane = secondLane = 0;
        TVector c0a = default, c0b = default, c0c = default, c0d = default;
        TVector c1a = default, c1b = default, c1c = default, c1d = default;
        int block = TPanel.BlockColumns == 0 ? columns : TPanel.BlockColumns;
        for (; columns > 0; columns -= block)
        {
            TPanel.Scales(panel, lane, out TVector scale0, out TVector scale1, out TVector offset0, out TVector offset1);
            TPanel.Scales(second, secondLane, out TVector scale2, out TVector scale3, out TVector offset2, out TVector offset3);
            if (TPanel.BlockColumns != 0 && Sse.IsSupported)
            {
                for (int line = 0; line < TPanel.HeaderBytes + TPanel.CodeBytes; line += 64)
                {
                    Sse.Prefetch0(panel + PrefetchDistance + line);
                    if (TForm.Width != 8)
                        Sse.Prefetch0(second + PrefetchDistance + line);
                }
            }

            panel += TPanel.HeaderBytes;
            second += TPanel.HeaderBytes;
            // Eight columns at a time with their numbers as constants: the shifts that take codes out of their words are then immediate.
            for (int i = 0; TPanel.BlockColumns != 0 && i < block; i += 8)
            {
                TVector w0, w1, w2, w3, v;
                TPanel.Column(panel, 0, lane, scale0, scale1, offset0, offset1, out w0, out w1);
                TPanel.Column(second, 0, secondLane, scale2, scale3, offset2, offset3, out w2, out w3);
                v = TForm.Broadcast(x[0 * TRows.Count]);
                c0a = TForm.FusedMultiplyAdd(v, w0, c0a);
                c0b = TForm.FusedMultiplyAdd(v, w1, c0b);
                c0c = TForm.FusedMultiplyAdd(v, w2, c0c);
                c0d = TForm.FusedMultiplyAdd(v, w3, c0d);
                if (TRows.Count > 1)
                {
                    v = TForm.Broadcast(x[0 * TRows.Count + 1]);
                    c1a = TForm.FusedMultiplyAdd(v, w0, c1a);
                    c1b = TForm.FusedMultiplyAdd(v, w1, c1b);
                    c1c = TForm.FusedMultiplyAdd(v, w2, c1c);
                    c1d = TForm.FusedMultiplyAdd(v, w3, c1d);
                }

                TPanel.Column(panel, 1, lane, scale0, scale1, offset0, offset1, out w0, out w1);
                TPanel.Column(second, 1, secondLane, scale2, scale3, offset2, offset3, out w2, out w3);
                v = TForm.Broadcast(x[1 * TRows.Count]);
                c0a = TForm.FusedMultiplyAdd(v, w0, c0a);
                c0b = TForm.FusedMultiplyAdd(v, w1, c0b);
                c0c = TForm.FusedMultiplyAdd(v, w2, c0c);
                c0d = TForm.FusedMultiplyAdd(v, w3, c0d);
                if (TRows.Count > 1)
                {
                    v = TForm.Broadcast(x[1 * TRows.Count + 1]);
                    c1a = TForm.FusedMultiplyAdd(v, w0, c1a);
                    c1b = TForm.FusedMultiplyAdd(v, w1, c1b);
                    c1c = TForm.FusedMultiplyAdd(v, w2, c1c);
                    c1d = TForm.FusedMultiplyAdd(v, w3, c1d);
                }

                TPanel.Column(panel, 2, lane, scale0, scale1, offset0, offset1, out w0, out w1);
                TPanel.Column(second, 2, secondLane, scale2, scale3, offset2, offset3, out w2, out w3);
                v = TForm.Broadcast(x[2 * TRows.Count]);
                c0a = TForm.FusedMultiplyAdd(v, w0, c0a);
                c0b = TForm.FusedMultiplyAdd(v, w1, c0b);
                c0c = TForm.FusedMultiplyAdd(v, w2, c0c);
                c0d = TForm.FusedMultiplyAdd(v, w3, c0d);
                if (TRows.Count > 1)
                {
                    v = TForm.Broadcast(x[2 * TRows.Count + 1]);
                    c1a = TForm.FusedMultiplyAdd(v, w0, c1a);
                    c1b = TForm.FusedMultiplyAdd(v, w1, c1b);
                    c1c = TForm.FusedMultiplyAdd(v, w2, c1c);
                    c1d = TForm.FusedMultiplyAdd(v, w3, c1d);
                }

                TPanel.Column(panel, 3, lane, scale0, scale1, offset0, offset1, out w0, out w1);
                TPanel.Column(second, 3, secondLane, scale2, scale3, offset2, offset3, out w2, out w3);
                v = TForm.Broadcast(x[3 * TRows.Count]);
                c0a = TForm.FusedMultiplyAdd(v, w0, c0a);
                c0b = TForm.FusedMultiplyAdd(v, w1, c0b);
                c0c = TForm.FusedMultiplyAdd(v, w2, c0c);
                c0d = TForm.FusedMultiplyAdd(v, w3, c0d);
                if (TRows.Count > 1)
                {
                    v = TForm.Broadcast(x[3 * TRows.Count + 1]);
                    c1a = TForm.FusedMultiplyAdd(v, w0, c1a);
                    c1b = TForm.FusedMultiplyAdd(v, w1, c1b);
                    c1c = TForm.FusedMultiplyAdd(v, w2, c1c);
                    c1d = TForm.FusedMultiplyAdd(v, w3, c1d);
                }

                TPanel.Column(panel, 4, lane, scale0, scale1, offset0, offset1, out w0, out w1);
                TPanel.Column(second, 4, secondLane, scale2, scale3, offset2, offset3, out w2, out w3);
                v = TForm.Broadcast(x[4 * TRows.Count]);
                c0a = TForm.FusedMultiplyAdd(v, w0, c0a);
                c0b = TForm.FusedMultiplyAdd(v, w1, c0b);
                c0c = TForm.FusedMultiplyAdd(v, w2, c0c);
                c0d = TForm.FusedMultiplyAdd(v, w3, c0d);
                if (TRows.Count > 1)
                {
                    v = TForm.Broadcast(x[4 * TRows.Count + 1]);
                    c1a = TForm.FusedMultiplyAdd(v, w0, c1a);
                    c1b = TForm.FusedMultiplyAdd(v, w1, c1b);
                    c1c = TForm.FusedMultiplyAdd(v, w2, c1c);
                    c1d = TForm.FusedMultiplyAdd(v, w3, c1d);
                }

                TPanel.Column(panel, 5, lane, scale0, scale1, offset0, offset1, out w0, out w1);
                TPanel.Column(second, 5, secondLane, scale2, scale3, offset2, offset3, out w2, out w3);
                v = TForm.Broadcast(x[5 * TRows.Count]);
                c0a = TForm.FusedMultiplyAdd(v, w0, c0a);
                c0b = TForm.FusedMultiplyAdd(v, w1, c0b);
                c0c = TForm.FusedMultiplyAdd(v, w2, c0c);
                c0d = TForm.FusedMultiplyAdd(v, w3, c0d);
                if (TRows.Count > 1)
                {
                    v = TForm.Broadcast(x[5 * TRows.Count + 1]);
                    c1a = TForm.FusedMultiplyAdd(v, w0, c1a);
                    c1b = TForm.FusedMultiplyAdd(v, w1, c1b);
                    c1c = TForm.FusedMultiplyAdd(v, w2, c1c);
                    c1d = TForm.FusedMultiplyAdd(v, w3, c1d);
                }

                TPanel.Column(panel, 6, lane, scale0, scale1, offset0, offset1, out w0, out w1);
                TPanel.Column(second, 6, secondLane, scale2, scale3, offset2, offset3, out w2, out w3);
                v = TForm.Broadcast(x[6 * TRows.Count]);
                c0a = TForm.FusedMultiplyAdd(v, w0, c0a);
                c0b = TForm.FusedMultiplyAdd(v, w1, c0b);
                c0c = TForm.FusedMultiplyAdd(v, w2, c0c);
                c0d = TForm.FusedMultiplyAdd(v, w3, c0d);
                if (TRows.Count > 1)
                {
                    v = TForm.Broadcast(x[6 * TRows.Count + 1]);
                    c1a = TForm.FusedMultiplyAdd(v, w0, c1a);
                    c1b = TForm.FusedMultiplyAdd(v, w1, c1b);
                    c1c = TForm.FusedMultiplyAdd(v, w2, c1c);
                    c1d = TForm.FusedMultiplyAdd(v, w3, c1d);
                }

                TPanel.Column(panel, 7, lane, scale0, scale1, offset0, offset1, out w0, out w1);
                TPanel.Column(second, 7, secondLane, scale2, scale3, offset2, offset3, out w2, out w3);
                v = TForm.Broadcast(x[7 * TRows.Count]);
                c0a = TForm.FusedMultiplyAdd(v, w0, c0a);
                c0b = TForm.FusedMultiplyAdd(v, w1, c0b);
                c0c = TForm.FusedMultiplyAdd(v, w2, c0c);
                c0d = TForm.FusedMultiplyAdd(v, w3, c0d);
                if (TRows.Count > 1)
                {
                    v = TForm.Broadcast(x[7 * TRows.Count + 1]);
                    c1a = TForm.FusedMultiplyAdd(v, w0, c1a);
                    c1b = TForm.FusedMultiplyAdd(v, w1, c1b);
                    c1c = TForm.FusedMultiplyAdd(v, w2, c1c);
                    c1d = TForm.FusedMultiplyAdd(v, w3, c1d);
                }

                x += 8 * TRows.Count;
                panel += 8 * TPanel.CodeBytes / Math.Max(1, TPanel.BlockColumns);
                second += 8 * TPanel.CodeBytes / Math.Max(1, TPanel.BlockColumns);
            }

            for (int i = 0; TPanel.BlockColumns == 0 && i < block; i++)
            {
                if (Sse.IsSupported)
                {
                    for (int line = 0; line < TPanel.ColumnBytes; line += 64)
                    {
                        Sse.Prefetch0(panel + PrefetchDistance + line);
                        if (TForm.Width != 8)
                            Sse.Prefetch0(second + PrefetchDistance + line);
                    }
                }

                TPanel.Column(panel, i, lane, scale0, scale1, offset0, offset1, out TVector w0, out TVector w1);
                TPanel.Column(second, i, secondLane, scale2, scale3, offset2, offset3, out TVector w2, out TVector w3);
                TVector v = TForm.Broadcast(x[0]);
                c0a = TForm.FusedMultiplyAdd(v, w0, c0a);
                c0b = TForm.FusedMultiplyAdd(v, w1, c0b);
                c0c = TForm.FusedMultiplyAdd(v, w2, c0c);
                c0d = TForm.FusedMultiplyAdd(v, w3, c0d);
                if (TRows.Count > 1)
                {
                    v = TForm.Broadcast(x[1]);
                    c1a = TForm.FusedMultiplyAdd(v, w0, c1a);
                    c1b = TForm.FusedMultiplyAdd(v, w1, c1b);
                    c1c = TForm.FusedMultiplyAdd(v, w2, c1c);
                    c1d = TForm.FusedMultiplyAdd(v, w3, c1d);
                }

                x += TRows.Count;
                panel += TPanel.ColumnBytes;
                second += TPanel.ColumnBytes;
            }
        }

        Finish<TForm, TVector>(c0a, c0b, c, bias);
        Finish<TForm, TVector>(c0c, c0d, c + secondC, bias == null ? null : bias + secondC);
        if (TRows.Count > 1)
        {
            Finish<TForm, TVector>(c1a, c1b, c + ldc, bias);
            Finish<TForm, TVector>(c1c, c1d, c + ldc + secondC, bias == null ? null : bias + secondC);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<TForm, TVector>(TVector a, TVector b, float* c, float* bias)
        where TForm : struct, IVectorForm<TVector>
        where TVector : struct
    {
        if (bias != null)
        {
            a = TForm.Add(a, TForm.Load(bias));
            b = TForm.Add(b, TForm.Load(bias + TForm.Width));
        }

        TForm.Store(a, c);
        TForm.Store(b, c + TForm.Width);
    }
}
