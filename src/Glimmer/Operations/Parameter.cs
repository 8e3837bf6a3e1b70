using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>A weight under its checkpoint name: its values, the packed forms that kernels stream, and its gradient.</summary>
/// <remarks>
/// A model loaded for inference holds matrices packed only. <see cref="EnableGradient"/> adds the row-major fp32 values and a gradient; after
/// the values change, <see cref="Touch"/> makes the packed forms be renewed at their next use.
/// </remarks>
public sealed class Parameter : IDisposable
{
    private readonly int[] _shape;
    private PackedMatrix? _packed;
    private PackedMatrix? _packedTransposed;
    private bool _ownsPacked;
    private int _packedVersion;
    private int _transposedVersion;
    private Adaptation?[] _adaptations = [];

    /// <summary>A parameter with its values in fp32, row-major; takes ownership of them.</summary>
    /// <param name="name">Name in the checkpoint.</param>
    /// <param name="value">fp32 values.</param>
    /// <param name="isBuffer">Whether it is part of the model but never trained by gradients.</param>
    public Parameter(string name, Tensor value, bool isBuffer = false)
    {
        Name = name;
        Value = value;
        IsBuffer = isBuffer;
        _shape = value.Shape.ToArray();
        Version = 1;
    }

    /// <summary>A matrix that is held packed; takes ownership of it.</summary>
    internal Parameter(string name, PackedMatrix packed)
    {
        Name = name;
        _packed = packed;
        _shape = [packed.Rows, packed.Columns];
        Version = _packedVersion = 1;
    }

    /// <summary>A matrix whose values lie on another rank.</summary>
    internal Parameter(string name, int rows, int columns) => (Name, _shape) = (name, [rows, columns]);

    /// <summary>Whether the values lie on another rank.</summary>
    internal bool IsElsewhere => Value is null && _packed is null;

    /// <summary>Name in the checkpoint, for example <c>model.layers.3.mlp.gate.weight</c>.</summary>
    public string Name { get; }

    /// <summary>Whether it receives no gradient: the router's correction bias.</summary>
    public bool IsBuffer { get; }

    /// <summary>Sizes; matrices are [outputs, inputs].</summary>
    public ReadOnlySpan<int> Shape => _shape;

    /// <summary>Number of values.</summary>
    public long Count => Tensor.CountOf(_shape);

    /// <summary>fp32 values, row-major; null while only the packed form is held.</summary>
    public Tensor? Value { get; private set; }

    /// <summary>Sum of the gradients since it was last cleared; null unless the parameter is trained.</summary>
    public Tensor? Gradient { get; private set; }

    /// <summary>The low-rank addition of the adapter that is attached to the model as a whole; null for none. Not owned.</summary>
    public LowRankFactor? Adapter => AdaptationOf(0)?.Factor;

    /// <summary>Whether any adapter changes this weight.</summary>
    internal bool IsAdapted => _adaptations.Length > 0;

    /// <summary>
    /// Rows of a vocabulary matrix that follow those here: a model that was given more tokens keeps the old rows as they are, of any type, and trains the new ones. Null for none.
    /// A parameter of its own.
    /// </summary>
    public Parameter? AddedRows { get; internal set; }

    /// <summary>Rows, those of <see cref="AddedRows"/> among them.</summary>
    internal int AllRows => _shape[0] + (AddedRows?.Shape[0] ?? 0);

    /// <summary>Grows with every change of the values.</summary>
    internal int Version { get; private set; }

    /// <summary>What an adapter does to this weight; null for nothing.</summary>
    internal Adaptation? AdaptationOf(int adapter) => (uint)adapter < (uint)_adaptations.Length ? _adaptations[adapter] : null;

    /// <summary>Says what an adapter does to this weight. No forward pass may run meanwhile.</summary>
    internal void Adapt(int adapter, Adaptation? adaptation)
    {
        var all = new Adaptation?[Math.Max(_adaptations.Length, adapter + 1)];
        _adaptations.CopyTo(all, 0);
        all[adapter] = adaptation;
        int length = all.Length;
        while (length > 0 && all[length - 1] is null)
            length--;
        _adaptations = all[..length];
    }

