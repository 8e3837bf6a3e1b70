using System.Runtime.CompilerServices;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>Products of 8-bit activations and packed quantised weights as one list of work: first activations are quantised, then units are multiplied.</summary>
/// <remarks>A unit is a range of panels times a range of tiles; the cut decides who computes an output, never how.</remarks>
internal static unsafe class BlockProducts
{
    private const int PanelRows = PackedMatrix.PanelRows;

    // Rows of one piece of a product, and bytes of quantised activations of a round.
    private const int PieceRows = 510;
    private const long RoundBytes = 64L << 20;

    // Tiles of a unit at most: their activations stay in the second-level cache while a panel passes.
    private const int ChunkTiles = 16;

    // Cycles below which one thread works alone, and of a unit at least: 64 multiply-adds a cycle, or 8 bytes of weights from memory.
    private const long SmallWork = 8_000;
    private const long SmallestUnit = 10_000;

    // Tiles for which it pays to prepare the scales of a panel.
    private const int PreparedTiles = 3;

    // Activations that the calling thread quantises alone.
    private const long FewActivations = 1 << 14;

    /// <summary>Runs the jobs whose weights have integer blocks; the others are left out.</summary>
    public static void Run(ThreadTeam team, ReadOnlySpan<MatMulJob> jobs)
    {
        int pieces = 0;
        foreach (ref readonly MatMulJob job in jobs)
            pieces += (job.Tokens + PieceRows - 1) / PieceRows;
        long pieceBytes = pieces * (long)sizeof(Piece);
        byte* memory = team.SharedScratch(0, pieceBytes + team.Threads * sizeof(float*));
        var list = new List { Products = (Piece*)memory, Scratch = (float**)(memory + pieceBytes) };
        long bytes = 0;
        foreach (ref readonly MatMulJob job in jobs)
        {
            PackedMatrix w = job.Weights;
            if (BlockKernel.For(w.Type) is null || w.Rows == 0)
                continue;
            for (int row = 0; row < job.Tokens; row += PieceRows)
            {
                var piece = new Piece
                {
                    X = job.Gather == null ? job.X + row * (long)job.LdX : job.X,
                    Gather = job.Gather == null ? null : job.Gather + row,
                    LdX = job.LdX,
                    Tokens = Math.Min(PieceRows, job.Tokens - row),
                    Type = w.Type,
                    Panels = w.Data,
                    PanelBytes = w.PanelBytes,
                    Outputs = w.Rows,
                    Columns = w.Columns,
                    Bias = job.Bias,
                    Y = job.Y + row * (long)job.LdY,
                    LdY = job.LdY,
                };
                if (bytes > 0 && bytes + piece.TileBytes(piece.Tokens) > RoundBytes)
                {
                    Run(team, ref list, bytes);
                    bytes = 0;
                }

                bytes += Add(ref list, piece, bytes);
            }
        }

        if (list.Count > 0)
            Run(team, ref list, bytes);
    }

    // Gate and up of an expert, or q, k and v, read the same rows: they are quantised once where their types agree.
    private static long Add(ref List list, Piece piece, long bytes)
    {
        Piece* before = list.Products + list.Count - 1;
        piece.Shares = list.Count > 0 && before->X == piece.X && before->Gather == piece.Gather && before->LdX == piece.LdX && before->Tokens == piece.Tokens
            && before->Type == piece.Type && before->Columns == piece.Columns;
        piece.TilesAt = piece.Shares ? before->TilesAt : bytes;
        list.Products[list.Count++] = piece;
        return piece.Shares ? 0 : piece.TileBytes(piece.Tokens);
    }

    private static void Run(ThreadTeam team, ref List list, long bytes)
    {
        list.Tiles = team.SharedScratch(1, bytes);
        long activations = Cut(ref list, team.Threads, out bool alone, out int prepared);
        for (int thread = 0; thread < team.Threads; thread++)
            list.Scratch[thread] = (float*)team.Scratch(thread, Math.Max(1, prepared) * (long)sizeof(float));
        fixed (List* state = &list)
        {
            if (alone || activations <= FewActivations)
                Quantize(state, 0, 1);
            else
                team.Run(&Quantize, state);
            if (alone)
                Multiply(state, 0, 1);
            else
                team.Run(&Multiply, state);
        }

        list = new List { Products = list.Products, Scratch = list.Scratch };
    }

    // Sets units and packings of all pieces, and says whether one thread is enough.
    private static long Cut(ref List list, int threads, out bool alone, out int prepared)
    {
        long activations = 0, total = 0;
        prepared = 0;
        for (int i = 0; i < list.Count; i++)
            total += list.Products[i].Cost(list.Products[i].Tiles) * list.Products[i].PanelCount;
        alone = total < SmallWork || threads == 1;
        long unit = Math.Max(SmallestUnit, Math.Min(total / (threads * 12), 10 * SmallestUnit));
        for (int i = 0; i < list.Count; i++)
        {
            Piece* p = list.Products + i;
            p->TileChunks = (p->Tiles + ChunkTiles - 1) / ChunkTiles;
            long panel = p->Cost((p->Tiles + p->TileChunks - 1) / p->TileChunks);
            p->PanelChunks = (int)Math.Clamp(panel * p->PanelCount / unit, 1, p->PanelCount);
            p->FirstUnit = list.Units;
            list.Units += p->TileChunks * p->PanelChunks;
            prepared = Math.Max(prepared, BlockKernel.For(p->Type)!.PreparedFloats(p->Columns));
            p->FirstPacking = list.Packings;
            if (p->Shares)
                continue;
            list.Packings += p->Tiles;
            activations += (long)p->Tokens * p->Columns;
        }

        return activations;
    }

