using System.Globalization;
using System.Numerics;

namespace Glimmer.Chat.Jinja;

/// <summary>Reads expressions with Jinja's precedence: if-else, or, and, not, comparisons, + -, ~, * / // %, **, signs, then dots, brackets, calls, filters, tests.</summary>
internal sealed class ExpressionParser(TokenStream tokens)
{
    private static readonly HashSet<string> s_comparisons = ["==", "!=", "<", "<=", ">", ">="];

    /// <summary>The names of a macro's extra arguments that expressions have mentioned since this was last cleared.</summary>
    public MacroExtras Mentioned { get; set; }

    /// <summary>One expression.</summary>
    public Expression Parse(bool withConditional = true)
    {
        tokens.Enter();
        Expression expression = withConditional ? ParseConditional() : ParseOr();
        tokens.Leave();
        return expression;
    }

    /// <summary>One expression, or a tuple where commas follow.</summary>
    public Expression ParseTuple(bool withConditional = true)
    {
        int line = tokens.Line;
        Expression first = Parse(withConditional);
        if (!tokens.Current.IsOperator(","))
            return first;
        List<Expression> items = [first];
        while (tokens.TryTakeOperator(",") && !AtTupleEnd())
            items.Add(Parse(withConditional));
        return new SequenceLiteral(line, items, SequenceKind.Tuple);
    }

    /// <summary>The filters that follow a value.</summary>
    public Expression ParseFilters(Expression value)
    {
        while (tokens.TryTakeOperator("|"))
            value = ParseFilter(value);
        return value;
    }

    public Expression ParseFilter(Expression value)
    {
        int line = tokens.Line;
        string name = ParseDottedName("the name of a filter");
        Filter filter = Filters.Find(name) ?? throw new JinjaException(line, $"there is no filter named '{name}'");
        ArgumentList arguments = tokens.Current.IsOperator("(") ? ParseArguments() : NoArguments;
        return new FilterCall(line, value, filter, arguments);
    }

    public ArgumentList ParseArguments()
    {
        tokens.ExpectOperator("(");
        List<Expression> positional = [];
        List<KeyValuePair<string, Expression>> named = [];
        Expression? spread = null, namedSpread = null;
        while (!tokens.TryTakeOperator(")"))
        {
            if (tokens.TryTakeOperator("**"))
                namedSpread = Parse();
            else if (tokens.TryTakeOperator("*"))
                spread = Parse();
            else if (tokens.Current.Kind == TokenKind.Name && tokens.Next.IsOperator("="))
            {
                string name = tokens.Take().Text;
                tokens.Take();
                named.Add(new(name, Parse()));
            }
            else if (named.Count > 0 || spread is not null || namedSpread is not null)
                throw tokens.Error("a value without a name cannot follow named arguments");
            else
                positional.Add(Parse());
            if (!tokens.Current.IsOperator(")"))
                tokens.ExpectOperator(",");
        }

        return new ArgumentList(positional, named, spread, namedSpread);
    }

    private static ArgumentList NoArguments => new([], [], null, null);

    private bool AtTupleEnd() => tokens.Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd || tokens.Current.IsOperator(")") || tokens.Current.IsOperator("]");

    private Expression ParseConditional()
    {
        int line = tokens.Line;
        Expression value = ParseOr();
        while (tokens.TryTakeName("if"))
        {
            Expression test = ParseOr();
            Expression? otherwise = tokens.TryTakeName("else") ? Parse() : null;
            value = new Conditional(line, test, value, otherwise);
        }

        return value;
    }

    private Expression ParseOr()
    {
        Expression left = ParseAnd();
        while (tokens.Current.IsName("or"))
            left = new Logical(tokens.Take().Line, false, left, ParseAnd());
        return left;
    }

    private Expression ParseAnd()
    {
        Expression left = ParseNot();
        while (tokens.Current.IsName("and"))
            left = new Logical(tokens.Take().Line, true, left, ParseNot());
        return left;
    }

