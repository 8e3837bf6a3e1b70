using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace Glimmer.Chat;

/// <summary>An object: string keys and values in the order in which the keys first appeared.</summary>
public sealed class DataObject : DataValue, IEnumerable<KeyValuePair<string, DataValue>>
{
    private readonly OrderedDictionary<string, DataValue> _items = new(StringComparer.Ordinal);

    /// <summary>Number of keys.</summary>
    public int Count => _items.Count;

    /// <summary>The value of a key. Setting a key that exists keeps its place.</summary>
    /// <exception cref="KeyNotFoundException">There is no such key.</exception>
    public DataValue this[string key]
    {
        get => _items[key];
        set => _items[key] = value;
    }

    internal override string TypeName => "dict";

    internal override bool IsTrue => _items.Count > 0;

    /// <summary>The value of a key, or null when there is none.</summary>
    public DataValue? Find(string key) => _items.TryGetValue(key, out DataValue? value) ? value : null;

    /// <summary>Looks a key up.</summary>
    public bool TryGetValue(string key, [MaybeNullWhen(false)] out DataValue value) => _items.TryGetValue(key, out value);

    /// <summary>True when the key exists.</summary>
    public bool ContainsKey(string key) => _items.ContainsKey(key);

    /// <summary>Adds a key or replaces its value; for collection initialisers.</summary>
    public void Add(string key, DataValue value) => _items[key] = value;

    /// <summary>Keys and values in order.</summary>
    public OrderedDictionary<string, DataValue>.Enumerator GetEnumerator() => _items.GetEnumerator();

    IEnumerator<KeyValuePair<string, DataValue>> IEnumerable<KeyValuePair<string, DataValue>>.GetEnumerator() => _items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => _items.GetEnumerator();
}
