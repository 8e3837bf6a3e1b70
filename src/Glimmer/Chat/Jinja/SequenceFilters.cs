namespace Glimmer.Chat.Jinja;

/// <summary>Filters on sequences and mappings.</summary>
internal static class SequenceFilters
{
    private static readonly Dictionary<string, Filter> s_filters = new()
    {
        ["length"] = Length,
        ["count"] = Length,
        ["list"] = (context, value, _) => List(Sequences.Iterate(context, value)),
        ["first"] = (context, value, _) => Sequences.Iterate(context, value) is { Count: > 0 } items ? items[0] : new UndefinedValue("the sequence has no first item"),
        ["last"] = (context, value, _) => Sequences.Iterate(context, value) is { Count: > 0 } items ? items[^1] : new UndefinedValue("the sequence has no last item"),
        ["join"] = Join,
        ["map"] = Map,
        ["select"] = (context, value, arguments) => Select(context, value, arguments, false, true),
        ["reject"] = (context, value, arguments) => Select(context, value, arguments, false, false),
        ["selectattr"] = (context, value, arguments) => Select(context, value, arguments, true, true),
        ["rejectattr"] = (context, value, arguments) => Select(context, value, arguments, true, false),
        ["items"] = (context, value, _) => value is UndefinedValue
            ? Generator([])
            : value is DataObject ? Generator([.. (DataArray)Methods.TryCall(context, value, "items", CallArguments.None)!]) : throw new TemplateFault($"items needs a mapping, not '{value.TypeName}'"),
        ["dictsort"] = DictSort,
        ["sort"] = Sort,
        ["unique"] = Unique,
        ["reverse"] = (context, value, _) => value is StringValue ? Reversed(context, value) : Generator([.. Sequences.Iterate(context, value).Reverse()]),
        ["min"] = (context, value, arguments) => Extreme(context, value, arguments, "min"),
        ["max"] = (context, value, arguments) => Extreme(context, value, arguments, "max"),
        ["sum"] = Sum,
        ["batch"] = Batch,
        ["slice"] = SliceInto,
        ["groupby"] = GroupBy,
    };

    public static Filter? Find(string name) => s_filters.GetValueOrDefault(name);

    private static DataArray List(IEnumerable<DataValue> items) => new([.. items], SequenceKind.List);

    private static DataArray Generator(List<DataValue> items) => new(items, SequenceKind.Generator);

    private static DataValue Length(RenderContext context, DataValue value, CallArguments arguments) => DataValue.From(value switch
    {
        StringValue text => PythonText.CodePointCount(text.Text),
        DataArray array when array.Sequence != SequenceKind.Generator => array.Count,
        DataObject mapping => mapping.Count,
        UndefinedValue => 0L,
        _ => throw new TemplateFault($"'{value.TypeName}' has no length{(value is DataArray ? "; make it a list first: | list" : "")}"),
    });

    private static StringValue Join(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("join", "d", "attribute");
        List<StringValue> parts = [];
        foreach (DataValue item in Sequences.Iterate(context, value))
            parts.Add(context.ToText(Sequences.Pick(item, bound[1])));
        return StringOperations.Join(context, bound[0] is null ? StringValue.Empty : context.ToText(bound[0]!), parts);
    }

    private static DataArray Map(RenderContext context, DataValue value, CallArguments arguments)
    {
        IReadOnlyList<DataValue> items = Sequences.Iterate(context, value);
        var result = new List<DataValue>(items.Count);
        if (arguments.Positional.Count == 0)
        {
            DataValue?[] bound = arguments.Bind("map", "attribute", "default");
            if (bound[0] is null)
                throw new TemplateFault("map needs a filter or attribute=");
            foreach (DataValue item in items)
            {
                DataValue picked = Sequences.Pick(item, bound[0]);
                result.Add(picked is UndefinedValue ? bound[1] ?? picked : picked);
            }

            return Generator(result);
        }

        string name = (arguments.Positional[0] as StringValue)?.Text ?? throw new TemplateFault("map needs the name of a filter");
        Filter filter = Filters.Find(name) ?? throw new TemplateFault($"there is no filter named '{name}'");
        CallArguments rest = arguments.Skip(1);
        foreach (DataValue item in items)
            result.Add(filter(context, item, rest));
        return Generator(result);
    }

    private static DataArray Select(RenderContext context, DataValue value, CallArguments arguments, bool byAttribute, bool keep)
    {
        int taken = byAttribute ? 1 : 0;
        if (arguments.Positional.Count < taken)
            throw new TemplateFault("selectattr and rejectattr need the name of an attribute");
        DataValue? path = byAttribute ? arguments.Positional[0] : null;
        Test? test = null;
        if (arguments.Positional.Count > taken)
        {
            string name = (arguments.Positional[taken] as StringValue)?.Text ?? throw new TemplateFault("the name of a test must be a string");
            test = Tests.Find(name) ?? throw new TemplateFault($"there is no test named '{name}'");
        }

        CallArguments rest = arguments.Skip(taken + 1);
        var result = new List<DataValue>();
        foreach (DataValue item in Sequences.Iterate(context, value))
        {
            DataValue subject = Sequences.Pick(item, path);
            if ((test?.Invoke(context, subject, rest) ?? subject.IsTrue) == keep)
                result.Add(item);
        }

        return Generator(result);
    }

