using System.Globalization;
using Glimmer.Chat;

namespace Glimmer.Server.Http;

/// <summary>Typed access to the fields of a JSON object. What is absent or null is null; what has the wrong type or range is refused by name. Unknown fields are never looked at.</summary>
/// <param name="data">The object.</param>
/// <param name="path">Where it stands in the request, for messages; empty for the request itself.</param>
internal sealed class Fields(DataObject data, string path = "")
{
    /// <summary>The object.</summary>
    public DataObject Data { get; } = data;

    /// <summary>The full name of a field.</summary>
    public string Name(string field) => path.Length == 0 ? field : $"{path}.{field}";

    /// <summary>The value of a field; null when absent or null.</summary>
    public DataValue? Value(string field) => Data.Find(field) is { IsNull: false } value ? value : null;

    /// <summary>Whether the field is there and not null.</summary>
    public bool Has(string field) => Value(field) is not null;

    /// <summary>A text.</summary>
    public string? Text(string field) => Value(field) switch
    {
        null => null,
        { AsString: { } text } => text,
        _ => throw Wrong(field, "a string"),
    };

    /// <summary>A text that must be there.</summary>
    public string RequiredText(string field) => Text(field) ?? throw Missing(field);

    /// <summary>A boolean.</summary>
    public bool? Flag(string field) => Value(field) switch
    {
        null => null,
        { AsBoolean: { } flag } => flag,
        _ => throw Wrong(field, "a boolean"),
    };

    /// <summary>An integer; <c>3.0</c> is one.</summary>
    public int? Integer(string field, int least = int.MinValue, int most = int.MaxValue) => Long(field, least, most) is { } value ? (int)value : null;

    /// <summary>A large integer.</summary>
    public long? Long(string field, long least = long.MinValue, long most = long.MaxValue)
    {
        DataValue? value = Value(field);
        if (value is null)
            return null;
        long? number = value.AsInteger ?? (value.AsNumber is { } real && real == Math.Floor(real) && Math.Abs(real) < 1e15 && value.AsBoolean is null ? (long)real : null);
        if (number is null)
            throw Wrong(field, "an integer");
        if (number < least || number > most)
            throw OutOfRange(field, number.Value.ToString(CultureInfo.InvariantCulture), least, most);
        return number;
    }

    /// <summary>A number.</summary>
    public double? Number(string field, double least = double.NegativeInfinity, double most = double.PositiveInfinity, bool excludeLeast = false)
    {
        DataValue? value = Value(field);
        if (value is null)
            return null;
        if (value.AsNumber is not { } number || value.AsBoolean is not null || !double.IsFinite(number))
            throw Wrong(field, "a number");
        if (number < least || number > most || (excludeLeast && number == least))
        {
            string from = double.IsFinite(least) ? excludeLeast ? $"more than {Text(least)}" : $"at least {Text(least)}" : "any number";
            string to = double.IsFinite(most) ? $" and at most {Text(most)}" : "";
            throw ApiException.Invalid($"{Name(field)} is {Text(number)}; expected {from}{to}.", Name(field));
        }

        return number;
    }

    /// <summary>An object.</summary>
    public Fields? Object(string field) => Value(field) switch
    {
        null => null,
        DataObject inner => new Fields(inner, Name(field)),
        _ => throw Wrong(field, "an object"),
    };

    /// <summary>A list; empty when absent.</summary>
    public IReadOnlyList<DataValue> List(string field, int most = int.MaxValue)
    {
        switch (Value(field))
        {
            case null:
                return [];
            case DataArray list when list.Count > most:
                throw ApiException.Invalid($"{Name(field)} has {list.Count} elements; at most {most} are allowed.", Name(field));
            case DataArray list:
                return [.. list];
            default:
                throw Wrong(field, "an array");
        }
    }

    /// <summary>A list of objects; empty when absent.</summary>
    public IReadOnlyList<Fields> Objects(string field, int most = int.MaxValue) =>
        [.. List(field, most).Select((item, i) => item is DataObject inner
            ? new Fields(inner, $"{Name(field)}.{i}")
            : throw ApiException.Invalid($"{Name(field)}.{i}: expected an object.", $"{Name(field)}.{i}"))];

    /// <summary>A text or a list of texts; empty when absent.</summary>
    public IReadOnlyList<string> TextOrTexts(string field, int most = int.MaxValue) =>
        Value(field) is { AsString: { } single } ? [single] : [.. List(field, most).Select(item => item.AsString ?? throw Wrong(field, "a string or an array of strings"))];

    /// <summary>A list of integers; empty when absent.</summary>
    public IReadOnlyList<int> Integers(string field, int most = int.MaxValue) =>
        [.. List(field, most).Select(item => item.AsInteger is { } id and >= int.MinValue and <= int.MaxValue ? (int)id : throw Wrong(field, "an array of integers"))];

    /// <summary>The field has the wrong type.</summary>
    public ApiException Wrong(string field, string expected) => ApiException.Invalid($"{Name(field)}: expected {expected}.", Name(field));

    /// <summary>The field is missing.</summary>
    public ApiException Missing(string field) => ApiException.Invalid($"{Name(field)} is required.", Name(field));

    private ApiException OutOfRange(string field, string value, long least, long most)
    {
        string to = most is long.MaxValue or int.MaxValue ? "" : $" and at most {most}";
        string from = least is long.MinValue or int.MinValue ? "" : $"at least {least}";
        return ApiException.Invalid($"{Name(field)} is {value}; expected {from}{to}.", Name(field));
    }

    private static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
