using System.Globalization;
using System.Text;

namespace Glimmer.Chat.Jinja;

/// <summary>The methods of Python's str, dict and list that only read. Those that would change data are refused, as in the sandbox templates are written for.</summary>
internal static class Methods
{
    private static readonly HashSet<string> s_string =
    [
        "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "partition", "rpartition", "startswith", "endswith", "replace", "upper", "lower", "title",
        "capitalize", "swapcase", "casefold", "find", "rfind", "index", "count", "join", "format", "removeprefix", "removesuffix", "zfill", "ljust", "rjust",
        "center", "isdigit", "isdecimal", "isnumeric", "isalpha", "isalnum", "isupper", "islower", "isspace",
    ];

    private static readonly HashSet<string> s_mapping = ["items", "keys", "values", "get", "copy"];
    private static readonly HashSet<string> s_mappingChanges = ["pop", "update", "clear", "setdefault", "popitem"];
    private static readonly HashSet<string> s_sequence = ["index", "count", "copy"];
    private static readonly HashSet<string> s_sequenceChanges = ["append", "extend", "insert", "pop", "remove", "clear", "reverse", "sort"];

    public static bool Exists(DataValue value, string name) => value switch
    {
        StringValue => s_string.Contains(name),
        DataObject => s_mapping.Contains(name) || s_mappingChanges.Contains(name),
        DataArray => s_sequence.Contains(name) || s_sequenceChanges.Contains(name),
        _ => false,
    };

    /// <summary>Calls a method; null when the value has none of this name.</summary>
    public static DataValue? TryCall(RenderContext context, DataValue value, string name, CallArguments arguments)
    {
        if (!Exists(value, name))
            return null;
        return value switch
        {
            StringValue text => CallString(context, text, name, arguments),
            DataObject mapping => CallMapping(context, mapping, name, arguments),
            _ => CallSequence((DataArray)value, name, arguments),
        };
    }

    private static DataValue CallMapping(RenderContext context, DataObject mapping, string name, CallArguments arguments)
    {
        if (s_mappingChanges.Contains(name))
            throw new TemplateFault($"dict.{name}() would change the data, which templates may only read");
        if (name == "get")
        {
            DataValue?[] bound = arguments.Bind(name, "key", "default");
            return (bound[0] is StringValue key ? mapping.Find(key.Text) : null) ?? bound[1] ?? DataValue.Null;
        }

        arguments.Bind(name);
        if (name == "copy")
            return mapping;
        context.CountIterations(mapping.Count);
        var items = new List<DataValue>(mapping.Count);
        foreach ((string key, DataValue item) in mapping)
        {
            items.Add(name == "keys" ? new StringValue(key, TextOrigin.Data)
                : name == "values" ? item
                : new DataArray([new StringValue(key, TextOrigin.Data), item], SequenceKind.Tuple));
        }

        return new DataArray(items, SequenceKind.View);
    }

    private static DataValue CallSequence(DataArray array, string name, CallArguments arguments)
    {
        if (s_sequenceChanges.Contains(name))
            throw new TemplateFault($"list.{name}() would change the data, which templates may only read; use + to join lists");
        if (name == "copy")
            return array;
        DataValue wanted = Required(arguments.Bind(name, "value"), 0, name, "value");
        int count = 0;
        for (int i = 0; i < array.Count; i++)
        {
            if (!Operators.AreEqual(array[i], wanted))
                continue;
            if (name == "index")
                return DataValue.From((long)i);
            count++;
        }

        return name == "count" ? DataValue.From((long)count) : throw new TemplateFault("the value is not in the list");
    }

    private static DataValue CallString(RenderContext context, StringValue text, string name, CallArguments arguments)
    {
        context.CountWork(text.Text.Length);
        switch (name)
        {
            case "strip" or "lstrip" or "rstrip":
                return StringOperations.Strip(text, OptionalText(arguments.Bind(name, "chars")[0], name), name != "rstrip", name != "lstrip");
            case "split" or "rsplit":
                DataValue?[] split = arguments.Bind(name, "sep", "maxsplit");
                return StringOperations.Split(context, text, OptionalText(split[0], name), split[1] is null ? -1 : Operators.ToLong(split[1]!, "maxsplit"), name == "rsplit");
            case "splitlines":
                return StringOperations.SplitLines(context, text, arguments.Bind(name, "keepends")[0]?.IsTrue ?? false);
            case "partition" or "rpartition":
                string separator = RequiredText(arguments.Bind(name, "sep"), 0, name, "sep").Text;
                return separator.Length == 0
                    ? throw new TemplateFault($"{name}() needs a separator that is not empty")
                    : StringOperations.Partition(text, separator, name == "rpartition");
            case "startswith" or "endswith":
                return DataValue.From(HasEdge(context, text, name, arguments));
            case "replace":
                DataValue?[] replace = arguments.Bind(name, "old", "new", "count");
                long limit = replace[2] is null ? -1 : Operators.ToLong(replace[2]!, "count");
                return StringOperations.Replace(context, text, RequiredText(replace, 0, name, "old"), RequiredText(replace, 1, name, "new"), limit);
            case "join":
                List<StringValue> parts = [];
                foreach (DataValue item in Sequences.Iterate(context, Required(arguments.Bind(name, "iterable"), 0, name, "iterable")))
                    parts.Add(item as StringValue ?? throw new TemplateFault($"join() needs strings, not '{item.TypeName}'"));
                return StringOperations.Join(context, text, parts);
            case "format":
                return StringFormat.Braces(context, text, arguments);
            case "find" or "rfind" or "index" or "count":
                return Search(text, name, RequiredText(arguments.Bind(name, "sub"), 0, name, "sub").Text);
            case "removeprefix" or "removesuffix":
                string edge = RequiredText(arguments.Bind(name, "affix"), 0, name, "affix").Text;
                bool isPrefix = name == "removeprefix";
                return (isPrefix ? text.Text.StartsWith(edge, StringComparison.Ordinal) : text.Text.EndsWith(edge, StringComparison.Ordinal))
                    ? text.Slice(isPrefix ? edge.Length : 0, text.Text.Length - edge.Length)
                    : text;
            case "zfill" or "ljust" or "rjust" or "center":
                return PadTo(context, text, name, arguments);
            default:
                arguments.Bind(name);
                return CallPlain(text, name);
        }
    }

