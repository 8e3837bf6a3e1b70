using System.Globalization;
using System.Text;

namespace Glimmer.Chat.Jinja;

/// <summary>The body of a filter.</summary>
internal delegate DataValue Filter(RenderContext context, DataValue value, CallArguments arguments);

/// <summary>Filters on single values: text, numbers, JSON. Those on sequences are in <see cref="SequenceFilters"/>.</summary>
internal static class Filters
{
    private const int MaxIndentation = 10_000;

    private static readonly Dictionary<string, Filter> s_filters = new()
    {
        ["tojson"] = ToJson,
        ["default"] = Default,
        ["d"] = Default,
        ["string"] = (context, value, _) => context.ToText(value),
        ["safe"] = (context, value, _) => context.ToText(value),
        ["escape"] = Escape,
        ["e"] = Escape,
        ["upper"] = (context, value, _) => StringOperations.Upper(context.ToText(value)),
        ["lower"] = (context, value, _) => StringOperations.Lower(context.ToText(value)),
        ["capitalize"] = (context, value, _) => StringOperations.Capitalize(context.ToText(value)),
        ["title"] = (context, value, _) => StringOperations.Title(context.ToText(value), c => PythonText.IsSpace(c) || c is '-' or '(' or '{' or '[' or '<'),
        ["trim"] = (context, value, arguments) => StringOperations.Strip(context.ToText(value), (arguments.Bind("trim", "chars")[0] as StringValue)?.Text, true, true),
        ["replace"] = Replace,
        ["indent"] = Indent,
        ["center"] = (context, value, arguments) =>
            StringOperations.Pad(context, context.ToText(value), arguments.Bind("center", "width")[0] is { } width ? Operators.ToLong(width, "width") : 80, ' ', true, true),
        ["format"] = (context, value, arguments) => arguments.Named.Count > 0
            ? StringFormat.Percent(context, context.ToText(value), Named(arguments))
            : StringFormat.Percent(context, context.ToText(value), new DataArray(arguments.Positional, SequenceKind.Tuple)),
        ["truncate"] = Truncate,
        ["wordcount"] = (context, value, _) => DataValue.From((long)StringOperations.Split(context, context.ToText(value), null, -1, false).Count),
        ["urlencode"] = (context, value, _) => context.ToText(value) is var text ? text.WithText(Uri.EscapeDataString(text.Text).Replace("%2F", "/", StringComparison.Ordinal)) : value,
        ["int"] = ToInteger,
        ["float"] = ToFloat,
        ["abs"] = (_, value, _) => Operators.ToDouble(value) < 0 ? Operators.Negate(value) : value,
        ["round"] = Round,
        ["attr"] = (_, value, arguments) => arguments.Bind("attr", "name")[0] is StringValue name
            ? Access.Field(value, name.Text) ?? new UndefinedValue($"'{value.TypeName}' has no attribute '{name.Text}'")
            : throw new TemplateFault("attr needs the name of an attribute"),
    };

    public static Filter? Find(string name) => s_filters.GetValueOrDefault(name) ?? SequenceFilters.Find(name);

    private static StringValue ToJson(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("tojson", "ensure_ascii", "indent", "separators", "sort_keys");
        string? indent = bound[1] switch
        {
            null or NullValue => null,
            StringValue text => text.Text,
            DataValue number => Spaces(Operators.ToLong(number, "indent")),
        };
        (string item, string key) = bound[2] is DataArray { Count: 2 } separators
            ? (PythonText.Str(separators[0]), PythonText.Str(separators[1]))
            : (indent is null ? ", " : ",", ": ");
        var output = new StringBuilder();
        new JsonTextWriter(output, new JsonTextStyle(bound[0]?.IsTrue ?? false, indent, item, key, bound[3]?.IsTrue ?? false)).Write(value);
        context.CountText(output.Length);
        TextOrigin origin = value switch
        {
            StringValue text => text.OverallOrigin,
            DataArray or DataObject => TextOrigin.Data,
            _ => TextOrigin.Template,
        };
        return new StringValue(output.ToString(), origin);
    }

    private static DataValue Default(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("default", "default_value", "boolean");
        bool replaced = value is UndefinedValue || ((bound[1]?.IsTrue ?? false) && !value.IsTrue);
        return replaced ? bound[0] ?? StringValue.Empty : value;
    }

    private static StringValue Escape(RenderContext context, DataValue value, CallArguments arguments)
    {
        StringValue text = context.ToText(value);
        foreach ((string from, string to) in ((string, string)[])[("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ("\"", "&#34;")])
            text = StringOperations.Replace(context, text, new StringValue(from, TextOrigin.Template), new StringValue(to, TextOrigin.Data), -1);
        return text;
    }