    /// <summary>The weight that all rows compute with: this one, or what replaces it. Rows of several adapters get this one.</summary>
    internal Parameter InUse(Compute c)
    {
        if (!IsAdapted || c.AdapterRuns is { Count: > 1 })
            return this;
        return AdaptationOf(c.AdapterRuns is null ? 0 : c.AdapterRuns[0].Adapter)?.Replacement ?? this;
    }

    /// <summary>Prepares training: fp32 values (unpacked if need be) and a gradient of zeros.</summary>
    public void EnableGradient()
    {
        EnsureValue();
        Gradient ??= Tensor.Allocate(DType.F32, _shape);
    }

    /// <summary>Sets the gradient to zero; does nothing for a parameter that is not trained.</summary>
    public void ClearGradient() => Gradient?.Clear();

    /// <summary>Makes the row-major fp32 values available.</summary>
    public unsafe Tensor EnsureValue()
    {
        if (Value is null)
        {
            if (_packed is null)
                throw new InvalidOperationException($"The values of '{Name}' lie on another rank.");
            Value = Tensor.Allocate(DType.F32, _shape);
            _packed.Unpack(Value.F32Pointer);
        }

        return Value;
    }

    /// <summary>Says that the values were changed.</summary>
    public void Touch() => Version++;

    /// <summary>The matrix as forward products read it: a lane is an output.</summary>
    internal PackedMatrix Packed(ThreadTeam team)
    {
        if (_packed is null || _packedVersion != Version)
            MatrixPacker.Pack(team, RenewedPacked(), [new RowSource(Value!)]);
        return _packed!;
    }

    /// <summary>Renews the packed forms of many small matrices at once, one by one on each thread.</summary>
    internal static void Pack(ThreadTeam team, IEnumerable<Parameter> parameters) =>
        Run(team, parameters.Where(p => p._packed is null || p._packedVersion != p.Version), transposed: false);

    /// <summary>Renews the transposed packed forms of many small matrices at once.</summary>
    internal static void PackTransposed(ThreadTeam team, IEnumerable<Parameter> parameters) =>
        Run(team, parameters.Where(p => p._packedTransposed is null || p._transposedVersion != p.Version), transposed: true);

    private static void Run(ThreadTeam team, IEnumerable<Parameter> outdated, bool transposed)
    {
        var works = new List<(PackedMatrix Matrix, RowSource Source)>();
        foreach (Parameter parameter in outdated)
            works.Add((transposed ? parameter.RenewedTransposed() : parameter.RenewedPacked(), new RowSource(parameter.Value!)));
        if (works.Count > 0)
            MatrixPacker.PackEach(team, works, transposed);
    }

    // A matrix to pack into, the one of the step before where it is ours.
    private PackedMatrix RenewedPacked()
    {
        if (!_ownsPacked)
        {
            _packed?.Dispose();
            (_packed, _ownsPacked) = (new PackedF32(_shape[0], _shape[1]), true);
        }

        _packedVersion = Version;
        return _packed!;
    }

    private PackedMatrix RenewedTransposed()
    {
        EnsureValue();
        _transposedVersion = Version;
        return _packedTransposed ??= new PackedF32(_shape[1], _shape[0]);
    }

    /// <summary>The packed form as it was loaded or last used; null where there is none.</summary>
    internal PackedMatrix? PackedOrNull => _packed;

    /// <summary>Whether only quantised blocks are held: input gradients then expand a few rows at a time.</summary>
    internal bool HasBlocksOnly => Value is null && _packed is { } packed && BlockKernel.For(packed.Type) is not null;

    /// <summary>The transposed matrix as input gradients read it: a lane is an input.</summary>
    internal PackedMatrix PackedTransposed(ThreadTeam team)
    {
        if (_packedTransposed is null || _transposedVersion != Version)
            MatrixPacker.PackTransposed(team, RenewedTransposed(), [new RowSource(Value!)]);
        return _packedTransposed!;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}[{string.Join(", ", _shape)}]";

    /// <inheritdoc/>
    public void Dispose()
    {
        Value?.Dispose();
        Gradient?.Dispose();
        _packed?.Dispose();
        _packedTransposed?.Dispose();
    }

    internal unsafe float* Vector => Value!.F32Pointer;
}
