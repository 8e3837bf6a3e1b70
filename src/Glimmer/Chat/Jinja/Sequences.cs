namespace Glimmer.Chat.Jinja;

/// <summary>Walking over values and ordering them.</summary>
internal static class Sequences
{
    /// <summary>The items of a sequence, the keys of a mapping, the characters of a string, nothing for undefined.</summary>
    public static IReadOnlyList<DataValue> Iterate(RenderContext context, DataValue value)
    {
        switch (value)
        {
            case DataArray array:
                context.CountIterations(array.Count);
                return array;
            case DataObject mapping:
                context.CountIterations(mapping.Count);
                var keys = new List<DataValue>(mapping.Count);
                foreach ((string key, DataValue _) in mapping)
                    keys.Add(new StringValue(key, TextOrigin.Data));
                return keys;
            case StringValue text:
                return StringOperations.Characters(context, text);
            case UndefinedValue:
                return [];
            default:
                throw new TemplateFault($"'{value.TypeName}' cannot be iterated over");
        }
    }

    /// <summary>A dotted path of attributes and indices, as filters take it: <c>"function.name"</c>, <c>0</c>. Null gives the value itself.</summary>
    public static DataValue Pick(DataValue value, DataValue? path)
    {
        if (path is null or NullValue)
            return value;
        if (path is not StringValue text)
            return Access.Item(value, path);
        foreach (string part in text.Text.Split('.'))
            value = Access.Item(value, long.TryParse(part, System.Globalization.CultureInfo.InvariantCulture, out long index) ? DataValue.From(index) : DataValue.From(part));
        return value;
    }

    /// <summary>What a value is ordered or compared by: strings without regard to case unless asked.</summary>
    public static DataValue Key(DataValue value, DataValue? path, bool caseSensitive)
    {
        DataValue key = Pick(value, path);
        return !caseSensitive && key is StringValue text ? StringOperations.Lower(text) : key;
    }

    /// <summary>Stable order by keys.</summary>
    public static List<DataValue> Sort(IReadOnlyList<DataValue> items, Func<DataValue, DataValue> key, bool reverse)
    {
        var comparer = Comparer<DataValue>.Create((a, b) => Operators.Compare(a, b, "<") is var order && order == 2 ? 0 : order);
        IEnumerable<(DataValue Item, DataValue Key)> keyed = items.Select(item => (item, key(item)));
        try
        {
            return [.. (reverse ? keyed.OrderByDescending(pair => pair.Key, comparer) : keyed.OrderBy(pair => pair.Key, comparer)).Select(pair => pair.Item)];
        }
        catch (InvalidOperationException error) when (error.InnerException is TemplateFault fault)
        {
            // The framework's sort wraps what the comparison threw.
            throw fault;
        }
    }
}
