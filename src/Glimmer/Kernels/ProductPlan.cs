using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>Cuts a list of products into units of work. The cut decides who computes an output, never how.</summary>
internal static unsafe class ProductPlan
{
    /// <summary>Columns of a block along the chain: packed rows and panel stay in the caches.</summary>
    public const int BlockDepth = 512;

    /// <summary>Left-hand tiles that a thread packs at a time.</summary>
    public const int TileGroup = 4;

    /// <summary>Right-hand panels that a thread packs at a time: neighbours share cache lines and pages of the source.</summary>
    public const int PanelGroup = 4;

    /// <summary>Floats of scratch behind the packed rows: an expanded panel block, then an edge tile and a bias strip.</summary>
    public const int PanelFloats = BlockDepth * PackedMatrix.PanelRows;
    public const int EdgeFloats = 16 * PackedMatrix.PanelRows;

    // Work is counted in cycles of one AVX-512 core: 32 multiply-adds a cycle, or 4 bytes of weights from memory.
    private const long SmallWork = 4_000;
    private const long SmallestUnit = 6_000;
    private const int UnitsPerThread = 12;
    private const int ChunkRows = 120;
    private const int ChunkRowsExpanded = 240;
    private const int SmallestChunkRows = 48;
    private const int SmallestChunkPanels = 16;
    private const long MaxChunkFloats = 1 << 18;

    /// <summary>Sets tiles, chunks and unit numbers of all products.</summary>
    /// <returns>The number of threads worth using: 1 when the work is too small to share, else <paramref name="threads"/>.</returns>
    public static int Cut(ref ProductList list, int threads, int tileRows)
    {
        long total = 0;
        for (int i = 0; i < list.Count; i++)
            total += Cost(list.Products[i], list.Products[i].M, list.Products[i].PanelCount);
        if (total < SmallWork)
            threads = 1;
        long unit = Math.Max(SmallestUnit, total / (threads * UnitsPerThread));

        for (int i = 0; i < list.Count; i++)
        {
            Product* product = list.Products + i;
            Cut(product, unit, threads, tileRows);
            product->FirstUnit = list.Units;
            list.Units += product->RowChunks * product->PanelChunks;
            product->FirstPacking = list.Packings;
            product->TileGroups = product->Rows == null ? 0 : (product->Tiles + TileGroup - 1) / TileGroup;
            list.Packings += product->TileGroups;
            if (product->Raw != null)
                list.Packings += (product->PanelCount + PanelGroup - 1) / PanelGroup;
            if (product->Rows == null)
                list.RowFloats = Math.Max(list.RowFloats, (long)product->M * product->Depth);
        }

        list.ScratchFloats = list.RowFloats + PanelFloats + EdgeFloats;
        return threads;
    }

    /// <summary>Depth of the blocks in which a product runs: everything at once for a single tile, and where the finished chain is added to the output.</summary>
    public static int BlockOf(in Product product) =>
        product.Tiles == 1 || product.Mode == GradientMode.AddTo ? Math.Max(product.Depth, 1) : BlockDepth;

    private static void Cut(Product* product, long unit, int threads, int tileRows)
    {
        int m = product->M, panels = product->PanelCount;
        product->Tiles = (m + tileRows - 1) / tileRows;
        product->RowChunks = 1;
        product->PanelChunks = 1;
        if (product->Tiles == 1)
        {
            long chunks = Cost(*product, m, panels) / unit;
            product->PanelChunks = (int)Math.Clamp(chunks, 1, panels);
            return;
        }

        int rows = product->Type == DType.F32 ? ChunkRows : ChunkRowsExpanded;
        if (product->Mode == GradientMode.AddTo)
            rows = (int)Math.Clamp(MaxChunkFloats / Math.Max(product->Depth, 1), tileRows, rows);
        int mostPanelChunks = Math.Max(1, panels / SmallestChunkPanels);
        while (rows > SmallestChunkRows && (long)((m + rows - 1) / rows) * mostPanelChunks < 4 * threads)
            rows /= 2;
        product->RowChunks = Math.Min(product->Tiles, (m + rows - 1) / rows);
        if (product->RowChunks < 2 * threads)
            mostPanelChunks = panels;
        product->PanelChunks = (int)Math.Clamp(Cost(*product, m / product->RowChunks, panels) / unit, 1, mostPanelChunks);
    }

    private static long Cost(in Product product, int rows, int panels) =>
        panels * Math.Max((long)product.Depth * Math.Max(rows, 4), product.PanelBytes / 4);
}
