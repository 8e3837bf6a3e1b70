namespace Glimmer.Chat.Jinja;

/// <summary>A node of an expression.</summary>
internal abstract class Expression(int line)
{
    public int Line { get; } = line;

    /// <summary>The value; counts one level of nesting, and names this line if it fails.</summary>
    public DataValue Evaluate(RenderContext context)
    {
        context.Enter();
        context.Line = Line;
        DataValue value = Compute(context);
        context.Line = Line;
        context.Leave();
        return value;
    }

    protected abstract DataValue Compute(RenderContext context);
}

internal sealed class Literal(int line, DataValue value) : Expression(line)
{
    public DataValue Value { get; } = value;

    protected override DataValue Compute(RenderContext context) => Value;
}

internal sealed class Name(int line, string id) : Expression(line)
{
    public string Id { get; } = id;

    protected override DataValue Compute(RenderContext context) =>
        context.Scope.Find(Id) ?? Globals.Find(Id) ?? new UndefinedValue($"'{Id}' is undefined");
}

internal sealed class SequenceLiteral(int line, List<Expression> items, SequenceKind kind) : Expression(line)
{
    public IReadOnlyList<Expression> Items => items;

    protected override DataValue Compute(RenderContext context)
    {
        var values = new List<DataValue>(items.Count);
        foreach (Expression item in items)
            values.Add(item.Evaluate(context));
        return new DataArray(values, kind);
    }
}

internal sealed class MappingLiteral(int line, List<(Expression Key, Expression Value)> items) : Expression(line)
{
    protected override DataValue Compute(RenderContext context)
    {
        var result = new DataObject();
        foreach ((Expression key, Expression value) in items)
        {
            string name = key.Evaluate(context) is StringValue text ? text.Text : throw new TemplateFault("the keys of a mapping must be strings");
            result[name] = value.Evaluate(context);
        }

        return result;
    }
}

internal sealed class Conditional(int line, Expression test, Expression then, Expression? otherwise) : Expression(line)
{
    protected override DataValue Compute(RenderContext context) => test.Evaluate(context).IsTrue
        ? then.Evaluate(context)
        : otherwise?.Evaluate(context) ?? new UndefinedValue("the inline if was false and has no else");
}

/// <summary><c>and</c>, <c>or</c>: the operand that decides, as in Python.</summary>
internal sealed class Logical(int line, bool isAnd, Expression left, Expression right) : Expression(line)
{
    protected override DataValue Compute(RenderContext context)
    {
        DataValue value = left.Evaluate(context);
        return value.IsTrue == isAnd ? right.Evaluate(context) : value;
    }
}

internal sealed class Not(int line, Expression operand) : Expression(line)
{
    protected override DataValue Compute(RenderContext context) => DataValue.From(!operand.Evaluate(context).IsTrue);
}

internal sealed class Unary(int line, bool isMinus, Expression operand) : Expression(line)
{
    protected override DataValue Compute(RenderContext context)
    {
        DataValue value = operand.Evaluate(context);
        if (isMinus)
            return Operators.Negate(value);
        Operators.RequireNumber("+", value);
        return value;
    }
}

internal sealed class Binary(int line, string symbol, Expression left, Expression right) : Expression(line)
{
    protected override DataValue Compute(RenderContext context)
    {
        DataValue a = left.Evaluate(context), b = right.Evaluate(context);
        context.Line = Line;
        return symbol switch
        {
            "+" => Operators.Add(context, a, b),
            "-" => Operators.Subtract(a, b),
            "*" => Operators.Multiply(context, a, b),
            "/" => Operators.Divide(a, b),
            "//" => Operators.FloorDivide(a, b),
            "%" => Operators.Modulo(context, a, b),
            _ => Operators.Power(a, b),
        };
    }
}

/// <summary><c>a ~ b ~ c</c>: the texts joined.</summary>
internal sealed class Concatenation(int line, List<Expression> parts) : Expression(line)
{
    protected override DataValue Compute(RenderContext context)
    {
        var texts = new StringValue[parts.Count];
        for (int i = 0; i < texts.Length; i++)
            texts[i] = context.ToText(parts[i].Evaluate(context));
        return Operators.Concatenate(context, texts);
    }
}

/// <summary><c>a &lt; b &lt;= c</c>: every neighbouring pair must hold.</summary>
internal sealed class Comparison(int line, Expression first, List<(string Symbol, Expression Operand)> rest) : Expression(line)
{
    protected override DataValue Compute(RenderContext context)
    {
        DataValue left = first.Evaluate(context);
        foreach ((string symbol, Expression operand) in rest)
        {
            DataValue right = operand.Evaluate(context);
            context.Line = Line;
            CountWork(context, right);
            if (!Holds(left, symbol, right))
                return BooleanValue.False;
            left = right;
        }

        return BooleanValue.True;
    }

