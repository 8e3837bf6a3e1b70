using System.Numerics;

namespace Glimmer.Chat.Jinja;

/// <summary>Python's operators on values.</summary>
internal static class Operators
{
    private const int MaxDepth = 1000;
    private const int MaxIntegerBits = 1 << 16;

    public static bool AreEqual(DataValue a, DataValue b, int depth = 0)
    {
        if (ReferenceEquals(a, b))
            return true;
        if (depth > MaxDepth)
            throw new TemplateFault($"the values nest deeper than {MaxDepth} levels");
        if (a is StringValue x && b is StringValue y)
            return x.Text == y.Text;
        if (IsNumber(a) && IsNumber(b))
            return CompareNumbers(a, b) == 0;
        if (a is DataArray left && b is DataArray right)
        {
            if (left.Count != right.Count || (left.Sequence == SequenceKind.Tuple) != (right.Sequence == SequenceKind.Tuple))
                return false;
            for (int i = 0; i < left.Count; i++)
            {
                if (!AreEqual(left[i], right[i], depth + 1))
                    return false;
            }

            return true;
        }

        if (a is DataObject first && b is DataObject second)
        {
            if (first.Count != second.Count)
                return false;
            foreach ((string key, DataValue value) in first)
            {
                if (!second.TryGetValue(key, out DataValue? other) || !AreEqual(value, other, depth + 1))
                    return false;
            }

            return true;
        }

        return a is UndefinedValue && b is UndefinedValue;
    }

    /// <summary>Order of two values: negative, 0 or positive; 2 when a NaN makes every comparison false.</summary>
    public static int Compare(DataValue a, DataValue b, string symbol, int depth = 0)
    {
        if (depth > MaxDepth)
            throw new TemplateFault($"the values nest deeper than {MaxDepth} levels");
        if (IsNumber(a) && IsNumber(b))
            return CompareNumbers(a, b);
        if (a is StringValue x && b is StringValue y)
            return Math.Sign(PythonText.CodePointOrder.Compare(x.Text, y.Text));
        if (a is DataArray left && b is DataArray right && left.Sequence == right.Sequence)
        {
            for (int i = 0; i < Math.Min(left.Count, right.Count); i++)
            {
                if (!AreEqual(left[i], right[i], depth + 1))
                    return Compare(left[i], right[i], symbol, depth + 1);
            }

            return left.Count.CompareTo(right.Count);
        }

        FailIfUndefined(a);
        FailIfUndefined(b);
        throw new TemplateFault($"'{symbol}' is not supported between '{a.TypeName}' and '{b.TypeName}'");
    }

    public static bool Contains(DataValue container, DataValue item)
    {
        switch (container)
        {
            case StringValue text when item is StringValue part:
                return text.Text.Contains(part.Text, StringComparison.Ordinal);
            case StringValue:
                FailIfUndefined(item);
                throw new TemplateFault($"'in <string>' requires a string on the left, not '{item.TypeName}'");
            case DataObject mapping:
                return item is StringValue key && mapping.ContainsKey(key.Text);
            case DataArray array:
                foreach (DataValue value in array)
                {
                    if (AreEqual(value, item))
                        return true;
                }

                return false;
            case UndefinedValue:
                return false;
            default:
                throw new TemplateFault($"'in' needs a string, sequence or mapping on the right, not '{container.TypeName}'");
        }
    }

    public static DataValue Add(RenderContext context, DataValue a, DataValue b)
    {
        if (a is StringValue x && b is StringValue y)
            return Concatenate(context, x, y);
        if (a is DataArray left && b is DataArray right && left.Sequence == right.Sequence && left.Sequence is SequenceKind.List or SequenceKind.Tuple)
        {
            context.CountIterations(left.Count + right.Count);
            return new DataArray([.. left, .. right], left.Sequence);
        }

        if (a is StringValue && b is not UndefinedValue)
            throw new TemplateFault($"a string can only be joined with a string, not '{b.TypeName}'; use ~ to join anything");
        return Arithmetic("+", a, b, (i, j) => i + j, (i, j) => i + j);
    }

    public static StringValue Concatenate(RenderContext context, params ReadOnlySpan<StringValue> parts)
    {
        long length = 0;
        foreach (StringValue part in parts)
            length += part.Text.Length;
        context.CountText(length);
        var text = new TextBuilder();
        foreach (StringValue part in parts)
            text.Append(part);
        return text.ToValue();
    }

    public static DataValue Multiply(RenderContext context, DataValue a, DataValue b)
    {
        if (a is IntegerValue or BooleanValue && b is StringValue or DataArray)
            (a, b) = (b, a);
        if (a is StringValue or DataArray && b is IntegerValue or BooleanValue)
        {
            long count = Math.Max(0, ToLong(b, "the repeat count"));
            return a is StringValue text ? Repeat(context, text, count) : Repeat(context, (DataArray)a, count);
        }

        return Arithmetic("*", a, b, (i, j) => i.GetBitLength() + j.GetBitLength() > MaxIntegerBits ? throw TooLarge() : i * j, (i, j) => i * j);
    }

    public static DataValue Subtract(DataValue a, DataValue b) => Arithmetic("-", a, b, (i, j) => i - j, (i, j) => i - j);

    public static DataValue Divide(DataValue a, DataValue b)
    {
        RequireNumbers("/", a, b);
        double divisor = ToDouble(b);
        return divisor == 0 ? throw new TemplateFault("division by zero") : new FloatValue(ToDouble(a) / divisor);
    }

    public static DataValue FloorDivide(DataValue a, DataValue b)
    {
        RequireNumbers("//", a, b);
        if (ToDouble(b) == 0)
            throw new TemplateFault("division by zero");
        return Arithmetic("//", a, b, FloorDivide, (i, j) => Math.Floor(i / j));
    }

