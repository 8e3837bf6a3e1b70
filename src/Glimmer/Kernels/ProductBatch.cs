using System.Runtime.Intrinsics;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>Collects products and runs them together, in several rounds when their packed sides would take too much memory.</summary>
internal unsafe ref struct ProductBatch
{
    // Bytes of one packed side of a piece, and of all packed sides of a round.
    private const long PieceBytes = 32L << 20;
    private const long RoundBytes = 96L << 20;
    private const int RowPiece = 120;

    private readonly ThreadTeam _team;
    private readonly int _capacity;
    private readonly int _tileRows;
    private ProductList _list;
    private long _bytes;

    /// <summary>Starts a batch for about <paramref name="products"/> products.</summary>
    public ProductBatch(ThreadTeam team, int products)
    {
        _team = team;
        _capacity = Math.Max(products, 1);
        _tileRows = Simd.Level == SimdLevel.Avx512 ? VectorForm512.TileRows : VectorForm256.TileRows;
        long productBytes = _capacity * (long)sizeof(Product);
        byte* memory = team.SharedScratch(0, productBytes + team.Threads * sizeof(float*));
        _list.Products = (Product*)memory;
        _list.Scratch = (float**)(memory + productBytes);
    }

    /// <summary>Adds a product, cut into pieces whose packed sides are of a reasonable size.</summary>
    public void Add(in Product whole)
    {
        int rowStep = Step(whole.M, whole.Depth, RowPiece), columnStep = whole.Raw == null ? whole.N : Step(whole.N, whole.Depth, PackedMatrix.PanelRows);
        for (int row = 0; row < whole.M; row += rowStep)
        {
            for (int column = 0; column < whole.N; column += columnStep)
            {
                Product piece = whole;
                piece.M = Math.Min(rowStep, whole.M - row);
                piece.N = Math.Min(columnStep, whole.N - column);
                piece.C += row * (long)whole.LdC + column;
                if (whole.ATransposed)
                    piece.A += row;
                else if (whole.Gather != null)
                    piece.Gather += row;
                else
                    piece.A += row * (long)whole.LdA;
                if (whole.Raw != null)
                    piece.Raw += column;
                AddPiece(piece);
            }
        }
    }

    /// <summary>Runs what was added since the last run.</summary>
    public void Run()
    {
        if (_list.Count == 0)
            return;
        byte* memory = _team.SharedScratch(1, _bytes);
        for (int i = 0; i < _list.Count; i++)
        {
            Product* product = _list.Products + i;
            if (NeedsRows(*product))
            {
                product->Rows = (float*)memory;
                memory += RowBytes(*product);
            }

            if (product->Raw != null)
            {
                product->PanelBytes = PackedMatrix.Stagger(4L * PackedMatrix.PanelRows * product->Depth);
                product->Panels = memory;
                memory += PanelBytes(*product);
            }
        }

        switch (Simd.Level)
        {
            case SimdLevel.Avx512:
                Run<VectorForm512, Vector512<float>>();
                break;
            case SimdLevel.Avx2:
                Run<VectorForm256, Vector256<float>>();
                break;
            default:
                Run<VectorForm128, Vector128<float>>();
                break;
        }

        _list = new ProductList { Products = _list.Products, Scratch = _list.Scratch };
        _bytes = 0;
    }

    // The most rows or columns of a packed side that fit, a multiple of the tile.
    private static int Step(int count, int depth, int multiple)
    {
        long fit = PieceBytes / (4L * Math.Max(depth, 1)) / multiple * multiple;
        return (int)Math.Min(Math.Max(count, 1), Math.Max(fit, multiple));
    }

    private static long RowBytes(in Product product) => (4L * product.M * product.Depth + 63) & ~63L;

    private static long PanelBytes(in Product product) =>
        PackedMatrix.Stagger(4L * PackedMatrix.PanelRows * product.Depth) * product.PanelCount;

    private readonly bool NeedsRows(in Product product) => product.M > _tileRows && !product.PacksInBlocks;

    private void AddPiece(Product piece)
    {
        piece.PacksInBlocks = piece.M > _tileRows && piece.PanelCount <= ProductPlan.BlockPackedPanels;
        long bytes = (NeedsRows(piece) ? RowBytes(piece) : 0) + (piece.Raw != null ? PanelBytes(piece) : 0);
        if (_list.Count == _capacity || (_list.Count > 0 && _bytes + bytes > RoundBytes))
            Run();
        _list.Products[_list.Count++] = piece;
        _bytes += bytes;
    }

    private void Run<TForm, TVector>()
        where TForm : struct, IVectorForm<TVector>
        where TVector : struct
    {
        int threads = ProductPlan.Cut(ref _list, _team.Threads, TForm.TileRows);
        for (int thread = 0; thread < threads; thread++)
            _list.Scratch[thread] = (float*)_team.Scratch(thread, _list.ScratchFloats * sizeof(float));
        fixed (ProductList* state = &_list)
        {
            if (threads == 1)
            {
                ProductUnits<TForm, TVector>.Pack(state, 0, 1);
                ProductUnits<TForm, TVector>.Multiply(state, 0, 1);
                return;
            }

            if (state->Packings > 0)
                _team.Run(&ProductUnits<TForm, TVector>.Pack, state);
            _team.Run(&ProductUnits<TForm, TVector>.Multiply, state);
        }
    }
}
