using System.Globalization;
using System.Numerics;

namespace Glimmer.Chat.Jinja;

/// <summary>Python's two ways of filling values into a text: <c>"%s" % x</c> and <c>"{}".format(x)</c>.</summary>
internal static class StringFormat
{
    /// <summary>printf style: flags <c>-0+ </c>, width, precision, and the conversions s r d i u f F e g x X o c %.</summary>
    public static StringValue Percent(RenderContext context, StringValue format, DataValue values)
    {
        IReadOnlyList<DataValue> arguments = values is DataArray { Sequence: SequenceKind.Tuple } tuple ? tuple : [values];
        string s = format.Text;
        var result = new TextBuilder();
        int used = 0, position = 0;
        for (int percent; (percent = s.IndexOf('%', position)) >= 0;)
        {
            result.Append(format.Slice(position, percent - position));
            int i = percent + 1;
            DataValue? named = null;
            if (i < s.Length && s[i] == '(')
            {
                int close = s.IndexOf(')', i);
                string key = close < 0 ? throw new TemplateFault("incomplete format key") : s[(i + 1)..close];
                named = (values as DataObject)?.Find(key) ?? throw new TemplateFault($"the format needs a value named '{key}'");
                i = close + 1;
            }

            int flags = i;
            while (i < s.Length && s[i] is '-' or '0' or '+' or ' ' or '#')
                i++;
            ReadOnlySpan<char> flagText = s.AsSpan(flags, i - flags);
            long width = ReadNumber(s, ref i) ?? 0;
            long? precision = null;
            if (i < s.Length && s[i] == '.')
            {
                i++;
                precision = ReadNumber(s, ref i) ?? 0;
            }

            char conversion = i < s.Length ? s[i] : throw new TemplateFault("incomplete format");
            position = i + 1;
            if (conversion == '%')
            {
                result.Append("%", TextOrigin.Template);
                continue;
            }

            DataValue value = named ?? (used < arguments.Count ? arguments[used++] : throw new TemplateFault("not enough values for the format"));
            StringValue text = Convert(context, value, conversion, precision);
            if (flagText.Contains('+') && conversion is not ('s' or 'r' or 'c') && !text.Text.StartsWith('-'))
                text = Operators.Concatenate(context, new StringValue("+", TextOrigin.Template), text);
            bool zero = flagText.Contains('0') && !flagText.Contains('-') && conversion is not ('s' or 'r' or 'c');
            result.Append(PadNumber(context, text, width, flagText.Contains('-'), zero));
        }

        if (used < arguments.Count && values is not DataObject)
            throw new TemplateFault("not all values were used by the format");
        result.Append(format.Slice(position, s.Length - position));
        context.CountText(result.Length);
        return result.ToValue();
    }

    /// <summary>Brace style: <c>{}</c>, <c>{0}</c>, <c>{name}</c>, <c>{x.key[0]}</c> is refused; format specifications <c>:[fill][&lt;&gt;^][0][width][,][.precision][type]</c>.</summary>
    public static StringValue Braces(RenderContext context, StringValue format, CallArguments arguments)
    {
        string s = format.Text;
        var result = new TextBuilder();
        int automatic = 0;
        for (int i = 0; i < s.Length;)
        {
            int brace = s.AsSpan(i).IndexOfAny('{', '}');
            if (brace < 0)
            {
                result.Append(format.Slice(i, s.Length - i));
                break;
            }

            brace += i;
            result.Append(format.Slice(i, brace - i));
            if (brace + 1 < s.Length && s[brace + 1] == s[brace])
            {
                result.Append(format.Slice(brace, 1));
                i = brace + 2;
                continue;
            }

            int close = s.IndexOf('}', brace);
            if (s[brace] == '}' || close < 0)
                throw new TemplateFault("single brace in a format string");
            string field = s[(brace + 1)..close];
            int colon = field.IndexOf(':', StringComparison.Ordinal);
            string name = colon < 0 ? field : field[..colon];
            DataValue value = Argument(arguments, name.Length == 0 ? (automatic++).ToString(CultureInfo.InvariantCulture) : name);
            result.Append(Specified(context, value, colon < 0 ? "" : field[(colon + 1)..]));
            context.CountText(result.Length);
            i = close + 1;
        }

        return result.ToValue();
    }

    private static DataValue Argument(CallArguments arguments, string name)
    {
        if (int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int index))
            return index < arguments.Positional.Count ? arguments.Positional[index] : throw new TemplateFault($"the format needs value {index}, but only {arguments.Positional.Count} were given");
        foreach ((string key, DataValue value) in arguments.Named)
        {
            if (key == name)
                return value;
        }

