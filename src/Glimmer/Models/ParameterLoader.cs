using Glimmer.Formats;
using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>Turns the weights of a checkpoint into parameters: checks shapes and packs matrices.</summary>
internal sealed unsafe class ParameterLoader(
    WeightSource source, ThreadTeam team, IProgress<long>? progress = null, PackCache? cache = null, ExpertStore? experts = null, (int Rank, int Ranks)? share = null)
{
    private readonly List<Parameter> _parameters = [];

    /// <summary>Everything loaded so far.</summary>
    public IReadOnlyList<Parameter> Parameters => _parameters;

    /// <summary>Layers of the model, the MTP layer included.</summary>
    public int Layers { get; set; }

    /// <summary>Keeps the routed experts on disk; null when all weights are in memory.</summary>
    public ExpertStore? Experts => experts;

    /// <summary>Whether the checkpoint has a tensor of that name.</summary>
    public bool Has(string name) => source.Find(name) is not null;

    /// <summary>Whether the output matrix is the embedding: as config.json says, or because a llama checkpoint has none of its own.</summary>
    public bool IsTied(ModelConfig config) =>
        config.ModelType == "llama" ? !Has("lm_head.weight") : config.TieWordEmbeddings;

    /// <summary>Whether a routed expert is one of those that this rank holds.</summary>
    public bool HoldsExpert(int expert, int experts) =>
        share is not { } own || (expert >= ExpertRanks.FirstOf(own.Rank, own.Ranks, experts) && expert < ExpertRanks.FirstOf(own.Rank + 1, own.Ranks, experts));

    /// <summary>A matrix [rows, columns], packed in its own type where kernels stream it, else as fp32; without values when it is not here but on another rank.</summary>
    public Parameter Matrix(string name, int rows, int columns, bool isHere = true)
    {
        TensorInfo info = Check(name, rows, columns);
        if (!isHere)
            return Add(new Parameter(name, rows, columns));
        PackedMatrix packed = PackedWeights.Create(info.RowType, rows, columns);
        if (cache is null || !cache.TryAttach(name, packed, () => Pack(name, info, packed)))
        {
            Pack(name, info, packed);
            cache?.Add(name, packed);
        }

        return Add(new Parameter(name, packed));
    }

    /// <summary>An embedding or output matrix, whose last rows may be stored as a tensor of their own (<see cref="Parameter.AddedRows"/>).</summary>
    public Parameter VocabularyMatrix(string name, int rows, int columns)
    {
        string added = AddedRowsOf(name);
        if (!Has(added))
            return Matrix(name, rows, columns);
        int count = (int)source.Get(added).Rows;
        Parameter matrix = Matrix(name, rows - count, columns);
        matrix.AddedRows = Matrix(added, count, columns);
        return matrix;
    }

    /// <summary>Name of the tensor with the rows that were added to a vocabulary matrix: <c>model.embed_tokens.added_rows.weight</c>.</summary>
    public static string AddedRowsOf(string name) => name[..^"weight".Length] + "added_rows.weight";

    /// <summary>A list of whole numbers.</summary>
    public int[] Integers(string name)
    {
        TensorInfo info = source.Get(name);
        if (info.Type != DType.I32 || info.Shape.Length != 1)
            throw new ModelFormatException($"'{source.Path}': {info} is no list of 32-bit whole numbers.");
        var values = new int[info.Count];
        source.ReadRows(name, 0, (int)info.Rows, System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    /// <summary>Some rows of a stored matrix, packed in its type. Not among <see cref="Parameters"/>: they repeat what is there.</summary>
    public Parameter RowsOf(string name, ReadOnlySpan<int> rows)
    {
        TensorInfo info = source.Get(name);
        DType type = info.RowType;
        using Tensor values = Tensor.Allocate(type, rows.Length, info.RowLength);
        int bytes = (int)(values.Bytes.Length / Math.Max(1, rows.Length));
        for (int r = 0; r < rows.Length; r++)
        {
            Span<byte> row = values.Bytes.Slice(r * bytes, bytes);
            if (info.IsComputed && type == DType.F32)
                source.ReadFloat32Rows(name, rows[r], 1, System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(row));
            else
                source.ReadRows(name, rows[r], 1, row);
        }

        using PackedMatrix form = PackedWeights.Create(type, 0, info.RowLength);
        if (form.Type == type)
            return new Parameter(name, MatrixPacker.Pack(team, PackedWeights.Create(type, rows.Length, info.RowLength), [new RowSource(values)]));
        using Tensor wide = Tensor.Allocate(DType.F32, rows.Length, info.RowLength);
        Dequantizer.ToFloat32(type, values.Bytes, wide.F32);
        return new Parameter(name, MatrixPacker.Pack(team, PackedWeights.Create(DType.F32, rows.Length, info.RowLength), [new RowSource(wide)]));
    }

    /// <summary>A matrix that is kept as row-major fp32 values too.</summary>
    public Parameter Float32Matrix(string name, int rows, int columns)
    {
        Check(name, rows, columns);
        return Add(new Parameter(name, Read(name, rows, columns)));
    }

    /// <summary>A vector of scales or biases.</summary>
    public Parameter Vector(string name, int length)
    {
        Check(name, length);
        return Add(new Parameter(name, Read(name, length)));
    }

    /// <summary>A vector that no gradient reaches.</summary>
    public Parameter Buffer(string name, int length)
    {
        Check(name, length);
        return Add(new Parameter(name, Read(name, length), isBuffer: true));
    }

    /// <summary>A matrix of its own, or <paramref name="shared"/> when the checkpoint has none or repeats that one.</summary>
    public Parameter OwnOrShared(string name, Parameter shared, int rows, int columns) =>
        !Has(name) || IsCopy(name, shared) ? shared : Matrix(name, rows, columns);

    // Both are read from the checkpoint: the packed bytes may be on disk already.
    private bool IsCopy(string name, Parameter other)
    {
        TensorInfo info = Check(name, other.Shape[0], other.Shape[1]);
        if (cache?.IsSame(name, other.Name) is { } known)
            return known;
        int columns = info.RowLength;
        var ours = new float[columns];
        var theirs = new float[columns];
        for (int row = 0; row < info.Rows; row++)
        {
            source.ReadFloat32Rows(name, row, 1, ours);
            source.ReadFloat32Rows(other.Name, row, 1, theirs);
            if (!ours.AsSpan().SequenceEqual(theirs))
                return false;
        }

        cache?.AddSame(name, other.Name);
        return true;
    }

    private void Pack(string name, TensorInfo info, PackedMatrix packed)
    {
        source.WillNeed(name);
        if (packed.Type != info.RowType || (info.IsComputed && info.RowType == DType.F32))
            PackFloat32(name, packed);
        else if (source.View(name) is { } view)
            MatrixPacker.Pack(team, packed, [new RowSource(view)]);
        else
            PackStored(name, info, packed);
        source.Release(name);
    }

    // Stored rows in another order than the checkpoint's: read in the right one.
    private void PackStored(string name, TensorInfo info, PackedMatrix packed)
    {
        using Tensor rows = Tensor.Allocate(info.RowType, info.Shape);
        source.ReadRows(name, 0, (int)info.Rows, rows.Bytes);
        MatrixPacker.Pack(team, packed, [new RowSource(rows)]);
    }

    private void PackFloat32(string name, PackedMatrix packed)
    {
        using Tensor values = Tensor.Allocate(DType.F32, packed.Rows, packed.Columns);
        source.ReadFloat32(name, values.F32);
        MatrixPacker.Pack(team, packed, [new RowSource(values)]);
    }

    private Tensor Read(string name, params ReadOnlySpan<int> shape)
    {
        Tensor values = Tensor.Allocate(DType.F32, shape);
        source.ReadFloat32(name, values.F32);
        return values;
    }

    private TensorInfo Check(string name, params ReadOnlySpan<int> shape)
    {
        TensorInfo info = source.Get(name);
        if (!info.Shape.SequenceEqual(shape))
        {
            throw new ModelFormatException(
                $"'{source.Path}': tensor '{name}' has the shape [{string.Join(", ", info.Shape.ToArray())}] but config.json makes it [{string.Join(", ", shape.ToArray())}]. One of the two is wrong.");
        }

        return info;
    }

    private Parameter Add(Parameter parameter)
    {
        _parameters.Add(parameter);
        progress?.Report(parameter.Count);
        return parameter;
    }
}