    private static void Quantize(void* state, int thread, int threads)
    {
        var list = (List*)state;
        int product = 0;
        for (int packing = Next(ref list->NextPacking); packing < list->Packings; packing = Next(ref list->NextPacking))
        {
            while (product + 1 < list->Count && list->Products[product + 1].FirstPacking <= packing)
                product++;
            // Never a piece that shares tiles: it has no packings, so the next one with packings begins at the same number.
            ref readonly Piece p = ref list->Products[product];
            int tile = packing - p.FirstPacking, first = p.TileStart(tile), tokens = p.TileStart(tile + 1) - first;
            BlockKernel kernel = BlockKernel.For(p.Type)!;
            byte* output = list->Tiles + p.TilesAt + p.TileBytes(first);
            for (int t = 0; t < tokens; t++)
            {
                long row = p.Gather == null ? first + t : p.Gather[first + t];
                kernel.Quantize(p.X + row * p.LdX, p.Columns, t, tokens, output);
            }
        }
    }

    private static void Multiply(void* state, int thread, int threads)
    {
        var list = (List*)state;
        int product = 0;
        for (int unit = Next(ref list->NextUnit); unit < list->Units; unit = Next(ref list->NextUnit))
        {
            while (product + 1 < list->Count && list->Products[product + 1].FirstUnit <= unit)
                product++;
            ref readonly Piece p = ref list->Products[product];
            int within = unit - p.FirstUnit, tileChunk = within / p.PanelChunks, panelChunk = within % p.PanelChunks;
            int endPanel = (int)((long)p.PanelCount * (panelChunk + 1) / p.PanelChunks), endTile = (int)((long)p.Tiles * (tileChunk + 1) / p.TileChunks);
            for (int panel = (int)((long)p.PanelCount * panelChunk / p.PanelChunks); panel < endPanel; panel++)
            {
                int firstTile = (int)((long)p.Tiles * tileChunk / p.TileChunks);
                float* prepared = endTile - firstTile < PreparedTiles ? null : list->Scratch[thread];
                if (prepared != null)
                    BlockKernel.For(p.Type)!.Prepare(p.Panels + panel * p.PanelBytes, p.Columns, prepared);
                for (int tile = firstTile; tile < endTile; tile++)
                    Tile(p, list->Tiles + p.TilesAt, tile, panel, prepared);
            }
        }
    }

    // One tile of tokens times one panel, straight into the output where the panel is full.
    [SkipLocalsInit]
    private static void Tile(in Piece p, byte* tiles, int tile, int panel, float* prepared)
    {
        BlockKernel kernel = BlockKernel.For(p.Type)!;
        int first = p.TileStart(tile), tokens = p.TileStart(tile + 1) - first, output = panel * PanelRows, width = Math.Min(PanelRows, p.Outputs - output);
        byte* x = tiles + p.TileBytes(first), weights = p.Panels + panel * p.PanelBytes;
        float* y = p.Y + (long)first * p.LdY + output;
        float* bias = p.Bias == null ? null : p.Bias + output;
        if (width == PanelRows)
        {
            kernel.Multiply(x, tokens, weights, p.Columns, y, p.LdY, bias, prepared);
            return;
        }

        float* edge = stackalloc float[(BlockKernel.TileTokens + 1) * PanelRows];
        float* edgeBias = edge + BlockKernel.TileTokens * PanelRows;
        if (bias != null)
            new ReadOnlySpan<float>(bias, width).CopyTo(new Span<float>(edgeBias, width));
        kernel.Multiply(x, tokens, weights, p.Columns, edge, PanelRows, bias == null ? null : edgeBias, prepared);
        for (int t = 0; t < tokens; t++)
            new ReadOnlySpan<float>(edge + t * PanelRows, width).CopyTo(new Span<float>(y + (long)t * p.LdY, width));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Next(ref int counter) => Interlocked.Increment(ref counter) - 1;

    // Some rows of a product.
    private struct Piece
    {
        public float* X;
        public int* Gather;
        public int LdX;
        public int Tokens;
        public DType Type;
        public byte* Panels;
        public long PanelBytes;
        public int Outputs;
        public int Columns;
        public float* Bias;
        public float* Y;
        public int LdY;
        public bool Shares;
        public long TilesAt;
        public int TileChunks;
        public int PanelChunks;
        public int FirstUnit;
        public int FirstPacking;

        public readonly int PanelCount => (Outputs + PanelRows - 1) / PanelRows;

        public readonly int Tiles => BlockKernel.Tiles(Tokens);

        public readonly int TileStart(int tile) => BlockKernel.TileStart(tile, Tokens);

        // Bytes of the activations of so many tokens.
        public readonly long TileBytes(int tokens) => (long)tokens * (Columns / BlockActivations.Columns) * BlockActivations.Bytes;

        // Cycles of so many tiles with one panel.
        public readonly long Cost(int tiles) => Math.Max((long)tiles * BlockKernel.TileTokens * Columns / 2, PanelBytes / 8) + 50;
    }

    private struct List
    {
        public Piece* Products;
        public int Count;
        public byte* Tiles;
        public float** Scratch;
        public int Units;
        public int Packings;
        public int NextUnit;
        public int NextPacking;
    }
}
