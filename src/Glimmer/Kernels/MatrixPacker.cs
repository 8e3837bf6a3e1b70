using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>Packs weights on a thread team, panel by panel.</summary>
internal static class MatrixPacker
{
    /// <summary>Fills <paramref name="matrix"/> from the rows of the sources, stacked in order (q, k and v; gate and up).</summary>
    /// <exception cref="ArgumentException">The sources differ in type, the type does not fit, or the rows do not add up.</exception>
    public static PackedMatrix Pack(ThreadTeam team, PackedMatrix matrix, ReadOnlySpan<RowSource> sources)
    {
        RequireRows(sources, matrix.Rows, "rows", matrix);
        RequireOneType(sources);
        Run(team, matrix, sources, transposed: false);
        return matrix;
    }

    /// <summary>
    /// Fills <paramref name="matrix"/> <c>[K, O]</c> from the transpose of the stacked sources <c>[O, K]</c>, for input gradients: <c>dx = dy W</c> is then a
    /// product like any other.
    /// </summary>
    /// <exception cref="ArgumentException">The type does not fit, or the source rows do not add up to the columns of the matrix.</exception>
    /// <exception cref="NotSupportedException">The type has blocks along the columns.</exception>
    public static PackedMatrix PackTransposed(ThreadTeam team, PackedMatrix matrix, ReadOnlySpan<RowSource> sources)
    {
        RequireRows(sources, matrix.Columns, "columns", matrix);
        Run(team, matrix, sources, transposed: true);
        return matrix;
    }

    /// <summary>Fills many matrices, each from one source; a thread takes whole matrices.</summary>
    public static void PackEach(ThreadTeam team, IReadOnlyList<(PackedMatrix Matrix, RowSource Source)> works, bool transposed) =>
        team.Run(new EachJob(works, transposed));

    private static unsafe void Run(ThreadTeam team, PackedMatrix matrix, ReadOnlySpan<RowSource> sources, bool transposed) =>
        team.Run(new PackJob(matrix, sources.ToArray(), transposed));

    private static void RequireRows(ReadOnlySpan<RowSource> sources, int expected, string what, PackedMatrix matrix)
    {
        int rows = 0;
        foreach (RowSource source in sources)
            rows = checked(rows + source.Rows);
        if (sources.IsEmpty || rows != expected)
            throw new ArgumentException($"The sources have {rows} rows together, but {matrix} has {expected} {what}.", nameof(sources));
    }

    private static void RequireOneType(ReadOnlySpan<RowSource> sources)
    {
        foreach (RowSource source in sources)
        {
            if (source.Type != sources[0].Type)
                throw new ArgumentException($"Stacked sources must have one type, but there are {sources[0].Type} and {source.Type}.", nameof(sources));
        }
    }

    private sealed class EachJob(IReadOnlyList<(PackedMatrix Matrix, RowSource Source)> works, bool transposed) : TeamJob
    {
        private int _next;

        public override void Execute(int thread, int threads)
        {
            for (int i = Interlocked.Increment(ref _next) - 1; i < works.Count; i = Interlocked.Increment(ref _next) - 1)
                new PackJob(works[i].Matrix, [works[i].Source], transposed).Execute(0, 1);
        }
    }

    private sealed class PackJob(PackedMatrix matrix, RowSource[] sources, bool transposed) : TeamJob
    {
        private int _next;

        public override void Execute(int thread, int threads)
        {
            for (int panel = Interlocked.Increment(ref _next) - 1; panel < matrix.Panels; panel = Interlocked.Increment(ref _next) - 1)
            {
                if (transposed)
                    matrix.PackPanelTransposed(panel, sources);
                else
                    matrix.PackPanel(panel, sources);
            }
        }
    }
}
