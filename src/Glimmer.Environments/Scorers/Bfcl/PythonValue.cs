using System.Globalization;
using System.Numerics;
using System.Text.Json;
using Glimmer.Chat;

namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>The Python types that the checker tells apart.</summary>
internal enum PythonType
{
    None,
    Boolean,
    Integer,
    Float,
    String,
    List,
    Tuple,
    Dict,

    /// <summary>Bytes and complex numbers: equal to nothing that an answer lists.</summary>
    Other,
}

/// <summary>A value as Python has it: integers, floats and booleans are of different types but equal as numbers; lists and tuples are never equal.</summary>
internal sealed class PythonValue : IEquatable<PythonValue>
{
    private readonly object? _value;

    private PythonValue(PythonType type, object? value) => (Type, _value) = (type, value);

    /// <summary>None.</summary>
    public static PythonValue None { get; } = new(PythonType.None, null);

    /// <summary>The type.</summary>
    public PythonType Type { get; }

    /// <summary>The text of a string, the source text of another value.</summary>
    public string Text => (string)_value!;

    /// <summary>The value of a boolean.</summary>
    public bool Boolean => (bool)_value!;

    /// <summary>The value of an integer.</summary>
    public BigInteger Integer => (BigInteger)_value!;

    /// <summary>The value of a float.</summary>
    public double Float => (double)_value!;

    /// <summary>The items of a list or tuple.</summary>
    public IReadOnlyList<PythonValue> Items => (IReadOnlyList<PythonValue>)_value!;

    /// <summary>The keys and values of a dict, in order; no key twice.</summary>
    public IReadOnlyList<KeyValuePair<PythonValue, PythonValue>> Pairs => (IReadOnlyList<KeyValuePair<PythonValue, PythonValue>>)_value!;

    /// <summary>Whether it is a list.</summary>
    public bool IsList => Type == PythonType.List;

    /// <summary>Whether it is this string.</summary>
    public bool IsString(string text) => Type == PythonType.String && Text == text;

    public static PythonValue Of(bool value) => new(PythonType.Boolean, value);

    public static PythonValue Of(BigInteger value) => new(PythonType.Integer, value);

    public static PythonValue Of(long value) => Of((BigInteger)value);

    public static PythonValue Of(double value) => new(PythonType.Float, value);

    public static PythonValue Of(string value) => new(PythonType.String, value);

    public static PythonValue List(IReadOnlyList<PythonValue> items) => new(PythonType.List, items);

    public static PythonValue Tuple(IReadOnlyList<PythonValue> items) => new(PythonType.Tuple, items);

    /// <summary>A dict; of equal keys the first keeps its place and the last its value.</summary>
    public static PythonValue Dict(IEnumerable<KeyValuePair<PythonValue, PythonValue>> pairs)
    {
        var kept = new OrderedDictionary<PythonValue, PythonValue>();
        foreach ((PythonValue key, PythonValue value) in pairs)
            kept[key] = value;
        return new PythonValue(PythonType.Dict, kept.ToArray());
    }

    /// <summary>A value of a type that answers never have, by its source text.</summary>
    public static PythonValue Other(string source) => new(PythonType.Other, source);

    /// <summary>Reads JSON as Python's <c>json</c> does: <c>5</c> is an integer, <c>5.0</c> and <c>5e0</c> are floats.</summary>
    public static PythonValue From(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Null => None,
        JsonValueKind.True => Of(true),
        JsonValueKind.False => Of(false),
        JsonValueKind.String => Of(json.GetString()!),
        JsonValueKind.Number => json.GetRawText().AsSpan().IndexOfAny(".eE") >= 0
            ? Of(json.GetDouble())
            : Of(BigInteger.Parse(json.GetRawText(), CultureInfo.InvariantCulture)),
        JsonValueKind.Array => List([.. json.EnumerateArray().Select(From)]),
        JsonValueKind.Object => Dict(json.EnumerateObject().Select(property => KeyValuePair.Create(Of(property.Name), From(property.Value)))),
        _ => throw new ArgumentException($"expected a JSON value, not {json.ValueKind}", nameof(json)),
    };

    /// <summary>The same value as chat templates and parsers have it.</summary>
    public static PythonValue From(DataValue value)
    {
        using JsonDocument document = JsonDocument.Parse(value.ToJson(), new JsonDocumentOptions { MaxDepth = 1024 });
        return From(document.RootElement);
    }

    /// <summary>The value of a string key of a dict, or null.</summary>
    public PythonValue? Find(string key)
    {
        foreach ((PythonValue name, PythonValue value) in Pairs)
        {
            if (name.IsString(key))
                return value;
        }

        return null;
    }

    /// <summary>Python's <c>==</c>.</summary>
    public bool Equals(PythonValue? other)
    {
        if (other is null)
            return false;
        if (Number() is { } a && other.Number() is { } b)
            return Type == PythonType.Float || other.Type == PythonType.Float ? SameFloat(this, other) : a == b;
        if (Type != other.Type)
            return false;
        return Type switch
        {
            PythonType.None => true,
            PythonType.String => Text == other.Text,
            PythonType.List or PythonType.Tuple => Items.SequenceEqual(other.Items),
            PythonType.Dict => Pairs.Count == other.Pairs.Count && Pairs.All(pair => other.Pairs.Any(second => pair.Key.Equals(second.Key) && pair.Value.Equals(second.Value))),
            _ => false,
        };
    }

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as PythonValue);

    /// <inheritdoc/>
    public override int GetHashCode() => Type switch
    {
        PythonType.Boolean or PythonType.Integer or PythonType.Float => ToDouble().GetHashCode(),
        PythonType.String => Text.GetHashCode(StringComparison.Ordinal),
        _ => (int)Type,
    };

    /// <summary>The source text of the value: Python's <c>repr</c>.</summary>
    public override string ToString()
    {
        switch (Type)
        {
            case PythonType.None:
                return "None";
            case PythonType.Boolean:
                return Boolean ? "True" : "False";
            case PythonType.Integer:
                return Integer.ToString(CultureInfo.InvariantCulture);
            case PythonType.Float:
                return PythonText.FloatRepr(Float);
            case PythonType.String:
                return PythonText.StrRepr(Text);
            case PythonType.List:
                return "[" + string.Join(", ", Items) + "]";
            case PythonType.Tuple:
                return "(" + string.Join(", ", Items) + (Items.Count == 1 ? ",)" : ")");
            case PythonType.Dict:
                return "{" + string.Join(", ", Pairs.Select(pair => $"{pair.Key}: {pair.Value}")) + "}";
            default:
                return Text;
        }
    }

    /// <summary>A boolean, integer or float as a double; beyond its range infinity.</summary>
    public double ToDouble() => Type switch
    {
        PythonType.Boolean => Boolean ? 1 : 0,
        PythonType.Integer => (double)Integer,
        _ => Float,
    };

    /// <summary>The number that a boolean or integer is; 0 stands for any float.</summary>
    private BigInteger? Number() => Type switch
    {
        PythonType.Boolean => Boolean ? BigInteger.One : BigInteger.Zero,
        PythonType.Integer => Integer,
        PythonType.Float => BigInteger.Zero,
        _ => null,
    };

    // An integer equals a float only when it is exactly its value.
    private static bool SameFloat(PythonValue a, PythonValue b)
    {
        if (a.Type == b.Type)
            return a.Float == b.Float;
        (PythonValue number, PythonValue real) = a.Type == PythonType.Float ? (b, a) : (a, b);
        return double.IsFinite(real.Float) && real.Float == Math.Floor(real.Float) && new BigInteger(real.Float) == number.Number();
    }
}