        throw new TemplateFault($"the format needs a value named '{name}'");
    }

    private static StringValue Specified(RenderContext context, DataValue value, string specification)
    {
        if (specification.Length == 0)
            return context.ToText(value);
        int i = 0;
        char fill = ' ';
        char align = '\0';
        if (specification.Length > 1 && specification[1] is '<' or '>' or '^')
        {
            (fill, align) = (specification[0], specification[1]);
            i = 2;
        }
        else if (specification[0] is '<' or '>' or '^')
            align = specification[i++];
        bool zero = i < specification.Length && specification[i] == '0';
        long width = ReadNumber(specification, ref i) ?? 0;
        bool grouped = i < specification.Length && specification[i] == ',';
        i += grouped ? 1 : 0;
        long? precision = null;
        if (i < specification.Length && specification[i] == '.')
        {
            i++;
            precision = ReadNumber(specification, ref i) ?? 0;
        }

        char type = i < specification.Length ? specification[i++] : value is StringValue ? 's' : value is FloatValue && precision is not null ? 'g' : value is IntegerValue ? 'd' : 's';
        if (i < specification.Length)
            throw new TemplateFault($"the format specification '{specification}' is not supported");
        StringValue text = Convert(context, value, type, precision);
        if (grouped && value is not StringValue)
            text = text.WithText(Group(text.Text));
        if (zero && align == '\0' && value is not StringValue)
            return PadNumber(context, text, width, false, true);
        align = align == '\0' ? value is StringValue ? '<' : '>' : align;
        return StringOperations.Pad(context, text, width, fill, align != '<', align != '>');
    }

    private static StringValue Convert(RenderContext context, DataValue value, char conversion, long? precision)
    {
        if (precision > 1000)
            throw new TemplateFault("a precision of more than 1000");
        string digits = (precision ?? 6).ToString(CultureInfo.InvariantCulture);
        switch (conversion)
        {
            case 's':
                StringValue text = context.ToText(value);
                return precision is null ? text : (StringValue)Access.Slice(context, text, null, DataValue.From(precision.Value), null);
            case 'r':
                return new StringValue(PythonText.Repr(value), TextOrigin.Data);
            case 'c' when value is StringValue:
                return (StringValue)value;
            case 'd' or 'i' or 'u':
                Operators.RequireNumber("%d", value);
                return Number(value is FloatValue number ? new BigInteger(number.Value).ToString(CultureInfo.InvariantCulture) : PythonText.Str(IntegerOf(value)));
            case 'f' or 'F':
                Operators.RequireNumber("%f", value);
                return Number(Operators.ToDouble(value).ToString("F" + digits, CultureInfo.InvariantCulture));
            case 'e':
                Operators.RequireNumber("%e", value);
                return Number(Operators.ToDouble(value).ToString($"0.{new string('0', (int)(precision ?? 6))}e+00", CultureInfo.InvariantCulture));
            case 'g':
                Operators.RequireNumber("%g", value);
                return Number(Operators.ToDouble(value).ToString("G" + digits, CultureInfo.InvariantCulture));
            case 'x' or 'X' or 'o':
                long integer = Operators.ToLong(value, "the value");
                string magnitude = conversion == 'o' ? System.Convert.ToString(Math.Abs(integer), 8) : Math.Abs(integer).ToString(conversion.ToString(), CultureInfo.InvariantCulture);
                return Number(integer < 0 ? "-" + magnitude : magnitude);
            default:
                throw new TemplateFault($"the format conversion '{conversion}' is not supported");
        }
    }

    private static DataValue IntegerOf(DataValue value) => value is BooleanValue ? DataValue.From(Operators.ToLong(value, "the value")) : value;

    private static StringValue Number(string text) => new(text, TextOrigin.Template);

    private static StringValue PadNumber(RenderContext context, StringValue text, long width, bool left, bool zero)
    {
        if (!zero)
            return StringOperations.Pad(context, text, width, ' ', !left, left);
        int sign = text.Text.StartsWith('-') || text.Text.StartsWith('+') ? 1 : 0;
        StringValue padded = StringOperations.Pad(context, text.Slice(sign, text.Text.Length - sign), width - sign, '0', true, false);
        return sign == 0 ? padded : Operators.Concatenate(context, text.Slice(0, 1), padded);
    }

    private static string Group(string number)
    {
        int end = number.IndexOf('.', StringComparison.Ordinal);
        end = end < 0 ? number.Length : end;
        int start = number.StartsWith('-') ? 1 : 0;
        for (int i = end - 3; i > start; i -= 3)
            number = number.Insert(i, ",");
        return number;
    }

    private static long? ReadNumber(string text, ref int i)
    {
        int start = i;
        while (i < text.Length && char.IsAsciiDigit(text[i]))
            i++;
        if (i == start)
            return null;
        return i - start <= 9 ? long.Parse(text.AsSpan(start, i - start), CultureInfo.InvariantCulture) : throw new TemplateFault("a width or precision of more than nine digits");
    }
}
