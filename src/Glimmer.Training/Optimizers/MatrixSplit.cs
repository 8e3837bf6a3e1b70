namespace Glimmer.Training.Optimizers;

/// <summary>How Muon cuts a matrix into blocks that are orthogonalised each on its own.</summary>
/// <remarks>
/// GLM-5 (arXiv 2602.15763, section 2.1, "Muon Split") cuts the up-projections of MLA by head: <c>q_b_proj</c> into rows of the head dimension,
/// <c>kv_b_proj</c> into the key rows and the value rows of each head. Everything else stays whole. A matrix that fuses q, k and v is cut by
/// <see cref="Groups"/>, as Megatron-core's <c>split_qkv</c> does.
/// </remarks>
public abstract record MatrixSplit
{
    /// <summary>The whole matrix is one block.</summary>
    public static MatrixSplit Whole { get; } = new WholeSplit();

    /// <summary>Consecutive blocks of <paramref name="sizes"/> rows, repeated to the end; each is a block.</summary>
    public static MatrixSplit Rows(params IReadOnlyList<int> sizes) => new RowSplit(sizes, Gather: false);

    /// <summary>Blocks of <paramref name="width"/> columns.</summary>
    public static MatrixSplit Columns(int width) => new ColumnSplit(width);

    /// <summary>The row pattern is repeated to the end; all rows of the same place in the pattern are gathered to one block.</summary>
    public static MatrixSplit Groups(params IReadOnlyList<int> sizes) => new RowSplit(sizes, Gather: true);

    /// <summary>Cuts a matrix. The blocks cover every element once.</summary>
    /// <exception cref="ArgumentException">The sizes do not divide the matrix.</exception>
    internal abstract IReadOnlyList<MatrixBlock> Cut(int rows, int columns);

    private sealed record WholeSplit : MatrixSplit
    {
        internal override IReadOnlyList<MatrixBlock> Cut(int rows, int columns) => [new([(0, rows)], 0, columns)];
    }

    private sealed record ColumnSplit(int Width) : MatrixSplit
    {
        internal override IReadOnlyList<MatrixBlock> Cut(int rows, int columns)
        {
            if (Width < 1 || columns % Width != 0)
                throw new ArgumentException($"{columns} columns cannot be cut into blocks of {Width}.");
            return [.. Enumerable.Range(0, columns / Width).Select(i => new MatrixBlock([(0, rows)], i * Width, Width))];
        }
    }

    private sealed record RowSplit(IReadOnlyList<int> Sizes, bool Gather) : MatrixSplit
    {
        internal override IReadOnlyList<MatrixBlock> Cut(int rows, int columns)
        {
            int period = Sizes.Sum();
            if (Sizes.Count == 0 || Sizes.Any(size => size < 1) || rows % period != 0)
                throw new ArgumentException($"{rows} rows cannot be cut into blocks of {string.Join(", ", Sizes)}.");
            var parts = new List<(int First, int Count)>[Sizes.Count];
            var single = new List<MatrixBlock>();
            for (int start = 0; start < rows;)
            {
                for (int i = 0; i < parts.Length; start += Sizes[i], i++)
                {
                    (parts[i] ??= []).Add((start, Sizes[i]));
                    single.Add(new MatrixBlock([(start, Sizes[i])], 0, columns));
                }
            }

            return Gather ? [.. parts.Select(part => new MatrixBlock(part, 0, columns))] : single;
        }
    }
}

/// <summary>A part of a matrix: runs of rows, one range of columns.</summary>
/// <param name="Runs">First row and number of rows of each run, in order.</param>
/// <param name="FirstColumn">First column.</param>
/// <param name="Columns">Number of columns.</param>
internal sealed record MatrixBlock(IReadOnlyList<(int First, int Count)> Runs, int FirstColumn, int Columns)
{
    /// <summary>Rows of all runs.</summary>
    public int Rows { get; } = Runs.Sum(run => run.Count);
}
