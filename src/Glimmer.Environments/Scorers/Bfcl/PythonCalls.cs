namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>From a Python list of calls to names and argument values.</summary>
/// <remarks>BFCL's <c>ast_parse</c>, oddities included: positional arguments are dropped, every sign negates, a name is the string of its letters, a call without named arguments its source text.</remarks>
internal static class PythonCalls
{
    /// <summary>Reads a call or a list of calls.</summary>
    /// <exception cref="FormatException">The text is something else.</exception>
    public static IReadOnlyList<BfclCall> Read(string text)
    {
        PythonNode body = PythonParser.Parse(text);
        if (body is CallNode single)
            return [Call(single)];
        if (body is not DisplayNode list)
            throw new FormatException("expected a list of calls");
        return [.. list.Items.Select(item => Call(item as CallNode ?? throw new FormatException("expected calls only")))];
    }

    private static BfclCall Call(CallNode call)
    {
        var parts = new List<string>();
        PythonNode function = call.Function;
        for (; function is AttributeNode attribute; function = attribute.Object)
            parts.Insert(0, attribute.Name);
        if (function is NameNode name)
            parts.Insert(0, name.Name);
        IEnumerable<KeyValuePair<PythonValue, PythonValue>> arguments =
            call.Named.Select(item => KeyValuePair.Create(item.Name is null ? PythonValue.None : PythonValue.Of(item.Name), Value(item.Value)));
        return new BfclCall(string.Join('.', parts), PythonValue.Dict(arguments));
    }

    private static PythonValue Value(PythonNode node)
    {
        switch (node)
        {
            case ConstantNode constant:
                return constant.Value;
            case EllipsisNode:
                return PythonValue.Of("...");
            case UnaryNode { Operand: ConstantNode operand }:
                return PythonArithmetic.Negate(operand.Value);
            case BinaryNode { IsArithmetic: true }:
                return PythonArithmetic.Compute(node);
            case NameNode name:
                return PythonValue.Of(name.Name);
            case SubscriptNode:
            case CallNode { Named.Count: 0 }:
                return PythonValue.Of(PythonSource.Of(node));
            case CallNode call:
                BfclCall inner = Call(call);
                return PythonValue.Dict([KeyValuePair.Create(PythonValue.Of(inner.Name), inner.Arguments)]);
            case DisplayNode { Kind: DisplayKind.List } list:
                return PythonValue.List([.. list.Items.Select(Value)]);
            case DisplayNode { Kind: DisplayKind.Tuple } tuple:
                return PythonValue.Tuple([.. tuple.Items.Select(Value)]);
            case DictNode dict:
                return PythonValue.Dict(dict.Items.Select(item => KeyValuePair.Create(Key(item.Key), Value(item.Value))));
            default:
                throw new FormatException("an argument is an expression that has no value here");
        }
    }

    private static PythonValue Key(PythonNode? node)
    {
        PythonValue key = Value(node ?? throw new FormatException("a dict inside a dict (**) has no value here"));
        return key.Type is PythonType.List or PythonType.Dict ? throw new FormatException("a list or dict cannot be a key") : key;
    }
}
