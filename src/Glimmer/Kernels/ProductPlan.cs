using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>Cuts a list of products into units of work. The cut decides who computes an output, never how.</summary>
internal static unsafe class ProductPlan
{
    /// <summary>Columns of a block along the chain: a tile of packed rows (24 KiB) stays in the first-level cache.</summary>
    public const int BlockDepth = 512;

    /// <summary>Panels of a unit at most: their block (512 KiB) stays in the second-level cache.</summary>
    public const int ChunkPanels = 8;

    /// <summary>Right sides of at most this many panels have their left side packed block by block; it is packed again for each chunk of panels.</summary>
    public const int BlockPackedPanels = 2 * ChunkPanels;

    /// <summary>Left-hand tiles that a thread packs at a time.</summary>
    public const int TileGroup = 4;

    /// <summary>Right-hand panels that a thread packs at a time: neighbours share cache lines and pages of the source.</summary>
    public const int PanelGroup = 4;

    /// <summary>Floats of an edge tile and a bias strip.</summary>
    public const int EdgeFloats = 16 * PackedMatrix.PanelRows;

    // Work is counted in cycles of one AVX-512 core: 32 multiply-adds a cycle, or 4 bytes of weights from memory.
    private const long SmallWork = 4_000;
    private const long SmallestUnit = 6_000;
    private const int UnitsPerThread = 12;
    private const int ChunkRows = 96;
    private const int SmallestChunkRows = 36;
    private const int MostAddedRows = 240;

    /// <summary>Whether the tile of few rows reads weights of a type as they are; others are expanded to fp32, a part of a panel at a time.</summary>
    public static bool IsStreamed(DType type) => type is DType.F32 or DType.BF16 or DType.F16 or DType.F8Blocks or DType.Q8_0 or DType.Q4_1;

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
            AddScratch(ref list, *product, tileRows);
        }

        return threads;
    }

    private static void Cut(Product* product, long unit, int threads, int tileRows)
    {
        int m = product->M, panels = product->PanelCount;
        product->Tiles = (m + tileRows - 1) / tileRows;
        product->RowChunks = 1;
        if (product->Tiles == 1)
        {
            int fewest = IsStreamed(product->Type) ? 1 : (panels + ChunkPanels - 1) / ChunkPanels;
            product->PanelChunks = (int)Math.Clamp(Cost(*product, m, panels) / unit, fewest, panels);
            return;
        }

        product->PanelChunks = (panels + ChunkPanels - 1) / ChunkPanels;
        long wanted = Math.Max(1, Cost(*product, m, panels) / product->PanelChunks / unit);
        int least = product->PanelChunks * (m / ChunkRows) < 4 * threads ? SmallestChunkRows : ChunkRows;
        product->RowChunks = (int)Math.Clamp(wanted, 1, Math.Max(1, m / least));
        if (product->Mode == GradientMode.AddTo)
            product->RowChunks = Math.Max(product->RowChunks, (m + MostAddedRows - 1) / MostAddedRows);
        product->RowChunks = Math.Min(product->RowChunks, product->Tiles);
    }

    private static void AddScratch(ref ProductList list, in Product product, int tileRows)
    {
        bool single = product.Rows == null && !product.PacksInBlocks;
        if (product.PacksInBlocks)
            list.RowFloats = Math.Max(list.RowFloats, tileRows * BlockDepth);
        else if (single)
            list.RowFloats = Math.Max(list.RowFloats, ((long)product.M * product.Depth + 15) & ~15L);
        if (single ? !IsStreamed(product.Type) : product.Type != DType.F32)
            list.PanelFloats = ChunkPanels * BlockDepth * PackedMatrix.PanelRows;
        if (product.Mode == GradientMode.AddTo)
        {
            long chunkTiles = (product.Tiles + product.RowChunks - 1) / product.RowChunks;
            list.SumFloats = Math.Max(list.SumFloats, chunkTiles * tileRows * ChunkPanels * PackedMatrix.PanelRows);
        }
    }

    private static long Cost(in Product product, int rows, int panels) =>
        panels * Math.Max((long)product.Depth * Math.Max(rows, 4), product.PanelBytes / 4);
}