    /// <summary>Methods without arguments.</summary>
    private static DataValue CallPlain(StringValue text, string name) => name switch
    {
        "upper" => StringOperations.Upper(text),
        "lower" or "casefold" => StringOperations.Lower(text),
        "title" => StringOperations.Title(text, c => !char.IsLetter(c)),
        "capitalize" => StringOperations.Capitalize(text),
        "swapcase" => text.WithText(string.Create(text.Text.Length, text.Text, (span, s) =>
        {
            for (int i = 0; i < s.Length; i++)
                span[i] = char.IsUpper(s[i]) ? char.ToLowerInvariant(s[i]) : char.ToUpperInvariant(s[i]);
        })),
        "isdigit" or "isdecimal" => DataValue.From(AllRunes(text.Text, Rune.IsDigit)),
        "isnumeric" => DataValue.From(AllRunes(text.Text, Rune.IsNumber)),
        "isalpha" => DataValue.From(AllRunes(text.Text, Rune.IsLetter)),
        "isalnum" => DataValue.From(AllRunes(text.Text, rune => Rune.IsLetter(rune) || Rune.IsNumber(rune))),
        "isspace" => DataValue.From(text.Text.Length > 0 && PythonText.IsSpace(text.Text)),
        "isupper" => DataValue.From(text.Text.Any(char.IsUpper) && !text.Text.Any(char.IsLower)),
        _ => DataValue.From(text.Text.Any(char.IsLower) && !text.Text.Any(char.IsUpper)),
    };

    private static bool AllRunes(string text, Func<Rune, bool> holds)
    {
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (!holds(rune))
                return false;
        }

        return text.Length > 0;
    }

    private static bool HasEdge(RenderContext context, StringValue text, string name, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind(name, "affix", "start", "end");
        string s = bound[1] is null && bound[2] is null ? text.Text : ((StringValue)Access.Slice(context, text, bound[1], bound[2], null)).Text;
        DataValue affix = Required(bound, 0, name, "affix");
        IReadOnlyList<DataValue> choices = affix is DataArray { Sequence: SequenceKind.Tuple } tuple ? tuple : [affix];
        foreach (DataValue choice in choices)
        {
            string edge = (choice as StringValue)?.Text ?? throw new TemplateFault($"{name}() needs a string or a tuple of strings, not '{choice.TypeName}'");
            if (name == "startswith" ? s.StartsWith(edge, StringComparison.Ordinal) : s.EndsWith(edge, StringComparison.Ordinal))
                return true;
        }

        return false;
    }

    private static DataValue Search(StringValue text, string name, string wanted)
    {
        if (name == "count")
        {
            int count = wanted.Length == 0 ? PythonText.CodePointCount(text.Text) + 1 : text.Text.AsSpan().Count(wanted);
            return DataValue.From((long)count);
        }

        int found = name == "rfind" ? text.Text.LastIndexOf(wanted, StringComparison.Ordinal) : text.Text.IndexOf(wanted, StringComparison.Ordinal);
        if (found < 0)
            return name == "index" ? throw new TemplateFault("substring not found") : DataValue.From(-1L);
        return DataValue.From((long)PythonText.CodePointCount(text.Text[..found]));
    }

    private static StringValue PadTo(RenderContext context, StringValue text, string name, CallArguments arguments)
    {
        DataValue?[] bound = arguments.Bind(name, "width", "fillchar");
        long width = Operators.ToLong(Required(bound, 0, name, "width"), "width");
        if (name == "zfill")
        {
            int sign = text.Text.StartsWith('-') || text.Text.StartsWith('+') ? 1 : 0;
            StringValue padded = StringOperations.Pad(context, text.Slice(sign, text.Text.Length - sign), width - sign, '0', true, false);
            return sign == 0 ? padded : Operators.Concatenate(context, text.Slice(0, 1), padded);
        }

        string fill = OptionalText(bound[1], name) ?? " ";
        return fill.Length == 1
            ? StringOperations.Pad(context, text, width, fill[0], name != "ljust", name != "rjust")
            : throw new TemplateFault($"{name}() needs one fill character, not '{fill}'");
    }

    private static DataValue Required(DataValue?[] bound, int index, string method, string argument) =>
        bound[index] ?? throw new TemplateFault(string.Create(CultureInfo.InvariantCulture, $"{method}() needs the argument '{argument}'"));

    private static StringValue RequiredText(DataValue?[] bound, int index, string method, string argument)
    {
        DataValue value = Required(bound, index, method, argument);
        Operators.FailIfUndefined(value);
        return value as StringValue ?? throw new TemplateFault($"{method}() needs a string for '{argument}', not '{value.TypeName}'");
    }

    private static string? OptionalText(DataValue? value, string method) => value switch
    {
        null or NullValue => null,
        StringValue text => text.Text,
        _ => throw new TemplateFault($"{method}() needs a string, not '{value.TypeName}'"),
    };
}
