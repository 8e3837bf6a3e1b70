namespace Glimmer.Tensors;

/// <summary>A weight <c>[Rows, Columns]</c> (outputs, inputs), packed once into the layout that the matrix kernels stream.</summary>
/// <remarks>
/// Panels of 32 rows follow one another; the last one is padded with zeros. Inside a panel the columns follow one another, and in a
/// column the 32 rows lie side by side, so that a vector lane is an output. Types with blocks keep scales before the columns that share them, and 4 columns of
/// a row together (<c>Quantization.IBlockFormat</c>). The same bytes serve one token and thousands. Packing runs in <c>Kernels.MatrixPacker</c>.
/// </remarks>
internal abstract unsafe class PackedMatrix : IDisposable
{
    /// <summary>Rows of a panel.</summary>
    public const int PanelRows = 32;

    private static readonly Lock s_allocating = new();

    private NativeBuffer? _buffer;
    private object? _owner;
    private byte* _data;
    private bool _disposed;
    private bool _released;

    protected PackedMatrix(DType type, int rows, int columns, int headerBytes, int columnBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        int block = type.BlockElements();
        if (columns % block != 0)
            throw new ArgumentException($"{columns} columns are not a whole number of {type} blocks of {block}.", nameof(columns));
        Type = type;
        Rows = rows;
        Columns = columns;
        Panels = (rows + PanelRows - 1) / PanelRows;
        PanelBytes = Stagger((long)columns / block * (headerBytes + (long)block * columnBytes));
    }

    /// <summary>The type of the weights.</summary>
    public DType Type { get; }

    /// <summary>Outputs.</summary>
    public int Rows { get; }

    /// <summary>Inputs, the length of a chain.</summary>
    public int Columns { get; }

    /// <summary>Panels of 32 rows.</summary>
    public int Panels { get; }

    /// <summary>Bytes of one panel.</summary>
    public long PanelBytes { get; }

    /// <summary>Bytes of the whole packed weight.</summary>
    public long Bytes => PanelBytes * Panels;

    /// <summary>First panel. Valid until <see cref="Dispose"/>. Memory of its own, zeroed, is taken at the first use unless <see cref="Attach"/> came before.</summary>
    /// <remarks>Kernels prefetch past the end but never read there.</remarks>
    public byte* Data => _data != null ? _data : Allocate();

    /// <summary>Whether <see cref="Dispose"/> was called.</summary>
    public bool IsDisposed => _disposed;

    /// <summary>Reads the packed bytes from memory that somebody else keeps: a mapped pack cache, a slot of the expert store. Memory of its own is given back.</summary>
    /// <param name="data"><see cref="Bytes"/> packed bytes.</param>
    /// <param name="owner">Kept alive as long as this matrix points there.</param>
    public void Attach(byte* data, object owner)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _data = data;
        _owner = owner;
        _released = false;
        _buffer?.Dispose();
        _buffer = null;
    }

    /// <summary>Gives the memory back; the matrix has no contents until <see cref="Attach"/>.</summary>
    public void Release()
    {
        _buffer?.Dispose();
        _buffer = null;
        _owner = null;
        _data = null;
        _released = true;
    }

    /// <summary>Moves the packed bytes into private memory.</summary>
    public void MoveToOwnMemory()
    {
        if (_buffer is not null)
            return;
        byte* source = _data;
        object? owner = _owner;
        _data = null;
        _owner = null;
        byte* target = Allocate();
        if (source != null)
            Buffer.MemoryCopy(source, target, Bytes, Bytes);
        GC.KeepAlive(owner);
    }

    /// <summary>Reads one row as fp32, exactly as the kernels see it.</summary>
    /// <param name="row">Row index.</param>
    /// <param name="values">Receives <see cref="Columns"/> numbers.</param>
    /// <exception cref="ArgumentOutOfRangeException">The row does not exist or the span has another length.</exception>
    public void ReadRow(int row, Span<float> values)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, Rows);
        ArgumentOutOfRangeException.ThrowIfNotEqual(values.Length, Columns, nameof(values));
        ReadRow(Data + row / PanelRows * PanelBytes, row % PanelRows, values);
    }

    /// <summary>Reads all rows as fp32, row-major <c>[Rows, Columns]</c>.</summary>
    public void Unpack(float* values)
    {
        for (int row = 0; row < Rows; row++)
            ReadRow(row, new Span<float>(values + (long)row * Columns, Columns));
    }

    /// <summary>Adds room between panels whose distance is a multiple of 64 KiB: neighbours would fight for the same sets of the caches.</summary>
    public static long Stagger(long panelBytes) => panelBytes % (64 << 10) == 0 ? panelBytes + (panelBytes == 0 ? 0 : 16 << 10) : panelBytes;

    /// <inheritdoc/>
    public void Dispose()
    {
        _buffer?.Dispose();
        _buffer = null;
        _owner = null;
        _data = null;
        _disposed = true;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Type}[{Rows}, {Columns}] packed";

    /// <summary>Fills one panel from rows <c>32 * panel ...</c> of the stacked sources. Panels may be filled in parallel.</summary>
    /// <exception cref="ArgumentException">The type of a source does not fit this matrix.</exception>
    public abstract void PackPanel(int panel, ReadOnlySpan<RowSource> sources);

    /// <summary>Fills one panel of the transposed weight: its column <c>k</c> is 32 neighbouring elements of row <c>k</c> of the stacked sources.</summary>
    /// <exception cref="NotSupportedException">The type has blocks along the columns.</exception>
    public virtual void PackPanelTransposed(int panel, ReadOnlySpan<RowSource> sources) =>
        throw new NotSupportedException($"{Type} weights cannot be packed transposed: their blocks lie along the columns. Unpack them to F32 first.");

    /// <summary>Reads 32 columns of a row of a block type as the integer kernels see them.</summary>
    /// <param name="row">Row index.</param>
    /// <param name="block">Block of 32 columns.</param>
    /// <param name="codes">Receives 32 integers.</param>
    /// <param name="scales">Receives the scales of columns 0 to 15 and 16 to 31, then their minima.</param>
    /// <exception cref="NotSupportedException">The type has no blocks.</exception>
    public virtual void ReadBlock(int row, int block, Span<int> codes, Span<float> scales) =>
        throw new NotSupportedException($"{Type} weights have no integer blocks.");

    /// <summary>Reads row <paramref name="lane"/> of the panel at <paramref name="panel"/>.</summary>
    protected abstract void ReadRow(byte* panel, int lane, Span<float> values);

    private byte* Allocate()
    {
        lock (s_allocating)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_released)
                throw new InvalidOperationException($"The memory of {this} was given back and no other was attached.");
            if (_data == null)
                _data = (_buffer = new NativeBuffer(Bytes)).Pointer;
            return _data;
        }
    }

    /// <summary>First byte of a panel.</summary>
    protected byte* Panel(int panel) => Data + panel * PanelBytes;
}
