namespace Glimmer.Chat.Jinja;

/// <summary>How a statement ended.</summary>
internal enum Flow
{
    Next,
    Break,
    Continue,
}

/// <summary>A node of the template outside expressions.</summary>
internal abstract class Statement(int line)
{
    protected int Line { get; } = line;

    public abstract Flow Execute(RenderContext context);
}

/// <summary>Statements in order.</summary>
internal sealed class Block(int line, List<Statement> statements) : Statement(line)
{
    public override Flow Execute(RenderContext context)
    {
        context.Enter();
        Flow flow = Flow.Next;
        foreach (Statement statement in statements)
        {
            flow = statement.Execute(context);
            if (flow != Flow.Next)
                break;
        }

        context.Leave();
        return flow;
    }

    /// <summary>Runs the block with variables of its own.</summary>
    public Flow ExecuteInner(RenderContext context, Scope scope)
    {
        Scope outer = context.Scope;
        context.Scope = scope;
        Flow flow = Execute(context);
        context.Scope = outer;
        return flow;
    }
}

/// <summary>Text of the template itself.</summary>
internal sealed class TextStatement(int line, string text) : Statement(line)
{
    private readonly StringValue _text = new(text, TextOrigin.Template);

    public override Flow Execute(RenderContext context)
    {
        context.Line = Line;
        context.Write(_text);
        return Flow.Next;
    }
}

/// <summary><c>{{ expression }}</c>.</summary>
internal sealed class OutputStatement(int line, Expression expression) : Statement(line)
{
    public override Flow Execute(RenderContext context)
    {
        DataValue value = expression.Evaluate(context);
        context.Write(context.ToText(value));
        return Flow.Next;
    }
}

/// <summary><c>{% if %}</c> with its <c>elif</c> and <c>else</c>.</summary>
internal sealed class IfStatement(int line, List<(Expression Test, Block Body)> branches, Block? otherwise) : Statement(line)
{
    public override Flow Execute(RenderContext context)
    {
        foreach ((Expression test, Block body) in branches)
        {
            if (test.Evaluate(context).IsTrue)
                return body.Execute(context);
        }

        return otherwise?.Execute(context) ?? Flow.Next;
    }
}

/// <summary><c>{% for %}</c>. Each iteration has variables of its own: what it sets is gone in the next one.</summary>
internal sealed class ForStatement(int line, Target target, Expression source, Expression? filter, Block body, Block? otherwise) : Statement(line)
{
    public override Flow Execute(RenderContext context)
    {
        context.Enter();
        IReadOnlyList<DataValue> items = Sequences.Iterate(context, source.Evaluate(context));
        Scope outer = context.Scope;
        if (filter is not null)
            items = Filtered(context, items, outer);
        var loop = new LoopValue(items);
        Flow flow = Flow.Next;
        for (int i = 0; i < items.Count && flow != Flow.Break; i++)
        {
            loop.Index = i;
            context.Scope = new Scope(outer);
            context.Scope.Set("loop", loop);
            context.Line = Line;
            target.Assign(context, items[i]);
            flow = body.Execute(context);
        }

        context.Scope = outer;
        context.Leave();
        return items.Count == 0 && otherwise is not null ? otherwise.ExecuteInner(context, new Scope(outer)) : Flow.Next;
    }

    private List<DataValue> Filtered(RenderContext context, IReadOnlyList<DataValue> items, Scope outer)
    {
        var kept = new List<DataValue>();
        foreach (DataValue item in items)
        {
            context.Scope = new Scope(outer);
            target.Assign(context, item);
            if (filter!.Evaluate(context).IsTrue)
                kept.Add(item);
        }

        context.Scope = outer;
        return kept;
    }
}

internal sealed class LoopControl(int line, Flow flow) : Statement(line)
{
    public override Flow Execute(RenderContext context) => flow;
}

/// <summary>Where <c>set</c> and <c>for</c> put values: a name, an attribute of a namespace, or several of these.</summary>
internal sealed class Target(string? name, string? attribute, List<Target>? parts)
{
    public void Assign(RenderContext context, DataValue value)
    {
        if (parts is not null)
            AssignParts(context, value, parts);
        else if (attribute is null)
            context.Scope.Set(name!, value);
        else
        {
            DataValue space = context.Scope.Find(name!) ?? new UndefinedValue($"'{name}' is undefined");
            Operators.FailIfUndefined(space);
            (space as NamespaceValue ?? throw new TemplateFault($"cannot set '{name}.{attribute}': '{name}' is a '{space.TypeName}', not a namespace()")).Items[attribute] = value;
        }
    }

    private static void AssignParts(RenderContext context, DataValue value, List<Target> parts)
    {
        IReadOnlyList<DataValue> values = Sequences.Iterate(context, value);
        if (values.Count != parts.Count)
            throw new TemplateFault($"cannot unpack {values.Count} value(s) into {parts.Count} names");
        for (int i = 0; i < parts.Count; i++)
            parts[i].Assign(context, values[i]);
    }
}

/// <summary><c>{% set target = expression %}</c>.</summary>
internal sealed class SetStatement(int line, Target target, Expression value) : Statement(line)
{
    public override Flow Execute(RenderContext context)
    {
        DataValue result = value.Evaluate(context);
        context.Line = Line;
        target.Assign(context, result);
        return Flow.Next;
    }
}

/// <summary><c>{% set target %}...{% endset %}</c> and <c>{% filter %}...{% endfilter %}</c>: what the body writes goes through filters, then to the target or the output.</summary>
internal sealed class CaptureStatement(int line, Target? target, Expression value, Block body) : Statement(line)
{
    /// <summary>The name under which <c>value</c> finds the captured text: one that no template can write.</summary>
    public const string CapturedName = "captured text";

