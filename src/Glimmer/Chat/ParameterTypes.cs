namespace Glimmer.Chat;

/// <summary>JSON types, as JSON Schema names them. A number may be an integer.</summary>
[Flags]
internal enum JsonTypes
{
    None = 0,
    String = 1,
    Integer = 2,
    Fraction = 4,
    Number = Integer | Fraction,
    Boolean = 8,
    Null = 16,
    Array = 32,
    Object = 64,
    All = 127,
}

/// <summary>What a tool's schema says about one parameter: the types it allows (null when that is unknown) and the strings it lists.</summary>
internal sealed class ParameterTypes
{
    private const int MaxVisits = 1000;
    private readonly HashSet<string> _members = new(StringComparer.Ordinal);
    private readonly HashSet<DataObject> _open = [];
    private readonly DataValue? _root;
    private int _visits;

    private ParameterTypes(DataValue? root) => _root = root;

    /// <summary>Allowed types; null when the schema does not say.</summary>
    public JsonTypes? Allowed { get; private init; }

    /// <summary>True when the parameter is a string and nothing else: its text needs no reading.</summary>
    public bool IsString => Allowed == JsonTypes.String;

    public bool Allows(JsonTypes type) => Allowed is { } allowed && (allowed & type) != 0;

    /// <summary>True when <c>enum</c> or <c>const</c> lists the text as a string.</summary>
    public bool Lists(string text) => _members.Contains(text);

    /// <summary>Reads the schema of a parameter.</summary>
    public static ParameterTypes Of(DataObject? schema, string parameter)
    {
        var reader = new ParameterTypes(schema);
        DataValue? declared = (schema?.Find("properties") as DataObject)?.Find(parameter);
        JsonTypes? allowed = reader.Read(declared);
        var result = new ParameterTypes(schema) { Allowed = allowed };
        result._members.UnionWith(reader._members);
        return result;
    }

    public static JsonTypes TypeOf(DataValue value) => value switch
    {
        StringValue => JsonTypes.String,
        IntegerValue => JsonTypes.Integer,
        FloatValue => JsonTypes.Fraction,
        BooleanValue => JsonTypes.Boolean,
        NullValue => JsonTypes.Null,
        DataArray => JsonTypes.Array,
        _ => JsonTypes.Object,
    };

    /// <summary>All keywords hold at once, so what they allow is intersected; unknown ones restrict nothing.</summary>
    private JsonTypes? Read(DataValue? schema)
    {
        if (schema is not DataObject keywords || ++_visits > MaxVisits || !_open.Add(keywords))
            return null;
        JsonTypes? allowed = Intersect(ReadType(keywords.Find("type")), ReadMembers(keywords));
        if (keywords.Find("$ref")?.AsString is { } reference)
            allowed = Intersect(allowed, Read(Resolve(reference)));
        allowed = Intersect(allowed, ReadUnion(keywords.Find("anyOf")));
        allowed = Intersect(allowed, ReadUnion(keywords.Find("oneOf")));
        foreach (DataValue branch in keywords.Find("allOf") as DataArray ?? [])
            allowed = Intersect(allowed, Read(branch));
        _open.Remove(keywords);
        return allowed;
    }

    private static JsonTypes? Intersect(JsonTypes? a, JsonTypes? b) => a is null ? b : b is null ? a : a & b;

    private static JsonTypes? ReadType(DataValue? type)
    {
        if (type is not DataArray several)
            return Named(type?.AsString);
        JsonTypes all = JsonTypes.None;
        foreach (DataValue one in several)
        {
            if (Named(one.AsString) is not { } named)
                return null;
            all |= named;
        }

        return all;
    }

    private static JsonTypes? Named(string? name) => name switch
    {
        "string" => JsonTypes.String,
        "integer" => JsonTypes.Integer,
        "number" => JsonTypes.Number,
        "boolean" => JsonTypes.Boolean,
        "null" => JsonTypes.Null,
        "array" => JsonTypes.Array,
        "object" => JsonTypes.Object,
        _ => null,
    };

    private JsonTypes? ReadMembers(DataObject keywords)
    {
        JsonTypes? listed = null;
        if (keywords.Find("enum") is DataArray members)
        {
            listed = JsonTypes.None;
            foreach (DataValue member in members)
                listed |= Note(member);
        }

        return keywords.Find("const") is { } constant ? Intersect(listed, Note(constant)) : listed;
    }

    private JsonTypes Note(DataValue member)
    {
        if (member.AsString is { } text)
            _members.Add(text);
        return TypeOf(member);
    }

    private JsonTypes? ReadUnion(DataValue? branches)
    {
        if (branches is not DataArray several || several.Count == 0)
            return null;
        JsonTypes? union = JsonTypes.None;
        foreach (DataValue branch in several)
            union |= Read(branch);
        return union;
    }

    /// <summary>A JSON pointer into this schema: <c>#</c>, <c>#/$defs/N</c>.</summary>
    private DataValue? Resolve(string reference)
    {
        if (!reference.StartsWith('#') || (reference.Length > 1 && reference[1] != '/'))
            return null;
        DataValue? place = _root;
        foreach (string step in reference.Length > 1 ? reference[2..].Split('/') : [])
        {
            string key = step.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
            place = place switch
            {
                DataObject mapping => mapping.Find(key),
                DataArray array when int.TryParse(key, out int index) && index >= 0 && index < array.Count => array[index],
                _ => null,
            };
        }

        return place;
    }
}