    private static DataArray DictSort(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("dictsort", "case_sensitive", "by", "reverse");
        string by = (bound[1] as StringValue)?.Text ?? "key";
        if (by is not ("key" or "value"))
            throw new TemplateFault($"dictsort sorts by 'key' or 'value', not '{by}'");
        var items = Methods.TryCall(context, value as DataObject ?? throw new TemplateFault($"dictsort needs a mapping, not '{value.TypeName}'"), "items", CallArguments.None) as DataArray;
        bool caseSensitive = bound[0]?.IsTrue ?? false;
        DataValue index = DataValue.From(by == "key" ? 0L : 1L);
        return List(Sequences.Sort(items!, item => Sequences.Key(item, index, caseSensitive), bound[2]?.IsTrue ?? false));
    }

    private static DataArray Sort(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("sort", "reverse", "case_sensitive", "attribute");
        bool caseSensitive = bound[1]?.IsTrue ?? false;
        return List(Sequences.Sort(Sequences.Iterate(context, value), item => Sequences.Key(item, bound[2], caseSensitive), bound[0]?.IsTrue ?? false));
    }

    private static DataArray Unique(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("unique", "case_sensitive", "attribute");
        var seenTexts = new HashSet<string>(StringComparer.Ordinal);
        var seen = new List<DataValue>();
        var result = new List<DataValue>();
        foreach (DataValue item in Sequences.Iterate(context, value))
        {
            DataValue key = Sequences.Key(item, bound[1], bound[0]?.IsTrue ?? false);
            if (key is StringValue text ? !seenTexts.Add(text.Text) : IsSeen(context, seen, key))
                continue;
            result.Add(item);
        }

        return Generator(result);
    }

    private static bool IsSeen(RenderContext context, List<DataValue> seen, DataValue key)
    {
        context.CountIterations(seen.Count);
        if (seen.Exists(other => Operators.AreEqual(other, key)))
            return true;
        seen.Add(key);
        return false;
    }

    private static StringValue Reversed(RenderContext context, DataValue value)
    {
        List<DataValue> characters = StringOperations.Characters(context, (StringValue)value);
        characters.Reverse();
        return StringOperations.Join(context, StringValue.Empty, [.. characters.Cast<StringValue>()]);
    }

    private static DataValue Extreme(RenderContext context, DataValue value, CallArguments arguments, string name)
    {
        DataValue?[] bound = arguments.Bind(name, "case_sensitive", "attribute");
        DataValue? best = null;
        DataValue? bestKey = null;
        foreach (DataValue item in Sequences.Iterate(context, value))
        {
            DataValue key = Sequences.Key(item, bound[1], bound[0]?.IsTrue ?? false);
            if (bestKey is null || (name == "min" ? Operators.Compare(key, bestKey, "<") < 0 : Operators.Compare(key, bestKey, ">") == 1))
                (best, bestKey) = (item, key);
        }

        return best ?? new UndefinedValue($"{name} of an empty sequence");
    }

    private static DataValue Sum(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("sum", "attribute", "start");
        DataValue total = bound[1] ?? DataValue.From(0L);
        foreach (DataValue item in Sequences.Iterate(context, value))
            total = Operators.Add(context, total, Sequences.Pick(item, bound[0]));
        return total;
    }

    private static DataArray Batch(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("batch", "linecount", "fill_with");
        long size = Operators.ToLong(bound[0] ?? throw new TemplateFault("batch needs a size"), "the size of a batch");
        if (size < 1)
            throw new TemplateFault("the size of a batch must be at least 1");
        var batches = new List<DataValue>();
        foreach (DataValue[] chunk in Sequences.Iterate(context, value).Chunk((int)Math.Min(size, int.MaxValue)))
        {
            List<DataValue> batch = [.. chunk];
            if (bound[1] is { } fill and not NullValue)
            {
                context.CountIterations(size - batch.Count);
                while (batch.Count < size)
                    batch.Add(fill);
            }

            batches.Add(new DataArray(batch, SequenceKind.List));
        }

        return Generator(batches);
    }

    private static DataArray SliceInto(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("slice", "slices", "fill_with");
        long count = Operators.ToLong(bound[0] ?? throw new TemplateFault("slice needs a number"), "the number of slices");
        if (count < 1)
            throw new TemplateFault("the number of slices must be at least 1");
        context.CountIterations(count);
        IReadOnlyList<DataValue> items = Sequences.Iterate(context, value);
        (long each, long longer) = Math.DivRem(items.Count, count);
        var slices = new List<DataValue>();
        int position = 0;
        for (long i = 0; i < count; i++)
        {
            int size = (int)each + (i < longer ? 1 : 0);
            List<DataValue> slice = [.. items.Skip(position).Take(size)];
            if (bound[1] is { } fill and not NullValue && i >= longer && longer > 0)
                slice.Add(fill);
            position += size;
            slices.Add(new DataArray(slice, SequenceKind.List));
        }

        return Generator(slices);
    }

    private static DataArray GroupBy(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("groupby", "attribute", "default", "case_sensitive");
        DataValue KeyOf(DataValue item) => Sequences.Key(item, bound[0], bound[2]?.IsTrue ?? false) is var key && key is UndefinedValue ? bound[1] ?? key : key;
        var groups = new List<DataValue>();
        List<DataValue>? members = null;
        DataValue? current = null;
        foreach (DataValue item in Sequences.Sort(Sequences.Iterate(context, value), KeyOf, false))
        {
            DataValue key = KeyOf(item);
            if (current is null || !Operators.AreEqual(current, key))
            {
                members = [];
                groups.Add(new DataArray([Sequences.Pick(item, bound[0]) is var shown && shown is UndefinedValue ? key : shown, new DataArray(members, SequenceKind.List)], SequenceKind.Tuple));
                current = key;
            }

            members!.Add(item);
        }

        return List(groups);
    }
}
