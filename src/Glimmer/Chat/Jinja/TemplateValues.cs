namespace Glimmer.Chat.Jinja;

/// <summary>A name or attribute that does not exist: prints as nothing, is false, and fails when something is asked of it.</summary>
internal sealed class UndefinedValue(string reason) : DataValue
{
    public string Reason { get; } = reason;

    internal override string TypeName => "Undefined";

    internal override bool IsTrue => false;
}

/// <summary>Made by <c>namespace()</c>: the one value whose attributes a template can set.</summary>
internal sealed class NamespaceValue : DataValue
{
    public Dictionary<string, DataValue> Items { get; } = [];

    internal override string TypeName => "Namespace";
}

/// <summary>Something that can be called: a macro, a global function, a method bound to its value.</summary>
internal sealed class CallableValue(string name, Func<RenderContext, CallArguments, DataValue> body) : DataValue
{
    public string Name { get; } = name;

    internal override string TypeName => "function";

    public DataValue Call(RenderContext context, CallArguments arguments) => body(context, arguments);
}

/// <summary>The <c>loop</c> variable of a for statement.</summary>
internal sealed class LoopValue(IReadOnlyList<DataValue> items) : DataValue
{
    private DataValue? _lastChanged;

    public int Index { get; set; }

    internal override string TypeName => "LoopContext";

    public DataValue? Find(string name) => name switch
    {
        "index" => From((long)Index + 1),
        "index0" => From((long)Index),
        "revindex" => From((long)items.Count - Index),
        "revindex0" => From((long)items.Count - Index - 1),
        "first" => From(Index == 0),
        "last" => From(Index == items.Count - 1),
        "length" => From((long)items.Count),
        "depth" => From(1L),
        "depth0" => From(0L),
        "previtem" => Index > 0 ? items[Index - 1] : new UndefinedValue("there is no previous item"),
        "nextitem" => Index + 1 < items.Count ? items[Index + 1] : new UndefinedValue("there is no next item"),
        "cycle" => new CallableValue(name, (_, arguments) => Cycle(arguments)),
        "changed" => new CallableValue(name, (_, arguments) => HasChanged(arguments)),
        _ => null,
    };

    private DataValue Cycle(CallArguments arguments) => arguments.Positional.Count == 0
        ? throw new TemplateFault("loop.cycle() needs at least one value")
        : arguments.Positional[Index % arguments.Positional.Count];

    private DataValue HasChanged(CallArguments arguments)
    {
        var now = new DataArray([.. arguments.Positional], SequenceKind.Tuple);
        bool changed = _lastChanged is null || !Operators.AreEqual(_lastChanged, now);
        _lastChanged = now;
        return From(changed);
    }
}
