using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>What the threads do with a <see cref="ProductList"/>: pack right sides, then multiply unit after unit.</summary>
internal static unsafe class ProductUnits<TForm, TVector>
    where TForm : struct, IVectorForm<TVector>
    where TVector : struct
{
    private const int PanelRows = PackedMatrix.PanelRows;
    private const int RowsAhead = 8;

    private static int StripRows => 2 * TForm.Width;

    /// <summary>Packs left sides and fresh right sides until none is left. A job of the team.</summary>
    public static void Pack(void* state, int thread, int threads)
    {
        var list = (ProductList*)state;
        int product = 0;
        for (int unit = Next(ref list->NextPacking); unit < list->Packings; unit = Next(ref list->NextPacking))
        {
            while (product + 1 < list->Count && list->Products[product + 1].FirstPacking <= unit)
                product++;
            ref readonly Product p = ref list->Products[product];
            int group = unit - p.FirstPacking;
            if (group < p.TileGroups)
                PackTiles(p, group * ProductPlan.TileGroup);
            else
                PackPanels(p, (group - p.TileGroups) * ProductPlan.PanelGroup);
        }
    }

    /// <summary>Computes units until none is left. A job of the team.</summary>
    public static void Multiply(void* state, int thread, int threads)
    {
        var list = (ProductList*)state;
        float* rows = list->Scratch[thread];
        int product = 0, packed = -1;
        for (int unit = Next(ref list->NextUnit); unit < list->Units; unit = Next(ref list->NextUnit))
        {
            while (product + 1 < list->Count && list->Products[product + 1].FirstUnit <= unit)
                product++;
            ref readonly Product p = ref list->Products[product];
            int within = unit - p.FirstUnit;
            int rowChunk = within / p.PanelChunks, panelChunk = within % p.PanelChunks;
            var chunk = new Chunk
            {
                FirstTile = (int)((long)p.Tiles * rowChunk / p.RowChunks),
                EndTile = (int)((long)p.Tiles * (rowChunk + 1) / p.RowChunks),
                FirstPanel = (int)((long)p.PanelCount * panelChunk / p.PanelChunks),
                EndPanel = (int)((long)p.PanelCount * (panelChunk + 1) / p.PanelChunks),
                Rows = p.Rows,
                Panels = rows + list->RowFloats,
                Edge = rows + list->RowFloats + list->PanelFloats,
                Sums = rows + list->RowFloats + list->PanelFloats + ProductPlan.EdgeFloats,
            };
            if (p.PacksInBlocks)
            {
                chunk.Rows = rows;
                packed = -1;
                Blocks(p, chunk);
            }
            else if (p.Rows == null)
            {
                // The only tile of the product: its rows are packed once for all units that this thread takes.
                chunk.Rows = OneTileRows(p, rows, packed == product);
                packed = product;
                if (ProductPlan.IsStreamed(p.Type))
                    OneTile(p, chunk);
                else
                    Blocks(p, chunk);
            }
            else
            {
                Blocks(p, chunk);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Next(ref int counter) => Interlocked.Increment(ref counter) - 1;

    private static float* OneTileRows(in Product p, float* rows, bool packed)
    {
        if (p.M == 1 && !p.ATransposed)
            return Row(p, 0);
        if (!packed)
            PackTile(p, 0, p.M, 0, p.Depth, rows);
        return rows;
    }

    private static void OneTile(in Product p, in Chunk chunk)
    {
        for (int panel = chunk.FirstPanel; panel < chunk.EndPanel; panel++)
        {
            byte* weights = p.Panels + panel * p.PanelBytes;
            int first = panel * PanelRows;
            if (p.M <= 2 && p.Mode == GradientMode.Start && TForm.Width == 8 && first + PanelRows <= p.N)
            {
                Pair(p, chunk.Rows, weights, weights, 0, StripRows, first, StripRows);
                continue;
            }

            if (p.M <= 2 && p.Mode == GradientMode.Start && panel + 1 < chunk.EndPanel && first + 2 * PanelRows <= p.N)
            {
                for (int lane = 0; lane < PanelRows; lane += StripRows)
                    Pair(p, chunk.Rows, weights, weights + p.PanelBytes, lane, lane, first + lane, PanelRows);
                panel++;
                continue;
            }

            for (int lane = 0; lane < PanelRows && first + lane < p.N; lane += StripRows)
                Strip(p, p.Type, chunk, 0, p.M, chunk.Rows, weights, lane, first + lane, p.Depth, p.Mode == GradientMode.Continue, last: true, fetch: null);
        }
    }

    private static void Pair(in Product p, float* x, byte* weights, byte* second, int lane, int secondLane, int output, nint distance)
    {
        switch (p.Type)
        {
            case DType.F32:
                Pair<PlainPanel<F32Number<TForm, TVector>, TForm, TVector>>(p, x, weights, second, lane, secondLane, output, distance);
                break;
            case DType.BF16:
                Pair<PlainPanel<BF16Number<TForm, TVector>, TForm, TVector>>(p, x, weights, second, lane, secondLane, output, distance);
                break;
            case DType.F16:
                Pair<PlainPanel<F16Number<TForm, TVector>, TForm, TVector>>(p, x, weights, second, lane, secondLane, output, distance);
                break;
            case DType.F8Blocks:
                Pair<F8Panel<TForm, TVector>>(p, x, weights, second, lane, secondLane, output, distance);
                break;
            case DType.Q8_0:
                Pair<Q8_0Panel<TForm, TVector>>(p, x, weights, second, lane, secondLane, output, distance);
                break;
            default:
                Pair<Q4_1Panel<TForm, TVector>>(p, x, weights, second, lane, secondLane, output, distance);
                break;
        }
    }

    private static void Pair<TPanel>(in Product p, float* x, byte* weights, byte* second, int lane, int secondLane, int output, nint distance)
        where TPanel : struct, IPanelFormat<TVector>
    {
        float* c = p.C + output;
        float* bias = p.Bias == null ? null : p.Bias + output;
        if (p.M == 1)
            MatMulPairTile.Run<Rows1, TPanel, TForm, TVector>(x, weights, second, lane, secondLane, p.Depth, c, distance, p.LdC, bias);
        else
            MatMulPairTile.Run<Rows2, TPanel, TForm, TVector>(x, weights, second, lane, secondLane, p.Depth, c, distance, p.LdC, bias);
    }

    // The panels of a chunk stay in the second-level cache and a tile's rows in the first while the tile goes over the panels.
    private static void Blocks(in Product p, in Chunk chunk)
    {
        byte** weights = stackalloc byte*[ProductPlan.ChunkPanels];
        for (int from = 0; from == 0 || from < p.Depth; from += ProductPlan.BlockDepth)
        {
            int count = Math.Min(ProductPlan.BlockDepth, p.Depth - from);
            bool resume = from > 0 || p.Mode == GradientMode.Continue, last = from + count >= p.Depth;
            for (int panel = chunk.FirstPanel; panel < chunk.EndPanel; panel++)
            {
                int index = panel - chunk.FirstPanel;
                weights[index] = PanelBlock(p, panel, from, count, chunk.Panels + index * ProductPlan.BlockDepth * PanelRows);
            }

            for (int tile = chunk.FirstTile; tile < chunk.EndTile; tile++)
            {
                int row = p.TileStart(tile), rows = p.TileStart(tile + 1) - row;
                float* x = p.PacksInBlocks ? chunk.Rows : chunk.Rows + (long)row * p.Depth + (long)rows * from;
                if (p.PacksInBlocks)
                    PackTile(p, row, rows, from, count, x);
                byte* next = tile + 1 < chunk.EndTile && !p.PacksInBlocks ? (byte*)(chunk.Rows + (long)(row + rows) * p.Depth + (long)rows * from) : null;
                for (int panel = chunk.FirstPanel; panel < chunk.EndPanel; panel++)
                {
                    int first = panel * PanelRows;
                    byte* fetch = next == null ? null : next + (panel - chunk.FirstPanel) * MatMulTile.FetchStep * count;
                    if (panel + 1 < chunk.EndPanel)
                        FetchOutputs(p, row, rows, first + PanelRows);
                    else if (tile + 1 < chunk.EndTile)
                        FetchOutputs(p, row + rows, rows, chunk.FirstPanel * PanelRows);
                    for (int lane = 0; lane < PanelRows && first + lane < p.N; lane += StripRows)
                        Strip(p, DType.F32, chunk, row, rows, x, weights[panel - chunk.FirstPanel], lane, first + lane, count, resume, last, fetch);
                }
            }
        }
    }

    // Brings the outputs of the next panel nearer while a tile computes.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FetchOutputs(in Product p, int row, int rows, int output)
    {
        if (!Sse.IsSupported)
            return;
        float* c = p.C + row * (long)p.LdC + output;
        for (int r = 0; r < rows; r++, c += p.LdC)
        {
            Sse.Prefetch1(c);
            Sse.Prefetch1(c + 16);
        }
    }

    // The block of a panel in fp32: where it lies, or expanded into scratch memory, from where all tiles of the chunk use it.
    private static byte* PanelBlock(in Product p, int panel, int from, int count, float* scratch)
    {
        byte* weights = p.Panels + panel * p.PanelBytes;
        switch (p.Type)
        {
            case DType.BF16:
                PanelExpander.Run<PlainPanel<BF16Number<TForm, TVector>, TForm, TVector>, TForm, TVector>(weights, from, count, scratch);
                return (byte*)scratch;
            case DType.F16:
                PanelExpander.Run<PlainPanel<F16Number<TForm, TVector>, TForm, TVector>, TForm, TVector>(weights, from, count, scratch);
                return (byte*)scratch;
            case DType.F8Blocks:
                PanelExpander.RunBlocks<F8Panel<TForm, TVector>, TForm, TVector>(weights, from, count, scratch);
                return (byte*)scratch;
            case DType.F32:
                return weights + (long)from * PanelRows * sizeof(float);
            default:
                BlockKernel.For(p.Type)!.Expand(weights, from, count, scratch);
                return (byte*)scratch;
        }
    }

    // One tile of one strip of outputs, straight into the output where the strip is full.
    private static void Strip(
        in Product p, DType type, in Chunk chunk, int row, int rows, float* x, byte* weights, int lane, int output, int columns,
        bool resume, bool last, byte* fetch)
    {
        float* c = p.C + row * (long)p.LdC + output;
        float* bias = last && p.Bias != null ? p.Bias + output : null;
        int width = Math.Min(StripRows, p.N - output);
        if (p.Mode == GradientMode.AddTo)
        {
            AddedStrip(p, chunk, row, rows, x, weights, lane, output, columns, resume, last, fetch);
        }
        else if (width == StripRows)
        {
            Tile(type, rows, x, weights, lane, columns, c, p.LdC, bias, resume, fetch);
        }
        else
        {
            float* edge = chunk.Edge;
            float* edgeBias = edge + 12 * PanelRows;
            if (resume)
                Copy(c, p.LdC, edge, PanelRows, rows, width);
            if (bias != null)
                Copy(bias, 0, edgeBias, 0, 1, width);
            Tile(type, rows, x, weights, lane, columns, edge, PanelRows, bias == null ? null : edgeBias, resume, fetch);
            Copy(edge, PanelRows, c, p.LdC, rows, width);
        }
    }

    // The chains of a strip in scratch memory; when they are finished they are added to the output.
    private static void AddedStrip(
        in Product p, in Chunk chunk, int row, int rows, float* x, byte* weights, int lane, int output, int columns, bool resume, bool last, byte* fetch)
    {
        const int LdSums = ProductPlan.ChunkPanels * PanelRows;
        int panel = (output / PanelRows - chunk.FirstPanel) % ProductPlan.ChunkPanels;
        float* sums = chunk.Sums + (row - p.TileStart(chunk.FirstTile)) * (long)LdSums + panel * PanelRows + lane;
        Tile(DType.F32, rows, x, weights, lane, columns, sums, LdSums, null, resume, fetch);
        if (!last)
            return;
        float* c = p.C + row * (long)p.LdC + output;
        int width = Math.Min(StripRows, p.N - output);
        for (int r = 0; r < rows; r++)
        {
            float* to = c + r * p.LdC;
            float* from = sums + r * LdSums;
            int i = 0;
            for (; i + TForm.Width <= width; i += TForm.Width)
                TForm.Store(TForm.Add(TForm.Load(to + i), TForm.Load(from + i)), to + i);
            for (; i < width; i++)
                to[i] += from[i];
        }
    }

    private static void Copy(float* from, nint ldFrom, float* to, nint ldTo, int rows, int width)
    {
        for (int r = 0; r < rows; r++)
            new ReadOnlySpan<float>(from + r * ldFrom, width).CopyTo(new Span<float>(to + r * ldTo, width));
    }

    private static void Tile(DType type, int rows, float* x, byte* weights, int lane, int columns, float* c, nint ldc, float* bias, bool resume, byte* fetch)
    {
        switch (type)
        {
            case DType.F32:
                Tile<PlainPanel<F32Number<TForm, TVector>, TForm, TVector>>(rows, x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case DType.BF16:
                Tile<PlainPanel<BF16Number<TForm, TVector>, TForm, TVector>>(rows, x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case DType.F16:
                Tile<PlainPanel<F16Number<TForm, TVector>, TForm, TVector>>(rows, x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case DType.F8Blocks:
                Tile<F8Panel<TForm, TVector>>(rows, x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case DType.Q8_0:
                Tile<Q8_0Panel<TForm, TVector>>(rows, x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case DType.Q4_1:
                Tile<Q4_1Panel<TForm, TVector>>(rows, x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            default:
                throw new NotSupportedException($"There is no matrix kernel for {type} weights.");
        }
    }

    private static void Tile<TPanel>(int rows, float* x, byte* weights, int lane, int columns, float* c, nint ldc, float* bias, bool resume, byte* fetch)
        where TPanel : struct, IPanelFormat<TVector>
    {
        switch (rows)
        {
            case 1:
                MatMulTile.Run<Rows1, TPanel, TForm, TVector>(x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case 2:
                MatMulTile.Run<Rows2, TPanel, TForm, TVector>(x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case 3:
                MatMulTile.Run<Rows3, TPanel, TForm, TVector>(x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case 4:
                MatMulTile.Run<Rows4, TPanel, TForm, TVector>(x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case 5:
                MatMulTile.Run<Rows5, TPanel, TForm, TVector>(x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case 6:
                MatMulTile.Run<Rows6, TPanel, TForm, TVector>(x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case 7:
                MatMulTile.Run<Rows7, TPanel, TForm, TVector>(x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case 8:
                MatMulTile.Run<Rows8, TPanel, TForm, TVector>(x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case 9:
                MatMulTile.Run<Rows9, TPanel, TForm, TVector>(x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case 10:
                MatMulTile.Run<Rows10, TPanel, TForm, TVector>(x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case 11:
                MatMulTile.Run<Rows11, TPanel, TForm, TVector>(x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            case 12:
                MatMulTile.Run<Rows12, TPanel, TForm, TVector>(x, weights, lane, columns, c, ldc, bias, resume, fetch);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(rows), rows, "A tile has 1 to 12 rows.");
        }
    }

    private static float* Row(in Product p, int row) => p.A + (p.Gather == null ? row : p.Gather[row]) * (long)p.LdA;

    private static void PackTiles(in Product p, int first)
    {
        for (int tile = first; tile < Math.Min(first + ProductPlan.TileGroup, p.Tiles); tile++)
        {
            int row = p.TileStart(tile);
            PackTile(p, row, p.TileStart(tile + 1) - row, 0, p.Depth, p.Rows + (long)row * p.Depth);
        }
    }

    // output[k * rows + r] = left side (row + r, from + k)
    private static void PackTile(in Product p, int row, int rows, int from, int count, float* output)
    {
        if (p.ATransposed)
        {
            ColumnCopier.Copy(p.A + row + from * p.LdA, p.LdA, count, rows, output);
            return;
        }

        float** pointers = stackalloc float*[12];
        for (int r = 0; r < rows; r++)
            pointers[r] = Row(p, row + r) + from;
        RowInterleaver.Interleave(pointers, rows, count, output, rows);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackPanels(in Product p, int first)
    {
        int end = Math.Min(first + ProductPlan.PanelGroup, p.PanelCount);
        for (int k = 0; k < p.Depth; k++)
        {
            float* from = RawRow(p, k);
            if (Sse.IsSupported && k + RowsAhead < p.Depth)
            {
                // Rows lie on different pages, where the hardware does not look ahead.
                float* ahead = RawRow(p, k + RowsAhead) + first * PanelRows;
                for (int panel = first; panel < end; panel++, ahead += PanelRows)
                {
                    Sse.Prefetch0(ahead);
                    Sse.Prefetch0(ahead + 16);
                }
            }

            for (int panel = first; panel < end; panel++)
            {
                float* to = (float*)(p.Panels + panel * p.PanelBytes) + (long)k * PanelRows;
                int output = panel * PanelRows, width = Math.Min(PanelRows, p.N - output);
                if (width == PanelRows)
                {
                    for (int i = 0; i < PanelRows; i += TForm.Width)
                        TForm.Store(TForm.Load(from + output + i), to + i);
                    continue;
                }

                new ReadOnlySpan<float>(from + output, width).CopyTo(new Span<float>(to, width));
                new Span<float>(to + width, PanelRows - width).Clear();
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float* RawRow(in Product p, int k) => p.Raw + (p.RawGather == null ? k : p.RawGather[k]) * (long)p.LdRaw;

    // A range of tiles times a range of panels, with this thread's scratch memory.
    private struct Chunk
    {
        public int FirstTile;
        public int EndTile;
        public int FirstPanel;
        public int EndPanel;
        public float* Rows;
        public float* Panels;
        public float* Edge;
        public float* Sums;
    }
}
