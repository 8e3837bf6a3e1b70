using Glimmer.Tensors;

namespace Glimmer.Training.Checkpoints;

/// <summary>Copies of tensors in memory that is allocated once and used again for each checkpoint.</summary>
/// <remarks>A second copy of weights and optimizer state stays in memory for as long as this lives: the price of training while a checkpoint is written.</remarks>
public sealed class StagedTensors : IDisposable
{
    private readonly Dictionary<string, Tensor> _copies = new(StringComparer.Ordinal);

    /// <summary>Copies tensors; earlier copies of the same names are overwritten.</summary>
    /// <param name="tensors">Tensors by name.</param>
    /// <returns>The copies, in the same order.</returns>
    public IReadOnlyList<KeyValuePair<string, Tensor>> Copy(IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        var list = new List<KeyValuePair<string, Tensor>>();
        foreach ((string name, Tensor tensor) in tensors)
        {
            Tensor copy = Take(name, tensor.Shape, tensor.Type);
            tensor.CopyTo(copy);
            list.Add(KeyValuePair.Create(name, copy));
        }

        return list;
    }

    /// <summary>Memory for a copy under a name; what it holds from before is undefined.</summary>
    internal Tensor Take(string name, ReadOnlySpan<int> shape, DType type = DType.F32)
    {
        if (!_copies.TryGetValue(name, out Tensor? copy) || copy.Type != type || !copy.Shape.SequenceEqual(shape))
        {
            copy?.Dispose();
            _copies[name] = copy = Tensor.Allocate(type, shape);
        }

        return copy;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor copy in _copies.Values)
            copy.Dispose();
        _copies.Clear();
    }
}
