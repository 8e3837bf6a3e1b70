namespace Glimmer.Tensors;

/// <summary>Rows of a weight as they lie in a file or in memory, to be packed into a <see cref="PackedMatrix"/>.</summary>
/// <param name="data">First byte of row 0.</param>
/// <param name="type">How the elements are stored.</param>
/// <param name="rows">Rows to take.</param>
/// <param name="rowBytes">Distance of the rows in bytes.</param>
/// <param name="order">For each row taken, its index in memory; null takes them in order. Must stay valid while packing.</param>
internal readonly unsafe struct RowSource(byte* data, DType type, int rows, long rowBytes, int* order = null)
{
    /// <summary>A row-major matrix without gaps.</summary>
    public RowSource(Tensor weight)
        : this(weight.Data, weight.Type, weight.Shape[0], weight.Type.ByteSize(weight.Count / Math.Max(1, weight.Shape[0])))
    {
    }

    /// <summary>How the elements are stored.</summary>
    public DType Type { get; } = type;

    /// <summary>Rows to take.</summary>
    public int Rows { get; } = rows;

    /// <summary>First byte of a row.</summary>
    public byte* Row(int index) => data + rowBytes * (order == null ? index : order[index]);

    /// <summary>Finds rows <paramref name="first"/> to <paramref name="first"/> + 31 of the stacked <paramref name="sources"/>; null past the end.</summary>
    public static void Locate(ReadOnlySpan<RowSource> sources, int first, byte** rows)
    {
        int source = 0, within = first;
        for (int i = 0; i < PackedMatrix.PanelRows; i++, within++)
        {
            while (source < sources.Length && within >= sources[source].Rows)
                within -= sources[source++].Rows;
            rows[i] = source < sources.Length ? sources[source].Row(within) : null;
        }
    }
}