    private Expression ParseNot()
    {
        if (!tokens.Current.IsName("not"))
            return ParseComparison();
        int line = tokens.Take().Line;
        tokens.Enter();
        Expression operand = ParseNot();
        tokens.Leave();
        return new Not(line, operand);
    }

    private Expression ParseComparison()
    {
        int line = tokens.Line;
        Expression first = ParseSum();
        List<(string, Expression)> rest = [];
        while (true)
        {
            if (tokens.Current.Kind == TokenKind.Operator && s_comparisons.Contains(tokens.Current.Text))
                rest.Add((tokens.Take().Text, ParseSum()));
            else if (tokens.TryTakeName("in"))
                rest.Add(("in", ParseSum()));
            else if (tokens.Current.IsName("not") && tokens.Next.IsName("in"))
            {
                tokens.Take();
                tokens.Take();
                rest.Add(("not in", ParseSum()));
            }
            else
                return rest.Count == 0 ? first : new Comparison(line, first, rest);
        }
    }

    private Expression ParseSum()
    {
        Expression left = ParseConcatenation();
        while (tokens.Current.IsOperator("+") || tokens.Current.IsOperator("-"))
        {
            Token symbol = tokens.Take();
            left = new Binary(symbol.Line, symbol.Text, left, ParseConcatenation());
        }

        return left;
    }

    private Expression ParseConcatenation()
    {
        int line = tokens.Line;
        Expression first = ParseProduct();
        if (!tokens.Current.IsOperator("~"))
            return first;
        List<Expression> parts = [first];
        while (tokens.TryTakeOperator("~"))
            parts.Add(ParseProduct());
        return new Concatenation(line, parts);
    }

    private Expression ParseProduct()
    {
        Expression left = ParsePower();
        while (tokens.Current.Kind == TokenKind.Operator && tokens.Current.Text is "*" or "/" or "//" or "%")
        {
            Token symbol = tokens.Take();
            left = new Binary(symbol.Line, symbol.Text, left, ParsePower());
        }

        return left;
    }

    private Expression ParsePower()
    {
        Expression left = ParseUnary(true);
        while (tokens.Current.IsOperator("**"))
            left = new Binary(tokens.Take().Line, "**", left, ParseUnary(true));
        return left;
    }

    private Expression ParseUnary(bool withFilters)
    {
        Expression node;
        if (tokens.Current.IsOperator("-") || tokens.Current.IsOperator("+"))
        {
            Token sign = tokens.Take();
            tokens.Enter();
            node = new Unary(sign.Line, sign.Text == "-", ParseUnary(false));
            tokens.Leave();
        }
        else
            node = ParsePrimary();
        node = ParsePostfix(node);
        return withFilters ? ParseFiltersAndTests(node) : node;
    }

    private Expression ParsePrimary()
    {
        Token token = tokens.Current;
        switch (token.Kind)
        {
            case TokenKind.Name:
                tokens.Take();
                Mentioned |= token.Text switch
                {
                    "varargs" => MacroExtras.Varargs,
                    "kwargs" => MacroExtras.Kwargs,
                    "caller" => MacroExtras.Caller,
                    _ => MacroExtras.None,
                };
                return token.Text switch
                {
                    "true" or "True" => new Literal(token.Line, BooleanValue.True),
                    "false" or "False" => new Literal(token.Line, BooleanValue.False),
                    "none" or "None" => new Literal(token.Line, DataValue.Null),
                    _ => new Name(token.Line, token.Text),
                };
            case TokenKind.String:
                string text = tokens.Take().Text;
                while (tokens.Current.Kind == TokenKind.String)
                    text += tokens.Take().Text;
                return new Literal(token.Line, new StringValue(text, TextOrigin.Template));
            case TokenKind.Integer:
                tokens.Take();
                return new Literal(token.Line, IntegerValue.Of(BigInteger.Parse(token.Text, CultureInfo.InvariantCulture)));
            case TokenKind.Float:
                tokens.Take();
                return new Literal(token.Line, new FloatValue(double.Parse(token.Text, CultureInfo.InvariantCulture)));
            case TokenKind.Operator when token.Text == "(":
                tokens.Take();
                if (tokens.TryTakeOperator(")"))
                    return new SequenceLiteral(token.Line, [], SequenceKind.Tuple);
                Expression inner = ParseTuple();
                tokens.ExpectOperator(")");
                return inner;
            case TokenKind.Operator when token.Text == "[":
                return ParseList();
            case TokenKind.Operator when token.Text == "{":
                return ParseMapping();
            default:
                throw tokens.Unexpected("an expression");
        }
    }

