using System.Collections.Concurrent;
using Glimmer.Models;

namespace Glimmer.Inference;

/// <summary>The named adapters of an engine. Names are looked up from any thread; everything else belongs to the engine thread.</summary>
internal sealed class AdapterSet(CausalLm model) : IDisposable
{
    private readonly ConcurrentDictionary<string, Entry> _byName = new(StringComparer.Ordinal);
    private CausalLm _model = model;
    private int _loaded;

    /// <summary>Names in ordinal order.</summary>
    public IReadOnlyList<string> Names => [.. _byName.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Whether there are any.</summary>
    public bool IsEmpty => _byName.IsEmpty;

    /// <summary>Whether a name is known.</summary>
    public bool Has(string name) => _byName.ContainsKey(name);

    /// <summary>The adapter of a request.</summary>
    /// <param name="name">Its name, or null for none.</param>
    /// <exception cref="ArgumentException">There is no such adapter.</exception>
    public Entry Find(string? name)
    {
        if (name is null)
            return Entry.None;
        return _byName.TryGetValue(name, out Entry? entry) ? entry : throw Unknown(name);
    }

    /// <summary>Throws unless a request's adapter is known.</summary>
    /// <exception cref="ArgumentException">It is not.</exception>
    public void Check(string? name) => Find(name);

    /// <summary>Reads an adapter and attaches it beside the others; one of the same name is replaced. On any failure nothing has changed.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="folder">A folder in the layout of PEFT.</param>
    /// <exception cref="ModelFormatException">A file is missing or malformed.</exception>
    /// <exception cref="UnsupportedModelException">It is for another model or of a kind that is not supported.</exception>
    public void Load(string name, string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        LoraAdapter adapter = LoraAdapter.Load(_model, folder);
        int number = _model.FreeAdapterNumber();
        adapter.Attach(_model, number);
        Entry? old = _byName.GetValueOrDefault(name);
        // What it computes may be shared only among requests of this very adapter.
        _byName[name] = new Entry(name, adapter, number, ++_loaded);
        old?.Adapter!.Dispose();
    }

    /// <summary>Forgets an adapter.</summary>
    /// <exception cref="ArgumentException">There is no such adapter.</exception>
    public void Unload(string name)
    {
        if (!_byName.TryRemove(name, out Entry? entry))
            throw Unknown(name);
        entry.Adapter!.Dispose();
    }

    /// <summary>Attaches all of them to another model of the same shape instead.</summary>
    public void MoveTo(CausalLm model)
    {
        foreach (Entry entry in _byName.Values)
        {
            entry.Adapter!.Detach();
            entry.Adapter.Attach(model, entry.Number);
        }

        _model = model;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (string name in Names)
            Unload(name);
    }

    private ArgumentException Unknown(string name) => new(
        $"There is no adapter '{name}'. " + (IsEmpty ? "The engine has none; name its folder in EngineOptions.Adapters." : $"The engine has {string.Join(", ", Names)}."), nameof(name));

    /// <summary>One adapter.</summary>
    /// <param name="Name">Its name; empty for none.</param>
    /// <param name="Adapter">The adapter, or null for none.</param>
    /// <param name="Number">Under which it is attached; 0 for none.</param>
    /// <param name="Id">Differs from that of every other adapter that the engine ever had; 0 for none.</param>
    internal sealed record Entry(string Name, LoraAdapter? Adapter, int Number, int Id)
    {
        public static readonly Entry None = new("", null, 0, 0);
    }
}
