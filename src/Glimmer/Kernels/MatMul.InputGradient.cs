using System.Runtime.CompilerServices;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

internal static unsafe partial class MatMul
{
    // Rows of the weight that are fp32 at a time.
    private const int GradientRows = 256;

    // Columns of a panel that are expanded at a time: the longest super-block.
    private const int ExpandedColumns = 256;

    /// <summary>Floats of scratch memory that <see cref="InputGradient"/> needs.</summary>
    public static long InputGradientScratch(PackedMatrix w) => (long)Math.Min(GradientRows, w.Panels * PackedMatrix.PanelRows) * w.Columns;

    /// <summary><c>dx[t, k] = sum_o dy[t, o] w[o, k]</c> for a weight with blocks: its rows become fp32 a few at a time, so no copy of the matrix is kept.</summary>
    /// <param name="team">Threads to use.</param>
    /// <param name="dy">Output gradients [tokens, O], rows <paramref name="lddy"/> floats apart.</param>
    /// <param name="lddy">Distance of the rows of <paramref name="dy"/>.</param>
    /// <param name="tokens">Rows.</param>
    /// <param name="w">Weight [O, K] of a type with blocks.</param>
    /// <param name="dx">Output [tokens, K], rows <paramref name="lddx"/> floats apart.</param>
    /// <param name="lddx">Distance of the rows of <paramref name="dx"/>.</param>
    /// <param name="scratch"><see cref="InputGradientScratch"/> floats.</param>
    /// <remarks>One chain over o from +0 for each element, as the product with the transposed fp32 matrix has it: the same bits.</remarks>
    public static void InputGradient(ThreadTeam team, float* dy, int lddy, int tokens, PackedMatrix w, float* dx, int lddx, float* scratch)
    {
        for (int first = 0; first < w.Rows; first += GradientRows)
        {
            int rows = Math.Min(GradientRows, w.Rows - first);
            team.Run(new ExpandRows(w, first / PackedMatrix.PanelRows, (rows + PackedMatrix.PanelRows - 1) / PackedMatrix.PanelRows, scratch));
            var batch = new ProductBatch(team, 1);
            batch.Add(new Product
            {
                A = dy + first,
                LdA = lddy,
                Raw = scratch,
                LdRaw = w.Columns,
                Type = DType.F32,
                C = dx,
                LdC = lddx,
                Mode = first == 0 ? GradientMode.Start : GradientMode.Continue,
                M = tokens,
                N = w.Columns,
                Depth = rows,
            });
            batch.Run();
        }

        GC.KeepAlive(w);
    }

    /// <summary>Panels to row-major fp32.</summary>
    private sealed class ExpandRows(PackedMatrix w, int firstPanel, int panels, float* output) : TeamJob
    {
        private readonly BlockKernel _kernel = BlockKernel.For(w.Type) ?? throw new ArgumentException($"{w} has no blocks.", nameof(w));
        private int _next;

        [SkipLocalsInit]
        public override void Execute(int thread, int threads)
        {
            float* columns = stackalloc float[ExpandedColumns * PackedMatrix.PanelRows];
            for (int panel = Interlocked.Increment(ref _next) - 1; panel < panels; panel = Interlocked.Increment(ref _next) - 1)
            {
                float* rows = output + ((long)panel * PackedMatrix.PanelRows * w.Columns);
                for (int from = 0; from < w.Columns; from += ExpandedColumns)
                {
                    int count = Math.Min(ExpandedColumns, w.Columns - from);
                    _kernel.Expand(w.Data + ((firstPanel + panel) * w.PanelBytes), from, count, columns);
                    for (int row = 0; row < PackedMatrix.PanelRows; row++)
                    {
                        float* target = rows + ((long)row * w.Columns) + from;
                        for (int k = 0; k < count; k++)
                            target[k] = columns[(k * PackedMatrix.PanelRows) + row];
                    }
                }
            }
        }
    }
}
