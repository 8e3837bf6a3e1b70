using Glimmer.Tensors;

namespace Glimmer.Formats;

/// <summary>The weights of a checkpoint by their Hugging Face names, whichever file they lie in.</summary>
/// <remarks>
/// Quantised checkpoints are read as the values they stand for: block formats of GGUF, FP8 with scales, packed INT4. Experts that a file stacks appear one by
/// one as <c>mlp.experts.{e}.gate_proj.weight</c>. Files are mapped into memory; views are valid until the source is disposed. Reading is safe from several
/// threads.
/// </remarks>
public sealed class WeightSource : IDisposable
{
    private readonly Dictionary<string, Weight> _weights;
    private readonly IReadOnlyList<IMappedWeights> _files;

    internal WeightSource(string path, IEnumerable<Weight> weights, IReadOnlyList<IMappedWeights> files)
    {
        Path = path;
        _files = files;
        _weights = new Dictionary<string, Weight>(StringComparer.Ordinal);
        var tensors = new List<TensorInfo>();
        foreach (Weight weight in weights)
        {
            if (!_weights.TryAdd(weight.Info.Name, weight))
                throw new ModelFormatException($"'{path}' holds the tensor '{weight.Info.Name}' twice.");
            tensors.Add(weight.Info);
        }

        Tensors = tensors;
    }

    /// <summary>The file or folder, for messages.</summary>
    public string Path { get; }

    /// <summary>All tensors.</summary>
    public IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>The tensor of that name, or null.</summary>
    public TensorInfo? Find(string name) => _weights.TryGetValue(name, out Weight? weight) ? weight.Info : null;

    /// <summary>The tensor of that name.</summary>
    /// <exception cref="ModelFormatException">There is none.</exception>
    public TensorInfo Get(string name) => Weight(name).Info;

    /// <summary>Reads a whole tensor as fp32.</summary>
    /// <param name="name">Checkpoint name.</param>
    /// <param name="values">As many elements as the tensor has.</param>
    /// <exception cref="ModelFormatException">There is no such tensor.</exception>
    public void ReadFloat32(string name, Span<float> values)
    {
        TensorInfo info = Get(name);
        ReadFloat32Rows(name, 0, checked((int)info.Rows), values);
    }

    /// <summary>Reads rows as fp32. A row is the last dimension; the dimensions before it are counted together.</summary>
    /// <param name="name">Checkpoint name.</param>
    /// <param name="firstRow">First row.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="values">rows x row length elements.</param>
    /// <exception cref="ModelFormatException">There is no such tensor.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The rows lie outside the tensor or do not fill <paramref name="values"/>.</exception>
    public void ReadFloat32Rows(string name, long firstRow, int rows, Span<float> values)
    {
        Weight weight = Checked(name, firstRow, rows, values.Length, weight => weight.Info.RowLength);
        weight.ReadFloat32(firstRow, rows, values);
    }

    /// <summary>Reads rows as they are stored, in the order of the checkpoint (rows that GGUF permutes are put back).</summary>
    /// <param name="name">Checkpoint name of a tensor that is not computed (<see cref="TensorInfo.IsComputed"/>), or whose values come as blocks.</param>
    /// <param name="firstRow">First row.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="bytes">rows x bytes of a row of the tensor's type.</param>
    /// <exception cref="ModelFormatException">There is no such tensor.</exception>
    /// <exception cref="InvalidOperationException">The tensor is computed.</exception>
    public void ReadRows(string name, long firstRow, int rows, Span<byte> bytes)
    {
        Weight weight = Checked(name, firstRow, rows, bytes.Length, weight => weight.Info.RowType.ByteSize(weight.Info.RowLength));
        weight.ReadStored(firstRow, rows, bytes);
    }

    /// <summary>The mapped bytes as a tensor, or null when the stored rows are not the tensor as it is (computed or in another order).</summary>
    /// <exception cref="ModelFormatException">There is no such tensor.</exception>
    public Tensor? View(string name) => Weight(name).View();

    /// <summary>The tensors of two sources as one, which owns the files of both from then on.</summary>
    /// <param name="path">The file or folder, for messages.</param>
    /// <param name="first">A source whose tensors appear under other names.</param>
    /// <param name="names">The names of a tensor of the first source; several for one that is used several times.</param>
    /// <param name="second">A source whose tensors keep their names and take the place of those of the first.</param>
    internal static WeightSource Combine(string path, WeightSource first, Func<string, IEnumerable<string>> names, WeightSource second)
    {
        IEnumerable<Weight> renamed = first._weights.Values.SelectMany(weight => names(weight.Info.Name).Where(name => second.Find(name) is null).Select(name => new RenamedWeight(weight, name)));
        return new WeightSource(path, renamed.Concat(second._weights.Values), [.. first._files, .. second._files]);
    }

    /// <summary>The mapped files, each with the number of its bytes before the data of the tensors.</summary>
    internal IEnumerable<(MappedFile File, long HeaderBytes)> Files => _files.SelectMany(file => file.Files);

    /// <summary>Says that a tensor is read soon, so that the system begins to bring it in.</summary>
    internal void WillNeed(string name) => Weight(name).WillNeed();

    /// <summary>Says that a tensor is not read again soon: its pages leave the memory of the process.</summary>
    internal void Release(string name) => Weight(name).Release();

    /// <summary>Says that nothing is read again soon.</summary>
    internal unsafe void ReleaseAll()
    {
        foreach ((MappedFile file, _) in Files)
            MemoryAdvice.DropMapped(file.Length == 0 ? null : file.Pointer, file.Length);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IMappedWeights file in _files)
            file.Dispose();
    }

    private Weight Weight(string name) =>
        _weights.TryGetValue(name, out Weight? weight) ? weight
            : throw new ModelFormatException($"'{Path}' has no tensor '{name}'. The checkpoint is incomplete or of another architecture.");

    private Weight Checked(string name, long firstRow, int rows, long length, Func<Weight, long> rowSize)
    {
        Weight weight = Weight(name);
        ArgumentOutOfRangeException.ThrowIfNegative(firstRow);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        if (firstRow > weight.Info.Rows - rows)
            throw new ArgumentOutOfRangeException(nameof(rows), $"Rows {firstRow}..{firstRow + rows} lie outside {weight.Info}.");
        if (length != rows * rowSize(weight))
            throw new ArgumentOutOfRangeException(nameof(length), $"{rows} rows of {weight.Info} take {rows * rowSize(weight)} entries, not {length}.");
        return weight;
    }
}
