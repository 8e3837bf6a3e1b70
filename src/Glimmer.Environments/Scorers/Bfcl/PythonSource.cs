namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>The source text of an expression as Python's <c>ast.unparse</c> writes it.</summary>
internal static class PythonSource
{
    /// <summary>The text of an expression.</summary>
    /// <exception cref="FormatException">The expression holds an f-string, a lambda or a comprehension, whose insides are not kept.</exception>
    public static string Of(PythonNode node) => Of(node, 0);

    private static string Of(PythonNode node, int least)
    {
        string text = node switch
        {
            ConstantNode constant => constant.Value.ToString(),
            EllipsisNode => "...",
            NameNode name => name.Name,
            AttributeNode attribute => $"{(attribute.Object is ConstantNode { Value.Type: PythonType.Integer } number ? $"{Of(number, 15)} " : Of(attribute.Object, 15))}.{attribute.Name}",
            SubscriptNode subscript => $"{Of(subscript.Object, 15)}[{Inside(subscript.Index)}]",
            SliceNode slice => $"{Optional(slice.From)}:{Optional(slice.To)}{(slice.Step is null ? "" : ":" + Of(slice.Step, 1))}",
            CallNode call => $"{Of(call.Function, 15)}({string.Join(", ", [.. call.Positional.Select(item => Of(item, 1)), .. call.Named.Select(item => item.Name is null ? "**" + Of(item.Value, 1) : $"{item.Name}={Of(item.Value, 1)}")])})",
            DisplayNode { Kind: DisplayKind.List } list => "[" + Items(list) + "]",
            DisplayNode { Kind: DisplayKind.Set } set => "{" + Items(set) + "}",
            DisplayNode tuple => "(" + Items(tuple) + (tuple.Items.Count == 1 ? ",)" : ")"),
            DictNode dict => "{" + string.Join(", ", dict.Items.Select(item => item.Key is null ? "**" + Of(item.Value, 6) : $"{Of(item.Key, 1)}: {Of(item.Value, 1)}")) + "}",
            StarredNode starred => "*" + Of(starred.Value, 6),
            UnaryNode { Operator: "not" } not => "not " + Of(not.Operand, 4),
            UnaryNode unary => unary.Operator + Of(unary.Operand, 13),
            BinaryNode { Operator: "**" } power => $"{Of(power.Left, 15)} ** {Of(power.Right, 13)}",
            BinaryNode binary => $"{Of(binary.Left, binary.Binding)} {binary.Operator} {Of(binary.Right, binary.Binding + 1)}",
            ConditionalNode conditional => $"{Of(conditional.Value, 2)} if {Of(conditional.Condition, 2)} else {Of(conditional.Other, 1)}",
            _ => throw new FormatException("the text of f-strings, lambdas and comprehensions is not kept"),
        };
        return node.Binding < least ? $"({text})" : text;
    }

    private static string Items(DisplayNode display) => string.Join(", ", display.Items.Select(item => Of(item, 1)));

    // A tuple between brackets needs no parentheses.
    private static string Inside(PythonNode index) => index is DisplayNode { Kind: DisplayKind.Tuple, Items.Count: > 1 } tuple ? Items(tuple) : Of(index, 0);

    private static string Optional(PythonNode? node) => node is null ? "" : Of(node, 1);
}
