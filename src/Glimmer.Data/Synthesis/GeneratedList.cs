using System.Collections;

namespace Glimmer.Data.Synthesis;

/// <summary>A list whose items are computed when they are read: a generated corpus as a source of a mixture, in constant memory.</summary>
/// <typeparam name="T">What it holds.</typeparam>
/// <param name="count">Number of items.</param>
/// <param name="make">The item of an index, always the same for the same index.</param>
public sealed class GeneratedList<T>(int count, Func<long, T> make) : IReadOnlyList<T>
{
    /// <inheritdoc/>
    public int Count => count;

    /// <inheritdoc/>
    public T this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, count);
            return make(index);
        }
    }

    /// <inheritdoc/>
    public IEnumerator<T> GetEnumerator()
    {
        for (int i = 0; i < count; i++)
            yield return make(i);
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
