using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Kernels;

/// <summary>The register tile of all matrix products: some rows of x times one strip of a weight panel, every sum one chain along k.</summary>
/// <remarks>
/// A strip is two registers wide, the whole panel of 32 outputs for AVX-512. The number of rows is a type argument: the JIT drops the lines of the absent
/// rows, so one source gives the tiles of 1 to 12 rows without spills.
/// </remarks>
internal static unsafe class MatMulTile
{
    /// <summary>Bytes ahead at which the weights of small tiles, which wait for memory, are fetched.</summary>
    private const int PrefetchDistance = 4096;

    /// <summary>Bytes by which <c>fetch</c> moves on each column: slow enough to leave the memory bus to the sums.</summary>
    public const int FetchStep = 8;

    /// <summary>
    /// <c>c[r, j] = (resume ? c[r, j] : +0)</c>, then for each column k in order <c>c[r, j] = fma(x[r, k], w[j, k], c[r, j])</c>, then <c>+ bias[j]</c>.
    /// </summary>
    /// <param name="x">Packed rows: column after column, the rows of a column side by side.</param>
    /// <param name="panel">The panel from the first of the <paramref name="columns"/> on, a block boundary.</param>
    /// <param name="lane">First output of the strip inside the panel: a multiple of two register widths.</param>
    /// <param name="columns">Columns, a whole number of blocks.</param>
    /// <param name="c">Sums, two registers a row, <paramref name="ldc"/> floats apart.</param>
    /// <param name="ldc">Distance of the rows of <paramref name="c"/> in floats.</param>
    /// <param name="bias">Added to the finished sums, or null.</param>
    /// <param name="resume">Whether the chains go on from <paramref name="c"/>.</param>
    /// <param name="fetch">Memory that is needed soon, <see cref="FetchStep"/> bytes a column, or null. Tiles of more than four rows have time for it.</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Run<TRows, TPanel, TForm, TVector>(
        float* x, byte* panel, int lane, int columns, float* c, nint ldc, float* bias, bool resume, byte* fetch)
        where TRows : struct, IRowCount
        where TPanel : struct, IPanelFormat<TVector>
        where TForm : struct, IVectorForm<TVector>
        where TVector : struct
    {
        if (TForm.Width == 16)
            lane = 0;
        TVector c0a = default, c0b = default;
        TVector c1a = default, c1b = default;
        TVector c2a = default, c2b = default;
        TVector c3a = default, c3b = default;
        TVector c4a = default, c4b = default;
        TVector c5a = default, c5b = default;
        TVector c6a = default, c6b = default;
        TVector c7a = default, c7b = default;
        TVector c8a = default, c8b = default;
        TVector c9a = default, c9b = default;
        TVector c10a = default, c10b = default;
        TVector c11a = default, c11b = default;
        if (resume)
        {
            c0a = TForm.Load(c + 0 * ldc);
            c0b = TForm.Load(c + 0 * ldc + TForm.Width);
            if (TRows.Count > 1)
            {
                c1a = TForm.Load(c + 1 * ldc);
                c1b = TForm.Load(c + 1 * ldc + TForm.Width);
            }

            if (TRows.Count > 2)
            {
                c2a = TForm.Load(c + 2 * ldc);
                c2b = TForm.Load(c + 2 * ldc + TForm.Width);
            }

            if (TRows.Count > 3)
            {
                c3a = TForm.Load(c + 3 * ldc);
                c3b = TForm.Load(c + 3 * ldc + TForm.Width);
            }

            if (TRows.Count > 4)
            {
                c4a = TForm.Load(c + 4 * ldc);
                c4b = TForm.Load(c + 4 * ldc + TForm.Width);
            }

            if (TRows.Count > 5)
            {
                c5a = TForm.Load(c + 5 * ldc);
                c5b = TForm.Load(c + 5 * ldc + TForm.Width);
            }

            if (TRows.Count > 6)
            {
                c6a = TForm.Load(c + 6 * ldc);
                c6b = TForm.Load(c + 6 * ldc + TForm.Width);
            }

            if (TRows.Count > 7)
            {
                c7a = TForm.Load(c + 7 * ldc);
                c7b = TForm.Load(c + 7 * ldc + TForm.Width);
            }

            if (TRows.Count > 8)
            {
                c8a = TForm.Load(c + 8 * ldc);
                c8b = TForm.Load(c + 8 * ldc + TForm.Width);
            }

            if (TRows.Count > 9)
            {
                c9a = TForm.Load(c + 9 * ldc);
                c9b = TForm.Load(c + 9 * ldc + TForm.Width);
            }

            if (TRows.Count > 10)
            {
                c10a = TForm.Load(c + 10 * ldc);
                c10b = TForm.Load(c + 10 * ldc + TForm.Width);
            }

            if (TRows.Count > 11)
            {
                c11a = TForm.Load(c + 11 * ldc);
                c11b = TForm.Load(c + 11 * ldc + TForm.Width);
            }
        }

        nint fetchStep = fetch == null ? 0 : FetchStep;
        if (fetch == null)
            fetch = (byte*)x;
        int block = TPanel.BlockColumns == 0 ? columns : TPanel.BlockColumns;
        for (; columns > 0; columns -= block)
        {
            TPanel.Scales(panel, lane, out TVector scale0, out TVector scale1, out TVector offset0, out TVector offset1);
            panel += TPanel.HeaderBytes;
            if (TPanel.BlockColumns != 0 && TRows.Count <= 4 && Sse.IsSupported)
            {
                for (int line = 0; line < TPanel.HeaderBytes + TPanel.CodeBytes; line += 64)
                    Sse.Prefetch0(panel + PrefetchDistance + line);
            }

            for (int i = 0; i < block; i++)
            {
                TPanel.Column(panel, i, lane, scale0, scale1, offset0, offset1, out TVector w0, out TVector w1);
                if (TPanel.BlockColumns == 0 && TRows.Count <= 4 && Sse.IsSupported)
                {
                    Sse.Prefetch0(panel + PrefetchDistance);
                    if (TPanel.ColumnBytes > 64)
                        Sse.Prefetch0(panel + PrefetchDistance + 64);
                }

                if (TRows.Count > 4 && Sse.IsSupported)
                {
                    Sse.Prefetch1(fetch);
                    fetch += fetchStep;
                }

                TVector v = TForm.Broadcast(x[0]);
                c0a = TForm.FusedMultiplyAdd(v, w0, c0a);
                c0b = TForm.FusedMultiplyAdd(v, w1, c0b);
                if (TRows.Count > 1)
                {
                    v = TForm.Broadcast(x[1]);
                    c1a = TForm.FusedMultiplyAdd(v, w0, c1a);
                    c1b = TForm.FusedMultiplyAdd(v, w1, c1b);
                }

                if (TRows.Count > 2)
                {
                    v = TForm.Broadcast(x[2]);
                    c2a = TForm.FusedMultiplyAdd(v, w0, c2a);
                    c2b = TForm.FusedMultiplyAdd(v, w1, c2b);
                }

                if (TRows.Count > 3)
                {
                    v = TForm.Broadcast(x[3]);
                    c3a = TForm.FusedMultiplyAdd(v, w0, c3a);
                    c3b = TForm.FusedMultiplyAdd(v, w1, c3b);
                }

                if (TRows.Count > 4)
                {
                    v = TForm.Broadcast(x[4]);
                    c4a = TForm.FusedMultiplyAdd(v, w0, c4a);
                    c4b = TForm.FusedMultiplyAdd(v, w1, c4b);
                }

                if (TRows.Count > 5)
                {
                    v = TForm.Broadcast(x[5]);
                    c5a = TForm.FusedMultiplyAdd(v, w0, c5a);
                    c5b = TForm.FusedMultiplyAdd(v, w1, c5b);
                }

                if (TRows.Count > 6)
                {
                    v = TForm.Broadcast(x[6]);
                    c6a = TForm.FusedMultiplyAdd(v, w0, c6a);
                    c6b = TForm.FusedMultiplyAdd(v, w1, c6b);
                }

                if (TRows.Count > 7)
                {
                    v = TForm.Broadcast(x[7]);
                    c7a = TForm.FusedMultiplyAdd(v, w0, c7a);
                    c7b = TForm.FusedMultiplyAdd(v, w1, c7b);
                }

                if (TRows.Count > 8)
                {
                    v = TForm.Broadcast(x[8]);
                    c8a = TForm.FusedMultiplyAdd(v, w0, c8a);
                    c8b = TForm.FusedMultiplyAdd(v, w1, c8b);
                }

                if (TRows.Count > 9)
                {
                    v = TForm.Broadcast(x[9]);
                    c9a = TForm.FusedMultiplyAdd(v, w0, c9a);
                    c9b = TForm.FusedMultiplyAdd(v, w1, c9b);
                }

                if (TRows.Count > 10)
                {
                    v = TForm.Broadcast(x[10]);
                    c10a = TForm.FusedMultiplyAdd(v, w0, c10a);
                    c10b = TForm.FusedMultiplyAdd(v, w1, c10b);
                }

                if (TRows.Count > 11)
                {
                    v = TForm.Broadcast(x[11]);
                    c11a = TForm.FusedMultiplyAdd(v, w0, c11a);
                    c11b = TForm.FusedMultiplyAdd(v, w1, c11b);
                }

                x += TRows.Count;
                panel += TPanel.ColumnBytes;
            }

            panel += TPanel.CodeBytes;
        }

        if (bias != null)
        {
            TVector bias0 = TForm.Load(bias);
            TVector bias1 = TForm.Load(bias + TForm.Width);
            c0a = TForm.Add(c0a, bias0);
            c0b = TForm.Add(c0b, bias1);
            if (TRows.Count > 1)
            {
                c1a = TForm.Add(c1a, bias0);
                c1b = TForm.Add(c1b, bias1);
            }

            if (TRows.Count > 2)
            {
                c2a = TForm.Add(c2a, bias0);
                c2b = TForm.Add(c2b, bias1);
            }

            if (TRows.Count > 3)
            {
                c3a = TForm.Add(c3a, bias0);
                c3b = TForm.Add(c3b, bias1);
            }

            if (TRows.Count > 4)
            {
                c4a = TForm.Add(c4a, bias0);
                c4b = TForm.Add(c4b, bias1);
            }

            if (TRows.Count > 5)
            {
                c5a = TForm.Add(c5a, bias0);
                c5b = TForm.Add(c5b, bias1);
            }

            if (TRows.Count > 6)
            {
                c6a = TForm.Add(c6a, bias0);
                c6b = TForm.Add(c6b, bias1);
            }

            if (TRows.Count > 7)
            {
                c7a = TForm.Add(c7a, bias0);
                c7b = TForm.Add(c7b, bias1);
            }

            if (TRows.Count > 8)
            {
                c8a = TForm.Add(c8a, bias0);
                c8b = TForm.Add(c8b, bias1);
            }

            if (TRows.Count > 9)
            {
                c9a = TForm.Add(c9a, bias0);
                c9b = TForm.Add(c9b, bias1);
            }

            if (TRows.Count > 10)
            {
                c10a = TForm.Add(c10a, bias0);
                c10b = TForm.Add(c10b, bias1);
            }

            if (TRows.Count > 11)
            {
                c11a = TForm.Add(c11a, bias0);
                c11b = TForm.Add(c11b, bias1);
            }
        }

        TForm.Store(c0a, c);
        TForm.Store(c0b, c + TForm.Width);
        if (TRows.Count > 1)
        {
            TForm.Store(c1a, c + 1 * ldc);
            TForm.Store(c1b, c + 1 * ldc + TForm.Width);
        }

        if (TRows.Count > 2)
        {
            TForm.Store(c2a, c + 2 * ldc);
            TForm.Store(c2b, c + 2 * ldc + TForm.Width);
        }

        if (TRows.Count > 3)
        {
            TForm.Store(c3a, c + 3 * ldc);
            TForm.Store(c3b, c + 3 * ldc + TForm.Width);
        }

        if (TRows.Count > 4)
        {
            TForm.Store(c4a, c + 4 * ldc);
            TForm.Store(c4b, c + 4 * ldc + TForm.Width);
        }

        if (TRows.Count > 5)
        {
            TForm.Store(c5a, c + 5 * ldc);
            TForm.Store(c5b, c + 5 * ldc + TForm.Width);
        }

        if (TRows.Count > 6)
        {
            TForm.Store(c6a, c + 6 * ldc);
            TForm.Store(c6b, c + 6 * ldc + TForm.Width);
        }

        if (TRows.Count > 7)
        {
            TForm.Store(c7a, c + 7 * ldc);
            TForm.Store(c7b, c + 7 * ldc + TForm.Width);
        }

        if (TRows.Count > 8)
        {
            TForm.Store(c8a, c + 8 * ldc);
            TForm.Store(c8b, c + 8 * ldc + TForm.Width);
        }

        if (TRows.Count > 9)
        {
            TForm.Store(c9a, c + 9 * ldc);
            TForm.Store(c9b, c + 9 * ldc + TForm.Width);
        }

        if (TRows.Count > 10)
        {
            TForm.Store(c10a, c + 10 * ldc);
            TForm.Store(c10b, c + 10 * ldc + TForm.Width);
        }

        if (TRows.Count > 11)
        {
            TForm.Store(c11a, c + 11 * ldc);
            TForm.Store(c11b, c + 11 * ldc + TForm.Width);
        }
    }
}
