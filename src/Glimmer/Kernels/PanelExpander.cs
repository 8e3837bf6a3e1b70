using System.Runtime.CompilerServices;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>Expands a part of a panel of plain numbers to fp32, with the same instructions as the tile. Blocks expand in <see cref="BlockKernel"/>.</summary>
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
}