    private static void CountWork(RenderContext context, DataValue value)
    {
        if (value is StringValue text)
            context.CountWork(text.Text.Length);
        else if (value is DataArray array)
            context.CountWork(array.Count);
        else if (value is DataObject mapping)
            context.CountWork(mapping.Count);
    }

    private static bool Holds(DataValue a, string symbol, DataValue b) => symbol switch
    {
        "==" => Operators.AreEqual(a, b),
        "!=" => !Operators.AreEqual(a, b),
        "in" => Operators.Contains(b, a),
        "not in" => !Operators.Contains(b, a),
        "<" => Operators.Compare(a, b, symbol) is < 0,
        "<=" => Operators.Compare(a, b, symbol) is <= 0,
        ">" => Operators.Compare(a, b, symbol) is 1,
        _ => Operators.Compare(a, b, symbol) is 0 or 1,
    };
}

/// <summary><c>a.name</c>.</summary>
internal sealed class AttributeAccess(int line, Expression target, string name) : Expression(line)
{
    public Expression Target => target;

    public string AttributeName => name;

    protected override DataValue Compute(RenderContext context) => Access.Attribute(target.Evaluate(context), name);
}

/// <summary><c>a[index]</c>.</summary>
internal sealed class ItemAccess(int line, Expression target, Expression index) : Expression(line)
{
    protected override DataValue Compute(RenderContext context)
    {
        DataValue value = target.Evaluate(context);
        return Access.Item(value, index.Evaluate(context));
    }
}

/// <summary><c>a[start:stop:step]</c>.</summary>
internal sealed class SliceAccess(int line, Expression target, Expression? start, Expression? stop, Expression? step) : Expression(line)
{
    protected override DataValue Compute(RenderContext context)
    {
        DataValue value = target.Evaluate(context);
        return Access.Slice(context, value, start?.Evaluate(context), stop?.Evaluate(context), step?.Evaluate(context));
    }
}

/// <summary>The arguments of a call as written.</summary>
internal sealed record ArgumentList(
    List<Expression> Positional, List<KeyValuePair<string, Expression>> Named, Expression? Spread, Expression? NamedSpread)
{
    public CallArguments Evaluate(RenderContext context)
    {
        if (Positional.Count == 0 && Named.Count == 0 && Spread is null && NamedSpread is null)
            return CallArguments.None;
        var positional = new List<DataValue>(Positional.Count);
        foreach (Expression argument in Positional)
            positional.Add(argument.Evaluate(context));
        if (Spread is not null)
            positional.AddRange(Sequences.Iterate(context, Spread.Evaluate(context)));
        var named = new List<KeyValuePair<string, DataValue>>(Named.Count);
        foreach ((string name, Expression argument) in Named)
            named.Add(new(name, argument.Evaluate(context)));
        if (NamedSpread is not null)
        {
            DataValue spread = NamedSpread.Evaluate(context);
            named.AddRange(spread as DataObject ?? throw new TemplateFault($"** needs a mapping, not '{spread.TypeName}'"));
        }

        return new CallArguments(positional, named);
    }
}

/// <summary><c>f(...)</c> and <c>value.method(...)</c>.</summary>
internal sealed class Call(int line, Expression callee, ArgumentList arguments) : Expression(line)
{
    protected override DataValue Compute(RenderContext context)
    {
        if (callee is AttributeAccess { AttributeName: var name } method)
        {
            DataValue target = method.Target.Evaluate(context);
            CallArguments values = arguments.Evaluate(context);
            context.Line = Line;
            return Methods.TryCall(context, target, name, values) ?? Invoke(context, Access.Attribute(target, name), values);
        }

        DataValue function = callee.Evaluate(context);
        return Invoke(context, function, arguments.Evaluate(context));
    }

    private DataValue Invoke(RenderContext context, DataValue function, CallArguments values)
    {
        context.Line = Line;
        Operators.FailIfUndefined(function);
        return function is CallableValue callable ? callable.Call(context, values) : throw new TemplateFault($"'{function.TypeName}' cannot be called");
    }
}

/// <summary><c>value | filter(...)</c>.</summary>
internal sealed class FilterCall(int line, Expression value, Filter filter, ArgumentList arguments) : Expression(line)
{
    protected override DataValue Compute(RenderContext context)
    {
        DataValue input = value.Evaluate(context);
        CallArguments values = arguments.Evaluate(context);
        context.Line = Line;
        return filter(context, input, values);
    }
}

/// <summary><c>value is test(...)</c>.</summary>
internal sealed class TestCall(int line, Expression value, Test test, ArgumentList arguments) : Expression(line)
{
    protected override DataValue Compute(RenderContext context)
    {
        DataValue input = value.Evaluate(context);
        CallArguments values = arguments.Evaluate(context);
        context.Line = Line;
        return DataValue.From(test(context, input, values));
    }
}
