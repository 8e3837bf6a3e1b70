using System.Runtime.CompilerServices;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>Expands a block of a panel to fp32, with the same instructions as the tile.</summary>
internal static unsafe class PanelExpander
{
    /// <summary>Writes columns <paramref name="from"/> to <paramref name="from"/> + <paramref name="count"/> - 1 of a panel, 32 floats each.</summary>
    /// <param name="panel">First byte of the panel.</param>
    /// <param name="from">First column, at a block boundary.</param>
    /// <param name="count">Columns, a whole number of blocks.</param>
    /// <param name="output">[count, 32].</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Run<TPanel, TForm, TVector>(byte* panel, int from, int count, float* output)
        where TPanel : struct, IPanelFormat<TVector>
        where TForm : struct, IVectorForm<TVector>
        where TVector : struct
    {
        int block = TPanel.BlockColumns == 0 ? count : TPanel.BlockColumns;
        panel += TPanel.BlockColumns == 0
            ? (long)from * TPanel.ColumnBytes
            : (long)(from / TPanel.BlockColumns) * (TPanel.HeaderBytes + TPanel.BlockColumns * TPanel.ColumnBytes);
        for (; count > 0; count -= block)
        {
            for (int lane = 0; lane < PackedMatrix.PanelRows; lane += 2 * TForm.Width)
            {
                TPanel.Scales(panel, lane, out TVector scale0, out TVector scale1, out TVector offset0, out TVector offset1);
                byte* column = panel + TPanel.HeaderBytes;
                for (int i = 0; i < block; i++, column += TPanel.ColumnBytes)
                {
                    TPanel.Column(column, lane, scale0, scale1, offset0, offset1, out TVector w0, out TVector w1);
                    TForm.Store(w0, output + i * PackedMatrix.PanelRows + lane);
                    TForm.Store(w1, output + i * PackedMatrix.PanelRows + lane + TForm.Width);
                }
            }

            panel += TPanel.HeaderBytes + (long)block * TPanel.ColumnBytes;
            output += block * PackedMatrix.PanelRows;
        }
    }
}
