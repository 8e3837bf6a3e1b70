namespace Glimmer.Chat;

/// <summary>From the text of an argument to its value, by the types its schema allows: the inverse of how templates write arguments.</summary>
internal static class ArgumentReader
{
    /// <summary>Reads the value of a parameter.</summary>
    /// <remarks>
    /// A parameter that is a string and nothing else gets its text as it is. Otherwise the text is read as strict JSON; where that gives a type the schema
    /// does not allow, or fails, it is bent no further than models are known to bend it: quoted numbers and booleans, escaped JSON, Python's spelling of
    /// True, False and None. What fits nothing stays text.
    /// </remarks>
    public static DataValue Read(string text, ParameterTypes types)
    {
        bool mayBeString = types.Allowed is null || types.Allows(JsonTypes.String);
        if (types.IsString || (mayBeString && types.Lists(text)))
            return Text(text);
        ReadOnlySpan<char> trimmed = PythonText.Trim(text);
        if (DataValue.TryParse(trimmed, out DataValue? value))
            return Fit(value, text, types);
        if (TryUnescape(trimmed, types, out DataValue? unescaped))
            return unescaped;
        if (!mayBeString)
        {
            if (types.Allows(JsonTypes.Boolean) && TryReadBoolean(trimmed) is { } boolean)
                return boolean;
            if (types.Allows(JsonTypes.Null) && trimmed is "None")
                return DataValue.Null;
        }

        return Text(text);
    }

    private static DataValue Fit(DataValue value, string text, ParameterTypes types)
    {
        if (types.Allowed is null || types.Allows(ParameterTypes.TypeOf(value)))
            return value;
        if (types.Allows(JsonTypes.String))
            return Text(text);
        if (value.AsString is not { } quoted)
            return value;
        if (types.Allows(JsonTypes.Number) && DataValue.TryParse(quoted, out DataValue? number) && ParameterTypes.TypeOf(number) is var type
            && (type & JsonTypes.Number) != 0 && types.Allows(type))
            return number;
        return types.Allows(JsonTypes.Boolean) && TryReadBoolean(quoted) is { } boolean ? boolean : value;
    }

    /// <summary>JSON whose quotes came escaped, as inside a string: <c>{\"k\": 1}</c>.</summary>
    private static bool TryUnescape(ReadOnlySpan<char> text, ParameterTypes types, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out DataValue? value)
    {
        value = null;
        if (!text.Contains('\\')
            || !DataValue.TryParse(string.Concat("\"", text, "\""), out DataValue? inside)
            || !DataValue.TryParse(inside.AsString, out DataValue? unescaped))
            return false;
        JsonTypes type = ParameterTypes.TypeOf(unescaped);
        bool fits = (type & (JsonTypes.Object | JsonTypes.Array)) != 0
            ? types.Allowed is null || types.Allows(type)
            : (type & JsonTypes.Number) != 0 && types.Allows(type);
        value = unescaped;
        return fits;
    }

    private static DataValue? TryReadBoolean(ReadOnlySpan<char> text) =>
        text.Equals("true", StringComparison.OrdinalIgnoreCase) ? BooleanValue.True
        : text.Equals("false", StringComparison.OrdinalIgnoreCase) ? BooleanValue.False
        : null;

    private static StringValue Text(string text) => new(text, TextOrigin.Data);
}
