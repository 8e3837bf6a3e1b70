using Glimmer.Formats;
using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>Turns the weights of a checkpoint into parameters: checks shapes and packs matrices.</summary>
internal sealed unsafe class ParameterLoader(
    WeightSource source, ThreadTeam team, IProgress<long>? progress = null, PackCache? cache = null, ExpertStore? experts = null)
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

    /// <summary>A matrix [rows, columns], packed in its own type where kernels stream it, else as fp32.</summary>
    public Parameter Matrix(string name, int rows, int columns)
    {
        TensorInfo info = Check(name, rows, columns);
        PackedMatrix packed = PackedWeights.Create(info.IsComputed ? DType.F32 : info.Type, rows, columns);
        if (cache is null || !cache.TryAttach(name, packed, () => Pack(name, info, packed)))
        {
            Pack(name, info, packed);
            cache?.Add(name, packed);
        }

        return Add(new Parameter(name, packed));
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
        if (info.IsComputed || packed.Type != info.Type)
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
        using Tensor rows = Tensor.Allocate(info.Type, info.Shape);
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