    public static DataValue Modulo(RenderContext context, DataValue a, DataValue b)
    {
        if (a is StringValue format)
            return StringFormat.Percent(context, format, b);
        RequireNumbers("%", a, b);
        if (ToDouble(b) == 0)
            throw new TemplateFault("division by zero");
        return Arithmetic("%", a, b, (i, j) => i - (FloorDivide(i, j) * j), (i, j) => i - (Math.Floor(i / j) * j));
    }

    public static DataValue Power(DataValue a, DataValue b)
    {
        RequireNumbers("**", a, b);
        if (a is FloatValue || b is FloatValue || ToLong(b, "the exponent") < 0)
            return new FloatValue(Math.Pow(ToDouble(a), ToDouble(b)));
        BigInteger value = ToBigInteger(a);
        long exponent = ToLong(b, "the exponent");
        if (!value.IsZero && !value.IsOne && (double)value.GetBitLength() * exponent > MaxIntegerBits)
            throw TooLarge();
        return value.IsOne || value.IsZero ? IntegerValue.Of(exponent == 0 ? 1 : (long)value) : IntegerValue.Of(BigInteger.Pow(value, (int)exponent));
    }

    public static DataValue Negate(DataValue value)
    {
        RequireNumber("-", value);
        return value is FloatValue number ? new FloatValue(-number.Value) : IntegerValue.Of(-ToBigInteger(value));
    }

    public static bool IsNumber(DataValue value) => value is IntegerValue or FloatValue or BooleanValue;

    public static void FailIfUndefined(DataValue value)
    {
        if (value is UndefinedValue undefined)
            throw new TemplateFault(undefined.Reason);
    }

    public static void RequireNumber(string symbol, DataValue value)
    {
        FailIfUndefined(value);
        if (!IsNumber(value))
            throw new TemplateFault($"'{symbol}' needs a number, not '{value.TypeName}'");
    }

    public static double ToDouble(DataValue value) => value switch
    {
        FloatValue number => number.Value,
        IntegerValue integer => integer.ToDouble(),
        BooleanValue boolean => boolean.Value ? 1 : 0,
        _ => throw new TemplateFault($"a number was expected, not '{value.TypeName}'"),
    };

    public static long ToLong(DataValue value, string what)
    {
        FailIfUndefined(value);
        return value switch
        {
            IntegerValue { IsBig: false } integer => integer.Small,
            BooleanValue boolean => boolean.Value ? 1 : 0,
            _ => throw new TemplateFault($"{what} must be an integer of 64 bits, not '{value.TypeName}'"),
        };
    }

    private static BigInteger ToBigInteger(DataValue value) => value is IntegerValue integer ? integer.ToBigInteger() : ToLong(value, "the operand");

    private static void RequireNumbers(string symbol, DataValue a, DataValue b)
    {
        FailIfUndefined(a);
        FailIfUndefined(b);
        if (!IsNumber(a) || !IsNumber(b))
            throw new TemplateFault($"'{symbol}' is not supported between '{a.TypeName}' and '{b.TypeName}'");
    }

    private static DataValue Arithmetic(
        string symbol, DataValue a, DataValue b, Func<BigInteger, BigInteger, BigInteger> integers, Func<double, double, double> floats)
    {
        RequireNumbers(symbol, a, b);
        if (a is FloatValue || b is FloatValue)
            return new FloatValue(floats(ToDouble(a), ToDouble(b)));
        if (symbol is "+" or "-" && a is IntegerValue { IsBig: false } x && b is IntegerValue { IsBig: false } y)
        {
            long result = symbol == "+" ? unchecked(x.Small + y.Small) : unchecked(x.Small - y.Small);
            if (Math.Abs((double)x.Small) < 1e18 && Math.Abs((double)y.Small) < 1e18)
                return IntegerValue.Of(result);
        }

        return IntegerValue.Of(integers(ToBigInteger(a), ToBigInteger(b)));
    }

    private static BigInteger FloorDivide(BigInteger a, BigInteger b)
    {
        BigInteger quotient = BigInteger.DivRem(a, b, out BigInteger remainder);
        return !remainder.IsZero && (remainder.Sign < 0) != (b.Sign < 0) ? quotient - 1 : quotient;
    }

    private static TemplateFault TooLarge() => new($"the result is an integer of more than {MaxIntegerBits} bits");

    private static int CompareNumbers(DataValue a, DataValue b)
    {
        if (a is FloatValue || b is FloatValue)
        {
            double x = ToDouble(a), y = ToDouble(b);
            return double.IsNaN(x) || double.IsNaN(y) ? 2 : x.CompareTo(y);
        }

        return a is IntegerValue { IsBig: true } || b is IntegerValue { IsBig: true }
            ? Math.Sign(ToBigInteger(a).CompareTo(ToBigInteger(b)))
            : ToLong(a, "the operand").CompareTo(ToLong(b, "the operand"));
    }

    private static StringValue Repeat(RenderContext context, StringValue text, long count)
    {
        if (text.Text.Length == 0 || count == 0)
            return StringValue.Empty;
        context.CountText(count > context.Options.MaxTextLength ? count : count * text.Text.Length);
        var result = new TextBuilder();
        for (long i = 0; i < count; i++)
            result.Append(text);
        return result.ToValue();
    }

    private static DataArray Repeat(RenderContext context, DataArray array, long count)
    {
        if (array.Count == 0 || count == 0)
            return new DataArray([], array.Sequence);
        context.CountIterations(count > context.Options.MaxIterations ? count : count * array.Count);
        var items = new List<DataValue>();
        for (long i = 0; i < count; i++)
            items.AddRange(array);
        return new DataArray(items, array.Sequence);
    }
}
