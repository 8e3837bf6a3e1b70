namespace Glimmer.Chat.Jinja;

/// <summary>The body of an <c>is</c> test.</summary>
internal delegate bool Test(RenderContext context, DataValue value, CallArguments arguments);

/// <summary>The tests of Jinja2 that act on data.</summary>
internal static class Tests
{
    private static readonly Dictionary<string, Test> s_tests = new()
    {
        ["defined"] = (_, value, _) => value is not UndefinedValue,
        ["undefined"] = (_, value, _) => value is UndefinedValue,
        ["none"] = (_, value, _) => value is NullValue,
        ["string"] = (_, value, _) => value is StringValue,
        ["number"] = (_, value, _) => Operators.IsNumber(value),
        ["integer"] = (_, value, _) => value is IntegerValue,
        ["float"] = (_, value, _) => value is FloatValue,
        ["boolean"] = (_, value, _) => value is BooleanValue,
        ["true"] = (_, value, _) => value == BooleanValue.True,
        ["false"] = (_, value, _) => value == BooleanValue.False,
        ["mapping"] = (_, value, _) => value is DataObject,
        ["iterable"] = (_, value, _) => value is DataArray or DataObject or StringValue or UndefinedValue or LoopValue,
        ["sequence"] = (_, value, _) => value is DataObject or StringValue or UndefinedValue or DataArray { Sequence: SequenceKind.List or SequenceKind.Tuple },
        ["callable"] = (_, value, _) => value is CallableValue,
        ["sameas"] = (_, value, arguments) => IsSame(value, One(arguments, "sameas")),
        ["escaped"] = (_, _, _) => false,
        ["in"] = (_, value, arguments) => Operators.Contains(One(arguments, "in"), value),
        ["eq"] = (_, value, arguments) => Operators.AreEqual(value, One(arguments, "eq")),
        ["ne"] = (_, value, arguments) => !Operators.AreEqual(value, One(arguments, "ne")),
        ["lt"] = (_, value, arguments) => Operators.Compare(value, One(arguments, "lt"), "<") < 0,
        ["le"] = (_, value, arguments) => Operators.Compare(value, One(arguments, "le"), "<=") <= 0,
        ["gt"] = (_, value, arguments) => Operators.Compare(value, One(arguments, "gt"), ">") == 1,
        ["ge"] = (_, value, arguments) => Operators.Compare(value, One(arguments, "ge"), ">=") is 0 or 1,
        ["odd"] = (context, value, _) => Remainder(context, value, 2) == 1,
        ["even"] = (context, value, _) => Remainder(context, value, 2) == 0,
        ["divisibleby"] = (context, value, arguments) => Remainder(context, value, Operators.ToLong(One(arguments, "divisibleby"), "the divisor")) == 0,
        ["lower"] = (_, value, _) => PythonText.Str(value) is var text && text.Any(char.IsLower) && !text.Any(char.IsUpper),
        ["upper"] = (_, value, _) => PythonText.Str(value) is var text && text.Any(char.IsUpper) && !text.Any(char.IsLower),
        ["filter"] = (_, value, _) => value is StringValue name && Filters.Find(name.Text) is not null,
        ["test"] = (_, value, _) => value is StringValue name && Find(name.Text) is not null,
    };

    private static readonly Dictionary<string, string> s_aliases = new()
    {
        ["=="] = "eq",
        ["equalto"] = "eq",
        ["!="] = "ne",
        ["<"] = "lt",
        ["lessthan"] = "lt",
        ["<="] = "le",
        [">"] = "gt",
        ["greaterthan"] = "gt",
        [">="] = "ge",
    };

    public static Test? Find(string name) => s_tests.GetValueOrDefault(s_aliases.GetValueOrDefault(name, name));

    private static DataValue One(CallArguments arguments, string test) =>
        arguments.Bind(test, "other")[0] ?? throw new TemplateFault($"the test '{test}' needs a value to compare with");

    private static bool IsSame(DataValue a, DataValue b) => ReferenceEquals(a, b)
        || (a is StringValue x && b is StringValue y && x.Text == y.Text)
        || (a is IntegerValue && b is IntegerValue && Operators.AreEqual(a, b));

    private static long Remainder(RenderContext context, DataValue value, long divisor) =>
        Operators.Modulo(context, value is StringValue ? throw new TemplateFault("a number was expected, not 'str'") : value, DataValue.From(divisor)) switch
        {
            FloatValue number => (long)number.Value,
            DataValue integer => Operators.ToLong(integer, "the remainder"),
        };
}