    public override Flow Execute(RenderContext context)
    {
        StringValue text = context.Capture(inner => body.ExecuteInner(inner, new Scope(inner.Scope)));
        var scope = new Scope(context.Scope);
        scope.Set(CapturedName, text);
        Scope outer = context.Scope;
        context.Scope = scope;
        DataValue result = value.Evaluate(context);
        context.Scope = outer;
        context.Line = Line;
        if (target is null)
            context.Write(context.ToText(result));
        else
            target.Assign(context, result);
        return Flow.Next;
    }
}

/// <summary><c>{% with a = 1, b = 2 %}</c>.</summary>
internal sealed class WithStatement(int line, List<(Target Target, Expression Value)> assignments, Block body) : Statement(line)
{
    public override Flow Execute(RenderContext context)
    {
        Scope outer = context.Scope;
        var inner = new Scope(outer);
        foreach ((Target target, Expression value) in assignments)
        {
            DataValue result = value.Evaluate(context);
            context.Scope = inner;
            target.Assign(context, result);
            context.Scope = outer;
        }

        return body.ExecuteInner(context, inner);
    }
}

/// <summary><c>{% generation %}</c>: marks what the model itself produces.</summary>
internal sealed class GenerationStatement(int line, Block body) : Statement(line)
{
    public override Flow Execute(RenderContext context)
    {
        TextOrigin outer = context.Mark;
        context.Mark = TextOrigin.Generated;
        Flow flow = body.ExecuteInner(context, new Scope(context.Scope));
        context.Mark = outer;
        return flow;
    }
}

/// <summary>What a macro takes beyond its parameters, which is what its body mentions.</summary>
[Flags]
internal enum MacroExtras
{
    None = 0,
    Varargs = 1,
    Kwargs = 2,
    Caller = 4,
}

/// <summary>A macro: parameters, defaults, and a body that sees the variables around its definition.</summary>
internal sealed class Macro(int line, string name, List<string> parameters, List<Expression> defaults, Block body, MacroExtras extras)
{
    // A call does the work of several loop iterations: a scope, arguments, a string.
    private const int CallCost = 5;

    public CallableValue Bind(Scope scope) => new(name, (context, arguments) => Invoke(context, scope, arguments));

    private StringValue Invoke(RenderContext context, Scope definedIn, CallArguments arguments)
    {
        context.Enter();
        context.CountIterations(CallCost); // calls can fan out without a loop
        if (arguments.Positional.Count > parameters.Count && !extras.HasFlag(MacroExtras.Varargs))
            throw new TemplateFault($"macro '{name}' takes at most {parameters.Count} argument(s) but got {arguments.Positional.Count}");
        var scope = new Scope(definedIn);
        var given = new HashSet<string>();
        for (int i = 0; i < parameters.Count && i < arguments.Positional.Count; i++)
        {
            scope.Set(parameters[i], arguments.Positional[i]);
            given.Add(parameters[i]);
        }

        var extra = new DataObject();
        scope.Set("caller", new UndefinedValue($"macro '{name}' was not called with a call block"));
        foreach ((string key, DataValue value) in arguments.Named)
        {
            if (key == "caller" && extras.HasFlag(MacroExtras.Caller))
                scope.Set(key, value);
            else if (!parameters.Contains(key))
                extra[key] = extras.HasFlag(MacroExtras.Kwargs) ? value : throw new TemplateFault($"macro '{name}' has no argument '{key}'");
            else if (!given.Add(key))
                throw new TemplateFault($"macro '{name}' got more than one value for '{key}'");
            else
                scope.Set(key, value);
        }

        scope.Set("varargs", new DataArray(arguments.Positional[Math.Min(parameters.Count, arguments.Positional.Count)..], SequenceKind.Tuple));
        scope.Set("kwargs", extra);
        Scope outer = context.Scope;
        context.Scope = scope;
        SetDefaults(context, scope, given);
        StringValue text = context.Capture(inner => body.Execute(inner));
        context.Scope = outer;
        context.Leave();
        return text;
    }

    private void SetDefaults(RenderContext context, Scope scope, HashSet<string> given)
    {
        int required = parameters.Count - defaults.Count;
        for (int i = 0; i < parameters.Count; i++)
        {
            if (given.Contains(parameters[i]))
                continue;
            context.Line = line;
            scope.Set(parameters[i], i < required
                ? new UndefinedValue($"parameter '{parameters[i]}' of macro '{name}' was not provided")
                : defaults[i - required].Evaluate(context));
        }
    }
}

/// <summary><c>{% macro name(parameters) %}</c>.</summary>
internal sealed class MacroStatement(int line, string name, Macro macro) : Statement(line)
{
    public override Flow Execute(RenderContext context)
    {
        context.Scope.Set(name, macro.Bind(context.Scope));
        return Flow.Next;
    }
}

/// <summary><c>{% call macro(arguments) %}...{% endcall %}</c>: the body is what the macro's <c>caller()</c> gives.</summary>
internal sealed class CallStatement(int line, Expression callee, ArgumentList arguments, Macro caller) : Statement(line)
{
    public override Flow Execute(RenderContext context)
    {
        DataValue function = callee.Evaluate(context);
        CallArguments values = arguments.Evaluate(context);
        context.Line = Line;
        Operators.FailIfUndefined(function);
        if (function is not CallableValue callable)
            throw new TemplateFault($"'{function.TypeName}' cannot be called");
        List<KeyValuePair<string, DataValue>> named = [.. values.Named, new("caller", caller.Bind(context.Scope))];
        context.Write(context.ToText(callable.Call(context, new CallArguments(values.Positional, named))));
        return Flow.Next;
    }
}
