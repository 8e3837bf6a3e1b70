using System.Globalization;
using System.Text;

namespace Glimmer.Chat.Jinja;

/// <summary>The functions every template can call.</summary>
internal static class Globals
{
    private const int MaxRange = 100_000;

    private static readonly Dictionary<string, DataValue> s_functions = new()
    {
        ["range"] = new CallableValue("range", Range),
        ["namespace"] = new CallableValue("namespace", Namespace),
        ["dict"] = new CallableValue("dict", Dict),
        ["raise_exception"] = new CallableValue("raise_exception", Raise),
        ["strftime_now"] = new CallableValue("strftime_now", Now),
    };

    public static DataValue? Find(string name) => s_functions.GetValueOrDefault(name);

    private static DataArray Range(RenderContext context, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind("range", "start", "stop", "step");
        long first = Operators.ToLong(bound[0] ?? throw new TemplateFault("range() needs a number"), "range()");
        long start = bound[1] is null ? 0 : first;
        long stop = bound[1] is null ? first : Operators.ToLong(bound[1]!, "range()");
        long step = bound[2] is null ? 1 : Operators.ToLong(bound[2]!, "range()");
        if (step == 0)
            throw new TemplateFault("the step of range() cannot be 0");
        Int128 count = step > 0 ? ((Int128)stop - start + step - 1) / step : ((Int128)start - stop - step - 1) / -(Int128)step;
        if (count > MaxRange)
            throw new TemplateFault($"range() gives at most {MaxRange} numbers");
        context.CountIterations((long)Int128.Max(count, 0));
        var items = new List<DataValue>();
        for (int i = 0; i < count; i++)
            items.Add(DataValue.From(start + (i * step)));
        return new DataArray(items, SequenceKind.List);
    }

    private static NamespaceValue Namespace(RenderContext context, CallArguments arguments)
    {
        var space = new NamespaceValue();
        foreach ((string key, DataValue value) in Dict(context, arguments))
            space.Items[key] = value;
        return space;
    }

    private static DataObject Dict(RenderContext context, CallArguments arguments)
    {
        var result = new DataObject();
        foreach (DataValue source in arguments.Positional)
        {
            if (source is DataObject mapping)
            {
                foreach ((string key, DataValue value) in mapping)
                    result[key] = value;
                continue;
            }

            foreach (DataValue pair in Sequences.Iterate(context, source))
            {
                if (pair is not DataArray { Count: 2 } both || both[0] is not StringValue key)
                    throw new TemplateFault("dict() needs a mapping or pairs whose first value is a string");
                result[key.Text] = both[1];
            }
        }

        foreach ((string key, DataValue value) in arguments.Named)
            result[key] = value;
        return result;
    }

    private static DataValue Raise(RenderContext context, CallArguments arguments) =>
        throw new TemplateFault(PythonText.Str(arguments.Bind("raise_exception", "message")[0] ?? StringValue.Empty), raisedByTemplate: true);

    private static StringValue Now(RenderContext context, CallArguments arguments)
    {
        string format = (arguments.Bind("strftime_now", "format")[0] as StringValue)?.Text ?? throw new TemplateFault("strftime_now() needs a format");
        DateTimeOffset now = context.Options.TimeProvider.GetLocalNow();
        var text = new StringBuilder();
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                text.Append(format[i]);
                continue;
            }

            bool unpadded = format[i + 1] == '-' && i + 2 < format.Length;
            i += unpadded ? 2 : 1;
            string part = Directive(now, format[i]);
            string trimmed = unpadded ? part.TrimStart('0') : part;
            text.Append(trimmed.Length == 0 ? "0" : trimmed);
        }

        return new StringValue(text.ToString(), TextOrigin.Template);
    }

    private static string Directive(DateTimeOffset now, char directive)
    {
        string? net = directive switch
        {
            'Y' => "yyyy",
            'y' => "yy",
            'm' => "MM",
            'd' => "dd",
            'B' => "MMMM",
            'b' or 'h' => "MMM",
            'A' => "dddd",
            'a' => "ddd",
            'H' => "HH",
            'I' => "hh",
            'M' => "mm",
            'S' => "ss",
            'f' => "ffffff",
            'p' => "tt",
            'F' => "yyyy-MM-dd",
            'T' => "HH:mm:ss",
            'R' => "HH:mm",
            'D' or 'x' => "MM/dd/yy",
            'X' => "HH:mm:ss",
            _ => null,
        };
        if (net is not null)
            return now.ToString(net.Length == 1 ? "%" + net : net, CultureInfo.InvariantCulture);
        return directive switch
        {
            '%' => "%",
            'n' => "\n",
            't' => "\t",
            'e' => now.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
            'j' => now.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
            'u' => (now.DayOfWeek == DayOfWeek.Sunday ? 7 : (int)now.DayOfWeek).ToString(CultureInfo.InvariantCulture),
            'w' => ((int)now.DayOfWeek).ToString(CultureInfo.InvariantCulture),
            'c' => $"{now.ToString("ddd MMM", CultureInfo.InvariantCulture)} {now.Day,2} {now.ToString("HH:mm:ss yyyy", CultureInfo.InvariantCulture)}",
            's' => now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
            'Z' or 'z' => "",
            _ => throw new TemplateFault($"strftime_now() does not know the directive '%{directive}'"),
        };
    }
}
