namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>A Python expression, as far as calls need it.</summary>
internal abstract record PythonNode
{
    /// <summary>How tightly the expression binds, for the parentheses of its source text: 16 for names and literals, 0 for lambda.</summary>
    public virtual int Binding => 16;
}

/// <summary>A literal.</summary>
internal sealed record ConstantNode(PythonValue Value) : PythonNode;

/// <summary><c>...</c></summary>
internal sealed record EllipsisNode : PythonNode;

/// <summary>A string with placeholders.</summary>
internal sealed record FormattedStringNode : PythonNode;

/// <summary>A name.</summary>
internal sealed record NameNode(string Name) : PythonNode;

/// <summary><c>object.name</c></summary>
internal sealed record AttributeNode(PythonNode Object, string Name) : PythonNode;

/// <summary><c>object[index]</c></summary>
internal sealed record SubscriptNode(PythonNode Object, PythonNode Index) : PythonNode;

/// <summary><c>from:to:step</c> inside brackets.</summary>
internal sealed record SliceNode(PythonNode? From, PythonNode? To, PythonNode? Step) : PythonNode;

/// <summary>A call. A name of null is <c>**dict</c>.</summary>
internal sealed record CallNode(PythonNode Function, IReadOnlyList<PythonNode> Positional, IReadOnlyList<(string? Name, PythonNode Value)> Named) : PythonNode;

/// <summary>What a display of items is.</summary>
internal enum DisplayKind
{
    List,
    Tuple,
    Set,
}

/// <summary>A list, tuple or set of items.</summary>
internal sealed record DisplayNode(DisplayKind Kind, IReadOnlyList<PythonNode> Items) : PythonNode;

/// <summary>A dict. A key of null is <c>**dict</c>.</summary>
internal sealed record DictNode(IReadOnlyList<(PythonNode? Key, PythonNode Value)> Items) : PythonNode;

/// <summary><c>*iterable</c></summary>
internal sealed record StarredNode(PythonNode Value) : PythonNode;

/// <summary>A sign, <c>~</c> or <c>not</c>.</summary>
internal sealed record UnaryNode(string Operator, PythonNode Operand) : PythonNode
{
    public override int Binding => Operator == "not" ? 4 : 13;
}

/// <summary>An arithmetic, comparing or logical operator between two expressions.</summary>
internal sealed record BinaryNode(string Operator, PythonNode Left, PythonNode Right) : PythonNode
{
    public override int Binding => PythonParser.BindingOf(Operator);

    /// <summary>Whether it computes a number or string rather than a truth value.</summary>
    public bool IsArithmetic => Binding >= 6;
}

/// <summary><c>value if condition else other</c></summary>
internal sealed record ConditionalNode(PythonNode Value, PythonNode Condition, PythonNode Other) : PythonNode
{
    public override int Binding => 1;
}

/// <summary>A lambda or a comprehension: read over, never used.</summary>
internal sealed record OpaqueNode : PythonNode
{
    public override int Binding => 0;
}
