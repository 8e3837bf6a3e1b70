using System.Runtime.CompilerServices;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>Expands a part of a panel of plain numbers to fp32, with the same instructions as the tile. Integer blocks expand in <see cref="BlockKernel"/>.</summary>
internal static unsafe class PanelExpander
{
    /// <summary>Writes columns <paramref name="from"/> to <paramref name="from"/> + <paramref name="count"/> - 1 of a panel, 32 floats each.</summary>
    /// <param name="panel">First byte of the panel.</param>
    /// <param name="from">First column.</param>
    /// <param name="count">Columns.</param>
    /// <param name="output">[count, 32].</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Run<TPanel, TForm, TVector>(byte* panel, int from, int count, float* output)
        where TPanel : struct, IPanelFormat<TVector>
        where TForm : struct, IVectorForm<TVector>
        where TVector : struct
    {
        panel += (long)from * TPanel.ColumnBytes;
        for (int i = 0; i < count; i++, panel += TPanel.ColumnBytes, output += PackedMatrix.PanelRows)
        {
            for (int lane = 0; lane < PackedMatrix.PanelRows; lane += 2 * TForm.Width)
            {
                TPanel.Column(panel, i, lane, default, default, default, default, out TVector w0, out TVector w1);
                TForm.Store(w0, output + lane);
                TForm.Store(w1, output + lane + TForm.Width);
            }
        }
    }

    /// <summary>The same for numbers with scales: <paramref name="from"/> and <paramref name="count"/> are whole numbers of blocks.</summary>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void RunBlocks<TPanel, TForm, TVector>(byte* panel, int from, int count, float* output)
        where TPanel : struct, IPanelFormat<TVector>
        where TForm : struct, IVectorForm<TVector>
        where TVector : struct
    {
        panel += (long)(from / TPanel.BlockColumns) * (TPanel.HeaderBytes + TPanel.CodeBytes);
        for (; count > 0; count -= TPanel.BlockColumns, panel += TPanel.HeaderBytes + TPanel.CodeBytes, output += TPanel.BlockColumns * PackedMatrix.PanelRows)
        {
            byte* codes = panel + TPanel.HeaderBytes;
            for (int lane = 0; lane < PackedMatrix.PanelRows; lane += 2 * TForm.Width)
            {
                TPanel.Scales(panel, lane, out TVector scale0, out TVector scale1, out TVector offset0, out TVector offset1);
                for (int i = 0; i < TPanel.BlockColumns; i++)
                {
                    TPanel.Column(codes, i, lane, scale0, scale1, offset0, offset1, out TVector w0, out TVector w1);
                    TForm.Store(w0, output + (i * PackedMatrix.PanelRows) + lane);
                    TForm.Store(w1, output + (i * PackedMatrix.PanelRows) + lane + TForm.Width);
                }
            }
        }
    }
}