    private SequenceLiteral ParseList()
    {
        int line = tokens.Take().Line;
        List<Expression> items = [];
        while (!tokens.TryTakeOperator("]"))
        {
            items.Add(Parse());
            if (!tokens.Current.IsOperator("]"))
                tokens.ExpectOperator(",");
        }

        return new SequenceLiteral(line, items, SequenceKind.List);
    }

    private MappingLiteral ParseMapping()
    {
        int line = tokens.Take().Line;
        List<(Expression, Expression)> items = [];
        while (!tokens.TryTakeOperator("}"))
        {
            Expression key = Parse();
            tokens.ExpectOperator(":");
            items.Add((key, Parse()));
            if (!tokens.Current.IsOperator("}"))
                tokens.ExpectOperator(",");
        }

        return new MappingLiteral(line, items);
    }

    private Expression ParsePostfix(Expression node)
    {
        while (true)
        {
            if (tokens.Current.IsOperator("."))
            {
                int line = tokens.Take().Line;
                node = tokens.Current.Kind == TokenKind.Integer
                    ? new ItemAccess(line, node, ParsePrimary())
                    : new AttributeAccess(line, node, tokens.TakeName("the name of an attribute"));
            }
            else if (tokens.Current.IsOperator("["))
                node = ParseSubscript(node);
            else if (tokens.Current.IsOperator("("))
                node = new Call(tokens.Line, node, ParseArguments());
            else
                return node;
        }
    }

    private Expression ParseSubscript(Expression target)
    {
        int line = tokens.Take().Line;
        Expression? start = tokens.Current.IsOperator(":") ? null : Parse();
        if (tokens.TryTakeOperator("]"))
            return new ItemAccess(line, target, start!);
        tokens.ExpectOperator(":");
        Expression? stop = tokens.Current.IsOperator(":") || tokens.Current.IsOperator("]") ? null : Parse();
        Expression? step = null;
        if (tokens.TryTakeOperator(":") && !tokens.Current.IsOperator("]"))
            step = Parse();
        tokens.ExpectOperator("]");
        return new SliceAccess(line, target, start, stop, step);
    }

    private Expression ParseFiltersAndTests(Expression node)
    {
        while (true)
        {
            if (tokens.TryTakeOperator("|"))
                node = ParseFilter(node);
            else if (tokens.Current.IsName("is"))
                node = ParseTest(node);
            else if (tokens.Current.IsOperator("("))
                node = new Call(tokens.Line, node, ParseArguments());
            else
                return node;
        }
    }

    private Expression ParseTest(Expression value)
    {
        int line = tokens.Take().Line;
        bool negated = tokens.TryTakeName("not");
        string name = ParseDottedName("the name of a test");
        Test test = Tests.Find(name) ?? throw new JinjaException(line, $"there is no test named '{name}'");
        ArgumentList arguments = NoArguments;
        Token next = tokens.Current;
        if (next.IsOperator("("))
            arguments = ParseArguments();
        else if (next.Kind is TokenKind.String or TokenKind.Integer or TokenKind.Float || next.IsOperator("[") || next.IsOperator("{")
            || (next.Kind == TokenKind.Name && next.Text is not ("else" or "or" or "and" or "if" or "is" or "in" or "not")))
            arguments = new ArgumentList([ParsePostfix(ParsePrimary())], [], null, null);
        Expression result = new TestCall(line, value, test, arguments);
        return negated ? new Not(line, result) : result;
    }

    private string ParseDottedName(string expected)
    {
        string name = tokens.TakeName(expected);
        while (tokens.TryTakeOperator("."))
            name += "." + tokens.TakeName(expected);
        return name;
    }
}
