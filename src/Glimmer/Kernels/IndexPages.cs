using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>Cache pages that hold index keys in 8 bits: 64 keys as two packed panels of Q8_0, so that scores are products of the integer kernels.</summary>
/// <remarks>
/// A key is stored as Q8_0 blocks of 32 elements, the last one filled up with zeros; queries are quantised as all activations are (<see cref="BlockActivations"/>), each head
/// by itself. A product is the chain of <see cref="MatMul.BlockTwin"/> over the blocks. DeepSeek-V3.2 keeps its index keys in FP8 for the same reason.
/// </remarks>
internal static unsafe class IndexPages
{
    private const DType Type = DType.Q8_0;
    private const int PanelRows = PackedMatrix.PanelRows;

    /// <summary>Elements of a stored key: <paramref name="dim"/> rounded up to whole blocks.</summary>
    public static int Columns(int dim) => (dim + BlockActivations.Columns - 1) / BlockActivations.Columns * BlockActivations.Columns;

    /// <summary>Bytes of a page.</summary>
    public static long PageBytes(int dim) => KeyValueLayout.PagePositions / PanelRows * PanelBytes(dim);

    /// <summary>Bytes of the quantised queries of so many rows.</summary>
    public static long QueryBytes(int rows, int dim) => (long)rows * (Columns(dim) / BlockActivations.Columns) * BlockActivations.Bytes;

    /// <summary>Stores a key.</summary>
    /// <param name="blocks">The key as Q8_0 blocks, <see cref="Columns"/> elements.</param>
    /// <param name="dim">Width of the key.</param>
    /// <param name="page">The page.</param>
    /// <param name="slot">Position % 64.</param>
    /// <returns>False when a scale is not finite.</returns>
    public static bool Write(byte* blocks, int dim, byte* page, int slot) =>
        BlockKernel.For(Type)!.Pack(blocks, Columns(dim), page + (slot / PanelRows * PanelBytes(dim)), slot % PanelRows);

    /// <summary>Quantises queries.</summary>
    /// <param name="q">Queries, [rows, dim].</param>
    /// <param name="rows">Rows: tokens times index heads.</param>
    /// <param name="dim">Width of a query.</param>
    /// <param name="padded">Room for <see cref="Columns"/> floats.</param>
    /// <param name="quantized">Receives <see cref="QueryBytes"/> bytes: tiles of at most six rows.</param>
    public static void Quantize(float* q, int rows, int dim, float* padded, byte* quantized)
    {
        BlockKernel kernel = BlockKernel.For(Type)!;
        int columns = Columns(dim), tiles = BlockKernel.Tiles(rows);
        new Span<float>(padded, columns).Clear();
        for (int tile = 0; tile < tiles; tile++)
        {
            int first = BlockKernel.TileStart(tile, rows), count = BlockKernel.TileStart(tile + 1, rows) - first;
            for (int row = 0; row < count; row++)
            {
                float* x = q + (long)(first + row) * dim;
                if (columns != dim)
                {
                    new ReadOnlySpan<float>(x, dim).CopyTo(new Span<float>(padded, dim));
                    x = padded;
                }

                kernel.Quantize(x, columns, row, count, quantized + QueryBytes(first, dim));
            }
        }
    }

    /// <summary>Products of quantised queries with the first keys of a page.</summary>
    /// <param name="quantized">From <see cref="Quantize"/>.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="dim">Width of a query.</param>
    /// <param name="page">The page.</param>
    /// <param name="keys">Keys wanted, 1 to 64; those of a whole panel are computed.</param>
    /// <param name="prepared">Room for <see cref="Columns"/> floats.</param>
    /// <param name="products">Receives the products, 64 a row.</param>
    /// <param name="next">The page that is read next, or null: pages lie apart, so the processor does not see it coming.</param>
    public static void Multiply(byte* quantized, int rows, int dim, byte* page, int keys, float* prepared, float* products, byte* next)
    {
        BlockKernel kernel = BlockKernel.For(Type)!;
        int columns = Columns(dim), tiles = BlockKernel.Tiles(rows);
        for (int panel = 0; panel * PanelRows < keys; panel++, page += PanelBytes(dim), products += PanelRows)
        {
            kernel.Prepare(page, columns, prepared);
            for (int tile = 0; tile < tiles; tile++)
            {
                if (next != null)
                {
                    byte* end = next + (PanelBytes(dim) / tiles);
                    for (; next < end; next += 64)
                        BlockPrefetch.Line(next);
                }

                int first = BlockKernel.TileStart(tile, rows), count = BlockKernel.TileStart(tile + 1, rows) - first;
                kernel.Multiply(
                    quantized + QueryBytes(first, dim), count, page, columns, products + ((long)first * KeyValueLayout.PagePositions), KeyValueLayout.PagePositions, null, prepared);
            }
        }
    }

    private static long PanelBytes(int dim) => PanelRows * Type.ByteSize(Columns(dim));
}
