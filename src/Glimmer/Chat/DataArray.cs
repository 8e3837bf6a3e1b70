using System.Collections;

namespace Glimmer.Chat;

/// <summary>What a sequence is in Python; decides truth, length and printing.</summary>
internal enum SequenceKind
{
    List,
    Tuple,

    /// <summary>Lazy in Python (map, select, ...): always true, without length or index. Held complete here.</summary>
    Generator,

    /// <summary>keys(), values() or items() of a mapping: has a length but no index.</summary>
    View,
}

/// <summary>An array: values in order.</summary>
public sealed class DataArray : DataValue, IReadOnlyList<DataValue>
{
    private readonly List<DataValue> _items;

    /// <summary>An empty array.</summary>
    public DataArray()
        : this([], SequenceKind.List)
    {
    }

    /// <summary>An array of the given values.</summary>
    public DataArray(IEnumerable<DataValue> items)
        : this([.. items], SequenceKind.List)
    {
    }

    internal DataArray(List<DataValue> items, SequenceKind kind)
    {
        _items = items;
        Sequence = kind;
    }

    /// <summary>Number of values.</summary>
    public int Count => _items.Count;

    /// <summary>The value at an index.</summary>
    public DataValue this[int index] => _items[index];

    internal SequenceKind Sequence { get; }

    internal override string TypeName => Sequence switch
    {
        SequenceKind.Tuple => "tuple",
        SequenceKind.Generator => "generator",
        SequenceKind.View => "dict_view",
        _ => "list",
    };

    internal override bool IsTrue => Sequence == SequenceKind.Generator || _items.Count > 0;

    /// <summary>Adds a value at the end. Templates never do: they see data as read-only.</summary>
    public void Add(DataValue value) => _items.Add(value);

    /// <summary>The values in order.</summary>
    public List<DataValue>.Enumerator GetEnumerator() => _items.GetEnumerator();

    IEnumerator<DataValue> IEnumerable<DataValue>.GetEnumerator() => _items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => _items.GetEnumerator();
}
