using System.Globalization;
using Glimmer.Formats;

namespace Glimmer.Models.Gguf;

/// <summary>The <c>{architecture}.*</c> keys of a GGUF file, checked as they are read.</summary>
internal sealed class GgufMetadata(GgufFile file, string architecture)
{
    // Keys that change what is computed: one that nobody asked for must not be ignored.
    private static readonly string[] s_meaningful = ["attention.", "rope.", "expert"];

    private readonly HashSet<string> _known = new(StringComparer.Ordinal);

    /// <summary>The file, for tensors.</summary>
    public GgufFile File => file;

    /// <summary>Name in <c>general.architecture</c>.</summary>
    public string Architecture => architecture;

    /// <summary>Whether the key is there.</summary>
    public bool Has(string key) => file.Metadata.ContainsKey(Full(key));

    /// <summary>A size of at least <paramref name="smallest"/> that must be there.</summary>
    /// <exception cref="ModelFormatException">It is missing or out of range.</exception>
    public int Integer(string key, int smallest = 1) =>
        Find(key) is { } value ? InRange(key, value.AsInteger(), smallest)
            : throw new ModelFormatException($"'{file.Path}' lacks the metadata key '{Full(key)}'.");

    /// <summary>As <see cref="Integer"/>, or the default when the key is missing.</summary>
    public int IntegerOr(string key, long missing, int smallest = 1) => InRange(key, Find(key)?.AsInteger() ?? missing, smallest);

    /// <summary>A finite number above <paramref name="above"/>.</summary>
    /// <exception cref="ModelFormatException">It is missing or out of range.</exception>
    public double Number(string key, double? missing, double above)
    {
        double value = Find(key)?.AsNumber() ?? missing ?? throw new ModelFormatException($"'{file.Path}' lacks the metadata key '{Full(key)}'.");
        return double.IsFinite(value) && value > above
            ? value
            : throw new ModelFormatException($"'{file.Path}': '{Full(key)}' is {value.ToString(CultureInfo.InvariantCulture)}; a finite number above "
                + $"{above.ToString(CultureInfo.InvariantCulture)} is expected.");
    }

    /// <summary>A truth value.</summary>
    public bool FlagOr(string key, bool missing) => Find(key)?.AsBool() ?? missing;

    /// <summary>Truth values, or null when the key is missing.</summary>
    public IReadOnlyList<bool>? Flags(string key) => Find(key)?.AsBools();

    /// <summary>Requires a value where a key is there: another one asks for something Glimmer does not compute.</summary>
    /// <exception cref="UnsupportedModelException">The key has another value.</exception>
    public void Require(string key, long expected, string meaning)
    {
        if (Find(key) is { } value && value.AsInteger() != expected)
        {
            throw new UnsupportedModelException($"'{file.Path}': '{Full(key)}' is {value.AsInteger()}; only {expected} ({meaning}) is supported for the "
                + $"architecture '{architecture}'.");
        }
    }

    /// <summary>Refuses scaled rotary embeddings; <c>rope.scaling.type = none</c> is allowed.</summary>
    /// <exception cref="UnsupportedModelException">Another type, or scaling parameters without a type.</exception>
    public void RefuseRopeScaling()
    {
        string prefix = Full("rope.scaling.");
        string type = Find("rope.scaling.type")?.AsString() ?? "";
        foreach (string key in file.Metadata.Keys.Where(k => k.StartsWith(prefix, StringComparison.Ordinal)))
        {
            if (type != "none")
                throw new UnsupportedModelException(
                    $"'{file.Path}' asks for rope scaling ('{key}'{(type.Length > 0 ? $", type '{type}'" : "")}), which Glimmer does not support.");
            _known.Add(key);
        }

        if (Has("rope.scale_linear"))
            throw new UnsupportedModelException($"'{file.Path}' asks for rope scaling ('{Full("rope.scale_linear")}'), which Glimmer does not support.");
    }

    /// <summary>Refuses keys about attention, rotation or experts that were not read.</summary>
    /// <exception cref="UnsupportedModelException">There is one.</exception>
    public void RefuseUnknown()
    {
        foreach (string key in file.Metadata.Keys)
        {
            if (!_known.Contains(key) && Array.Exists(s_meaningful, part => key.StartsWith(Full(part), StringComparison.Ordinal)))
                throw new UnsupportedModelException($"'{file.Path}' has the metadata key '{key}', which Glimmer does not know for the architecture "
                    + $"'{architecture}'; ignoring it could change the model.");
        }
    }

    private GgufValue? Find(string key)
    {
        string full = Full(key);
        _known.Add(full);
        return file.TryGetValue(full, out GgufValue? value) ? value : null;
    }

    private int InRange(string key, long value, int smallest) => value >= smallest && value <= int.MaxValue
        ? (int)value
        : throw new ModelFormatException($"'{file.Path}': '{Full(key)}' is {value}; a whole number from {smallest} to {int.MaxValue} is expected.");

    private string Full(string key) => $"{architecture}.{key}";
}
