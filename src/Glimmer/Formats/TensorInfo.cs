using Glimmer.Tensors;

namespace Glimmer.Formats;

/// <summary>Name, type and shape of a stored tensor.</summary>
public sealed class TensorInfo
{
    private readonly int[] _shape;
    private readonly Lazy<DType> _rowType;

    /// <summary>Describes a tensor to be written.</summary>
    /// <param name="name">Its name in the file.</param>
    /// <param name="type">Element type.</param>
    /// <param name="shape">Sizes, slowest dimension first.</param>
    /// <exception cref="ArgumentException">A row is no whole number of blocks of the type.</exception>
    public TensorInfo(string name, DType type, ReadOnlySpan<int> shape)
        : this(name, type, shape.ToArray(), Tensor.CountOf(shape) / Math.Max(1, RowOf(shape)) * type.ByteSize(RowOf(shape)))
    {
    }

    internal TensorInfo(string name, DType type, int[] shape, long sizeBytes, bool isComputed = false, Func<DType>? rowType = null)
    {
        Name = name;
        Type = type;
        _shape = shape;
        Count = Tensor.CountOf(shape);
        SizeBytes = sizeBytes;
        IsComputed = isComputed;
        _rowType = new Lazy<DType>(rowType ?? (() => isComputed ? DType.F32 : type));
    }

    /// <summary>Checkpoint name, for example <c>model.layers.0.self_attn.q_proj.weight</c>.</summary>
    public string Name { get; }

    /// <summary>How the elements are stored.</summary>
    public DType Type { get; }

    /// <summary>Sizes, slowest dimension first.</summary>
    public ReadOnlySpan<int> Shape => _shape;

    /// <summary>Number of elements.</summary>
    public long Count { get; }

    /// <summary>Bytes in the file, scales included.</summary>
    public long SizeBytes { get; }

    /// <summary>
    /// Whether the values come from more than the stored elements (separate scales, unpacking, parts put together): then they are read as fp32 only.
    /// </summary>
    public bool IsComputed { get; }

    /// <summary>What rows can be read as without loss: the stored type; of computed values a block type that holds them, or F32.</summary>
    /// <remarks>Found when it is asked for: it may depend on every scale of the tensor.</remarks>
    internal DType RowType => _rowType.Value;

    /// <summary>Elements of a row: the last dimension, 1 for a scalar.</summary>
    public int RowLength => RowOf(_shape);

    /// <summary>Number of rows: the product of all dimensions but the last.</summary>
    public long Rows => RowLength == 0 ? 0 : Count / RowLength;

    /// <inheritdoc/>
    public override string ToString() => $"{Name} {Type}[{string.Join(", ", _shape)}]";

    private static int RowOf(ReadOnlySpan<int> shape) => shape.Length == 0 ? 1 : shape[^1];
}
