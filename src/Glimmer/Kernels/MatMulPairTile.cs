using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Kernels;

/// <summary>The tile for one or two rows, which takes a strip of two panels at once.</summary>
/// <remarks>
/// With so few rows a strip has two or four chains, and each waits for its previous multiply-add; a second panel doubles the work that is ready.
/// The chains are those of <see cref="MatMulTile"/>.
/// </remarks>
internal static unsafe class MatMulPairTile
{
    private const int PrefetchDistance = 4096;

    /// <summary>Both panels from column 0 on; see <see cref="MatMulTile.Run"/>.</summary>
    /// <param name="x">Packed rows.</param>
    /// <param name="panel">The first panel.</param>
    /// <param name="panelBytes">Distance of the second panel.</param>
    /// <param name="lane">First output of the strips inside their panels.</param>
    /// <param name="columns">Columns, a whole number of blocks.</param>
    /// <param name="c">Sums of the first panel; those of the second lie 32 floats further.</param>
    /// <param name="ldc">Distance of the rows of <paramref name="c"/> in floats.</param>
    /// <param name="bias">Added to the finished sums, or null.</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Run<TRows, TPanel, TForm, TVector>(float* x, byte* panel, nint panelBytes, int lane, int columns, float* c, nint ldc, float* bias)
        where TRows : struct, IRowCount
        where TPanel : struct, IPanelFormat<TVector>
        where TForm : struct, IVectorForm<TVector>
        where TVector : struct
    {
        if (TForm.Width == 16)
            lane = 0;
        TVector c0a = default, c0b = default, c0c = default, c0d = default;
        TVector c1a = default, c1b = default, c1c = default, c1d = default;
        byte* second = panel + panelBytes;
        int block = TPanel.BlockColumns == 0 ? columns : TPanel.BlockColumns;
        for (; columns > 0; columns -= block)
        {
            TPanel.Scales(panel, lane, out TVector scale0, out TVector scale1, out TVector offset0, out TVector offset1);
            TPanel.Scales(second, lane, out TVector scale2, out TVector scale3, out TVector offset2, out TVector offset3);
            if (TPanel.BlockColumns != 0 && Sse.IsSupported)
            {
                for (int line = 0; line < TPanel.HeaderBytes + TPanel.CodeBytes; line += 64)
                {
                    Sse.Prefetch0(panel + PrefetchDistance + line);
                    Sse.Prefetch0(second + PrefetchDistance + line);
                }
            }

            panel += TPanel.HeaderBytes;
            second += TPanel.HeaderBytes;
            for (int i = 0; i < block; i++)
            {
                if (TPanel.BlockColumns == 0 && Sse.IsSupported)
                {
                    for (int line = 0; line < TPanel.ColumnBytes; line += 64)
                    {
                        Sse.Prefetch0(panel + PrefetchDistance + line);
                        Sse.Prefetch0(second + PrefetchDistance + line);
                    }
                }

                TPanel.Column(panel, i, lane, scale0, scale1, offset0, offset1, out TVector w0, out TVector w1);
                TPanel.Column(second, i, lane, scale2, scale3, offset2, offset3, out TVector w2, out TVector w3);
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

            panel += TPanel.CodeBytes;
            second += TPanel.CodeBytes;
        }

        Finish<TForm, TVector>(c0a, c0b, c, bias);
        Finish<TForm, TVector>(c0c, c0d, c + 32, bias == null ? null : bias + 32);
        if (TRows.Count > 1)
        {
            Finish<TForm, TVector>(c1a, c1b, c + ldc, bias);
            Finish<TForm, TVector>(c1c, c1d, c + ldc + 32, bias == null ? null : bias + 32);
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