    private static StringValue Replace(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("replace", "old", "new", "count");
        if (bound[0] is null || bound[1] is null)
            throw new TemplateFault("replace needs what to replace and by what");
        return StringOperations.Replace(
            context, context.ToText(value), context.ToText(bound[0]!), context.ToText(bound[1]!), bound[2] is null or NullValue ? -1 : Operators.ToLong(bound[2]!, "count"));
    }

    private static StringValue Indent(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("indent", "width", "first", "blank");
        StringValue indentation = bound[0] as StringValue
            ?? new StringValue(Spaces(bound[0] is null ? 4 : Operators.ToLong(bound[0]!, "width")), TextOrigin.Template);
        return StringOperations.Indent(context, context.ToText(value), indentation, bound[1]?.IsTrue ?? false, bound[2]?.IsTrue ?? false);
    }

    private static string Spaces(long width) =>
        width <= MaxIndentation ? new string(' ', (int)Math.Max(width, 0)) : throw new TemplateFault($"an indentation of {width} characters; the limit is {MaxIndentation}");

    private static StringValue Truncate(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("truncate", "length", "killwords", "end", "leeway");
        StringValue text = context.ToText(value);
        StringValue end = bound[2] as StringValue ?? new StringValue("...", TextOrigin.Template);
        long length = bound[0] is null ? 255 : Operators.ToLong(bound[0]!, "length");
        long leeway = bound[3] is null ? 5 : Operators.ToLong(bound[3]!, "leeway");
        int endLength = PythonText.CodePointCount(end.Text);
        if (length < endLength || leeway < 0)
            throw new TemplateFault($"truncate needs a length of at least {endLength} and a leeway that is not negative");
        if (PythonText.CodePointCount(text.Text) <= length + leeway)
            return text;
        var cut = (StringValue)Access.Slice(context, text, null, DataValue.From(length - endLength), null);
        int space = cut.Text.LastIndexOf(' ');
        if (!(bound[1]?.IsTrue ?? false) && space >= 0)
            cut = cut.Slice(0, space);
        return Operators.Concatenate(context, cut, end);
    }

    private static DataValue ToInteger(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("int", "default", "base");
        DataValue fallback = bound[0] ?? DataValue.From(0L);
        long radix = bound[1] is null ? 10 : Operators.ToLong(bound[1]!, "base");
        switch (value)
        {
            case BooleanValue or IntegerValue:
                return DataValue.From(Operators.ToLong(value, "the value"));
            case FloatValue number:
                return double.IsFinite(number.Value) ? IntegerValue.Of(new System.Numerics.BigInteger(number.Value)) : fallback;
            case StringValue text:
                ReadOnlySpan<char> digits = PythonText.Trim(text.Text);
                if (radix == 16)
                {
                    digits = digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase) ? digits[2..] : digits;
                    return long.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out long hex) ? DataValue.From(hex) : fallback;
                }

                if (radix != 10)
                    throw new TemplateFault($"int knows the bases 10 and 16, not {radix}");
                if (long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long integer))
                    return DataValue.From(integer);
                return double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out double real) && double.IsFinite(real)
                    ? IntegerValue.Of(new System.Numerics.BigInteger(real))
                    : fallback;
            default:
                Operators.FailIfUndefined(value);
                return fallback;
        }
    }

    private static DataValue ToFloat(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue fallback = arguments.Bind("float", "default")[0] ?? new FloatValue(0);
        if (value is StringValue text)
            return double.TryParse(PythonText.Trim(text.Text), NumberStyles.Float, CultureInfo.InvariantCulture, out double parsed) ? new FloatValue(parsed) : fallback;
        return Operators.IsNumber(value) ? new FloatValue(Operators.ToDouble(value)) : fallback;
    }

    private static FloatValue Round(RenderContext context, DataValue value, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("round", "precision", "method");
        double x = Operators.ToDouble(value);
        int digits = (int)Math.Clamp(bound[0] is null ? 0 : Operators.ToLong(bound[0]!, "precision"), -15, 15);
        string method = (bound[1] as StringValue)?.Text ?? "common";
        double scale = Math.Pow(10, digits);
        return new FloatValue(method switch
        {
            "common" => digits >= 0 ? Math.Round(x, digits, MidpointRounding.ToEven) : Math.Round(x * scale, MidpointRounding.ToEven) / scale,
            "ceil" => Math.Ceiling(x * scale) / scale,
            "floor" => Math.Floor(x * scale) / scale,
            _ => throw new TemplateFault($"round knows the methods common, ceil and floor, not '{method}'"),
        });
    }

    private static DataObject Named(CallArguments arguments)
    {
        var values = new DataObject();
        foreach ((string name, DataValue value) in arguments.Named)
            values[name] = value;
        return values;
    }
}
