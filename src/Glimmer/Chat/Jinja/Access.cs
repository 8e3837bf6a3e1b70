namespace Glimmer.Chat.Jinja;

/// <summary>Attributes, items and slices of values: data only, nothing of the host is reachable.</summary>
internal static class Access
{
    /// <summary><c>value.name</c>: a method or field first, then a key, as Jinja looks it up.</summary>
    public static DataValue Attribute(DataValue value, string name) =>
        Field(value, name) ?? (value is DataObject mapping ? mapping.Find(name) : null) ?? Missing(value, name);

    /// <summary><c>value[index]</c>: an item first, then a method or field.</summary>
    public static DataValue Item(DataValue value, DataValue index)
    {
        switch (value)
        {
            case DataObject mapping when index is StringValue key:
                return mapping.Find(key.Text) ?? Field(value, key.Text) ?? Missing(value, key.Text);
            case DataArray array when IsIndex(index) && array.Sequence is SequenceKind.List or SequenceKind.Tuple:
                return TryPosition(index, array.Count, out int position) ? array[position] : new UndefinedValue($"the list has no item {index}");
            case StringValue text when IsIndex(index):
                int[]? offsets = PythonText.CodePointOffsets(text.Text);
                if (!TryPosition(index, offsets is null ? text.Text.Length : offsets.Length - 1, out int at))
                    return new UndefinedValue($"the string has no character {index}");
                return offsets is null ? text.Slice(at, 1) : text.Slice(offsets[at], offsets[at + 1] - offsets[at]);
            default:
                Operators.FailIfUndefined(value);
                return index is StringValue name ? Field(value, name.Text) ?? Missing(value, name.Text) : Missing(value, PythonText.Str(index));
        }
    }

    /// <summary><c>value[start:stop:step]</c> with Python's rules for what is left out, negative or beyond the ends.</summary>
    public static DataValue Slice(RenderContext context, DataValue value, DataValue? start, DataValue? stop, DataValue? step)
    {
        Operators.FailIfUndefined(value);
        int[]? offsets = value is StringValue characters ? PythonText.CodePointOffsets(characters.Text) : null;
        int length = value switch
        {
            StringValue text => offsets is null ? text.Text.Length : offsets.Length - 1,
            DataArray array when array.Sequence is SequenceKind.List or SequenceKind.Tuple => array.Count,
            _ => throw new TemplateFault($"'{value.TypeName}' cannot be sliced"),
        };
        long stride = Bound(step, 1);
        if (stride == 0)
            throw new TemplateFault("the step of a slice cannot be 0");
        bool forward = stride > 0;
        long from = Clamp(Bound(start, forward ? 0 : length - 1), start, length, forward);
        long to = Clamp(Bound(stop, forward ? length : -1), stop, length, forward);
        if (value is StringValue plain && stride == 1)
        {
            int count = (int)Math.Max(0, to - from);
            context.CountText(count);
            return offsets is null || count == 0 ? plain.Slice((int)Math.Min(from, plain.Text.Length - count), count) : plain.Slice(offsets[from], offsets[to] - offsets[from]);
        }

        var picked = new List<DataValue>();
        var pickedText = new TextBuilder();
        for (long i = from; forward ? i < to : i > to; i += stride)
        {
            if (value is DataArray array)
                picked.Add(array[(int)i]);
            else
                pickedText.Append(offsets is null ? ((StringValue)value).Slice((int)i, 1) : ((StringValue)value).Slice(offsets[i], offsets[i + 1] - offsets[i]));
        }

        context.CountIterations(picked.Count + pickedText.Length);
        return value is DataArray source ? new DataArray(picked, source.Sequence) : pickedText.ToValue();
    }

    /// <summary>A method of a value, or a field of a namespace or loop; not a key.</summary>
    public static DataValue? Field(DataValue value, string name) => value switch
    {
        NamespaceValue space => space.Items.GetValueOrDefault(name),
        LoopValue loop => loop.Find(name),
        _ when Methods.Exists(value, name) => new CallableValue(name, (context, arguments) => Methods.TryCall(context, value, name, arguments)!),
        _ => null,
    };

    private static UndefinedValue Missing(DataValue value, string name)
    {
        Operators.FailIfUndefined(value);
        return new UndefinedValue($"'{value.TypeName}' has no attribute '{name}'");
    }

    private static bool IsIndex(DataValue value) => value is IntegerValue { IsBig: false } or BooleanValue;

    private static bool TryPosition(DataValue index, int count, out int position)
    {
        long i = Operators.ToLong(index, "an index");
        if (i < 0)
            i += count;
        position = (int)Math.Clamp(i, 0, int.MaxValue);
        return i >= 0 && i < count;
    }

    private static long Bound(DataValue? value, long absent) => value is null or NullValue ? absent : Operators.ToLong(value, "a bound of a slice");

    private static long Clamp(long bound, DataValue? given, int length, bool forward)
    {
        if (given is null or NullValue)
            return bound;
        if (bound < 0)
            bound += length;
        return forward ? Math.Clamp(bound, 0, length) : Math.Clamp(bound, -1, length - 1);
    }
}
