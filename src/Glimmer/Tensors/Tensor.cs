using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Glimmer.Tensors;

/// <summary>A dense row-major array in native or memory-mapped memory.</summary>
/// <remarks>
/// A tensor is a view: <see cref="Owner"/> keeps the memory alive (a buffer of its own, a mapped file, an arena). Disposing a tensor that
/// was made by <see cref="Allocate"/> frees its buffer; disposing a view does nothing.
/// </remarks>
public sealed unsafe class Tensor : IDisposable
{
    private readonly bool _owns;
    private int[] _sizes; // at least four, so that a reused tensor of another rank needs no other array
    private int _rank;
    private byte* _data;

    internal Tensor(DType type, ReadOnlySpan<int> shape, byte* data, object? owner, bool owns = false)
    {
        Type = type;
        _sizes = new int[Math.Max(4, shape.Length)];
        shape.CopyTo(_sizes);
        _rank = shape.Length;
        Count = CountOf(shape);
        _data = data;
        Owner = owner;
        _owns = owns;
    }

    /// <summary>How the elements are stored.</summary>
    public DType Type { get; private set; }

    /// <summary>Sizes, slowest dimension first.</summary>
    public ReadOnlySpan<int> Shape => new(_sizes, 0, _rank);

    /// <summary>Number of elements.</summary>
    public long Count { get; private set; }

    /// <summary>Gradient of the loss with respect to this activation, of the same shape; null before anything was added.</summary>
    internal Tensor? Gradient { get; set; }

    /// <summary>What keeps the memory alive.</summary>
    internal object? Owner { get; }

    /// <summary>First byte. Valid while <see cref="Owner"/> lives and this tensor is not disposed.</summary>
    internal byte* Data => _data;

    /// <summary>First element of an F32 tensor.</summary>
    internal float* F32Pointer => (float*)Checked(DType.F32);

    /// <summary>Allocates a zeroed tensor of its own, aligned to 64 bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative.</exception>
    public static Tensor Allocate(DType type, params ReadOnlySpan<int> shape)
    {
        var buffer = new NativeBuffer(type.ByteSize(CountOf(shape)));
        return new Tensor(type, shape, buffer.Pointer, buffer, owns: true);
    }

    /// <summary>Allocates an F32 tensor and copies <paramref name="values"/> into it.</summary>
    public static Tensor From(ReadOnlySpan<float> values, params ReadOnlySpan<int> shape)
    {
        Tensor tensor = Allocate(DType.F32, shape);
        if (tensor.Count != values.Length)
            ThrowCount(values.Length, shape);
        values.CopyTo(tensor.F32);
        return tensor;
    }

    /// <summary>The elements of an F32 tensor.</summary>
    public Span<float> F32 => new(Checked(DType.F32), checked((int)Count));

    /// <summary>The elements of an I32 tensor.</summary>
    public Span<int> I32 => new(Checked(DType.I32), checked((int)Count));

    /// <summary>The raw bytes, whatever the type.</summary>
    public Span<byte> Bytes => new(Alive(), checked((int)Type.ByteSize(Count)));

    /// <summary>Sets every byte to zero, whatever the size.</summary>
    public void Clear() => NativeMemory.Clear(Alive(), (nuint)Type.ByteSize(Count));

    /// <summary>Copies the bytes to a tensor of the same type and count, whatever the size.</summary>
    public void CopyTo(Tensor other)
    {
        if (other.Type != Type || other.Count != Count)
            throw new ArgumentException($"{this} cannot be copied to {other}.", nameof(other));
        long bytes = Type.ByteSize(Count);
        Buffer.MemoryCopy(Alive(), other.Alive(), bytes, bytes);
    }

    /// <summary>One row (index on the first dimension) as a view; shape without that dimension.</summary>
    public Tensor Row(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Shape[0]);
        long bytes = Type.ByteSize(Count / Shape[0]);
        return new Tensor(Type, Shape[1..], Alive() + index * bytes, Owner);
    }

    /// <summary>Points this view at other memory; only a <see cref="Workspace"/> does that, to reuse the object.</summary>
    internal void Rebind(DType type, ReadOnlySpan<int> shape, byte* data)
    {
        Type = type;
        Gradient = null;
        if (_sizes.Length < shape.Length)
            _sizes = new int[Math.Max(4, shape.Length)];
        shape.CopyTo(_sizes);
        _rank = shape.Length;
        Count = CountOf(shape);
        _data = data;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_owns)
            return;
        _data = null;
        ((IDisposable)Owner!).Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Type}[{string.Join(", ", Shape.ToArray())}]";

    internal static long CountOf(ReadOnlySpan<int> shape)
    {
        long count = 1;
        foreach (int size in shape)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(size, nameof(shape));
            count = checked(count * size);
        }

        return count;
    }

    private byte* Alive()
    {
        ObjectDisposedException.ThrowIf(_data == null && Count != 0, this);
        return _data;
    }

    private byte* Checked(DType expected)
    {
        if (Type != expected)
            throw new InvalidOperationException($"The tensor is {this}, not {expected}.");
        return Alive();
    }

    [DoesNotReturn]
    private static void ThrowCount(long count, ReadOnlySpan<int> shape) =>
        throw new ArgumentException($"{count} elements do not fill the shape [{string.Join(", ", shape.ToArray())}].");
}
