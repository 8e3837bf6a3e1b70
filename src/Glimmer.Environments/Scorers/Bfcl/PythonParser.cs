namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>Parses one Python expression: everything of the grammar that a call can hold except f-strings, whose insides stay closed, and assignments.</summary>
internal sealed class PythonParser
{
    private const int MaxDepth = 100;
    private static readonly HashSet<string> s_keywords =
    [
        "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if",
        "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
    ];

    private readonly List<PythonLexeme> _tokens;
    private int _at;
    private int _depth;

    private PythonParser(string text) => _tokens = PythonLexer.Read(text);

    /// <summary>Parses a text.</summary>
    /// <exception cref="FormatException">The text is not one expression.</exception>
    public static PythonNode Parse(string text)
    {
        var parser = new PythonParser(text);
        PythonNode node = parser.TupleOrExpression();
        return parser.Peek.Kind == PythonTokenKind.End ? node : throw parser.Unexpected();
    }

    /// <summary>How tightly a binary operator binds.</summary>
    public static int BindingOf(string symbol) => symbol switch
    {
        "or" => 2,
        "and" => 3,
        "|" => 6,
        "^" => 7,
        "&" => 8,
        "<<" or ">>" => 9,
        "+" or "-" => 10,
        "*" or "/" or "//" or "%" or "@" => 11,
        "**" => 14,
        _ => 5, // comparisons
    };

    private PythonLexeme Peek => _tokens[_at];

    private bool Is(string symbol) => Peek.Kind is PythonTokenKind.Operator or PythonTokenKind.Name && Peek.Text == symbol;

    private bool Take(string symbol)
    {
        if (!Is(symbol))
            return false;
        _at++;
        return true;
    }

    private void Expect(string symbol)
    {
        if (!Take(symbol))
            throw Unexpected();
    }

    private FormatException Unexpected() => new($"unexpected '{Peek.Text}' as token {_at + 1} of {_tokens.Count - 1}");

    private PythonNode TupleOrExpression()
    {
        PythonNode first = StarOrExpression();
        if (!Is(","))
            return first is StarredNode ? throw Unexpected() : first;
        var items = new List<PythonNode> { first };
        while (Take(","))
        {
            if (Peek.Kind == PythonTokenKind.End || Is(")") || Is("]"))
                break;
            items.Add(StarOrExpression());
        }

        return new DisplayNode(DisplayKind.Tuple, items);
    }

    private PythonNode StarOrExpression() => Take("*") ? new StarredNode(Binary(6)) : Expression();

    private PythonNode Expression()
    {
        if (++_depth > MaxDepth)
            throw new FormatException($"the expression nests deeper than {MaxDepth} levels");
        try
        {
            if (Is("lambda"))
                return Lambda();
            PythonNode value = Binary(2);
            if (!Take("if"))
                return value;
            PythonNode condition = Binary(2);
            Expect("else");
            return new ConditionalNode(value, condition, Expression());
        }
        finally
        {
            _depth--;
        }
    }

    private OpaqueNode Lambda()
    {
        _at++;
        while (!Is(":"))
        {
            if (Peek.Kind == PythonTokenKind.Name && !s_keywords.Contains(Peek.Text))
                _at++;
            else if (!Take("*") && !Take("**"))
                throw Unexpected();
            if (Take("="))
                Expression();
            if (!Is(":"))
                Expect(",");
        }

        _at++;
        Expression();
        return new OpaqueNode();
    }

    /// <summary>Operators that bind at least so tightly.</summary>
    private PythonNode Binary(int least)
    {
        PythonNode left = Unary(least);
        while (true)
        {
            string? symbol = BinaryOperator();
            if (symbol is null || symbol == "**" || BindingOf(symbol) < least)
                return left;
            _at += symbol is "not in" or "is not" ? 2 : 1;
            left = new BinaryNode(symbol, left, Binary(BindingOf(symbol) + 1));
        }
    }

    private string? BinaryOperator()
    {
        if (Is("not"))
            return _tokens[_at + 1].Text == "in" ? "not in" : null;
        if (Is("is"))
            return _tokens[_at + 1].Text == "not" ? "is not" : "is";
        bool isOperator = Peek.Kind == PythonTokenKind.Operator
            ? Peek.Text is "+" or "-" or "*" or "/" or "//" or "%" or "@" or "**" or "<<" or ">>" or "&" or "|" or "^" or "<" or ">" or "<=" or ">=" or "==" or "!="
            : Peek.Kind == PythonTokenKind.Name && Peek.Text is "and" or "or" or "in";
        return isOperator ? Peek.Text : null;
    }

    private PythonNode Unary(int least)
    {
        if (++_depth > MaxDepth)
            throw new FormatException($"the expression nests deeper than {MaxDepth} levels");
        try
        {
            if (least <= 4 && Take("not"))
                return new UnaryNode("not", Binary(4));
            foreach (string sign in (ReadOnlySpan<string>)["-", "+", "~"])
            {
                if (Take(sign))
                    return new UnaryNode(sign, Unary(13));
            }

            PythonNode left = Postfix();
            return Take("**") ? new BinaryNode("**", left, Unary(13)) : left;
        }
        finally
        {
            _depth--;
        }
    }

    private PythonNode Postfix()
    {
        PythonNode node = Atom();
        while (true)
        {
            if (Take("."))
            {
                if (Peek.Kind != PythonTokenKind.Name || s_keywords.Contains(Peek.Text))
                    throw Unexpected();
                node = new AttributeNode(node, _tokens[_at++].Text);
            }
            else if (Take("("))
                node = Call(node);
            else if (Take("["))
            {
                node = new SubscriptNode(node, Index());
                Expect("]");
            }
            else
                return node;
        }
    }

    private PythonNode Index()
    {
        PythonNode first = Slice();
        if (!Is(","))
            return first;
        var items = new List<PythonNode> { first };
        while (Take(",") && !Is("]"))
            items.Add(Slice());
        return new DisplayNode(DisplayKind.Tuple, items);
    }

    private PythonNode Slice()
    {
        PythonNode? from = Is(":") ? null : StarOrExpression();
        if (!Take(":"))
            return from!;
        PythonNode? to = Is(":") || Is("]") || Is(",") ? null : Expression();
        PythonNode? step = Take(":") && !Is("]") && !Is(",") ? Expression() : null;
        return new SliceNode(from, to, step);
    }

    private CallNode Call(PythonNode function)
    {
        var positional = new List<PythonNode>();
        var named = new List<(string? Name, PythonNode Value)>();
        while (!Take(")"))
        {
            if (Take("**"))
                named.Add((null, Expression()));
            else if (Peek.Kind == PythonTokenKind.Name && !s_keywords.Contains(Peek.Text) && _tokens[_at + 1] is { Kind: PythonTokenKind.Operator, Text: "=" })
            {
                string name = Peek.Text;
                _at += 2;
                if (named.Exists(item => item.Name == name))
                    throw new FormatException($"the argument '{name}' is given twice");
                named.Add((name, Expression()));
            }
            else
            {
                PythonNode value = StarOrExpression();
                if (Comprehension())
                    value = new OpaqueNode();
                else if (named.Count > 0 && (value is not StarredNode || named.Exists(item => item.Name is null)))
                    throw new FormatException("a positional argument follows a named one");
                positional.Add(value);
            }

            if (!Is(")"))
                Expect(",");
        }

        return new CallNode(function, positional, named);
    }

    /// <summary>Reads over the clauses of a comprehension; false when there are none.</summary>
    private bool Comprehension()
    {
        if (!Is("for") && !(Is("async") && _tokens[_at + 1].Text == "for"))
            return false;
        while (true)
        {
            Take("async");
            if (Take("for"))
            {
                do
                {
                    Take("*");
                    Binary(6);
                }
                while (Take(",") && !Is("in"));
                Expect("in");
                Binary(2);
            }
            else if (Take("if"))
                Binary(2);
            else
                return true;
        }
    }

    private PythonNode Atom()
    {
        PythonLexeme token = Peek;
        switch (token.Kind)
        {
            case PythonTokenKind.Number:
                _at++;
                return new ConstantNode(token.Value!);
            case PythonTokenKind.String or PythonTokenKind.FormattedString:
                return Strings();
            case PythonTokenKind.Name:
                _at++;
                return token.Text switch
                {
                    "True" => new ConstantNode(PythonValue.Of(true)),
                    "False" => new ConstantNode(PythonValue.Of(false)),
                    "None" => new ConstantNode(PythonValue.None),
                    _ => s_keywords.Contains(token.Text) ? throw new FormatException($"unexpected '{token.Text}'") : new NameNode(token.Text),
                };
            case PythonTokenKind.Operator when Take("..."):
                return new EllipsisNode();
            case PythonTokenKind.Operator when Take("["):
                return Display(DisplayKind.List, "]");
            case PythonTokenKind.Operator when Take("{"):
                return DictOrSet();
            case PythonTokenKind.Operator when Take("("):
                return Parenthesised();
            default:
                throw Unexpected();
        }
    }

    // Neighbouring strings are one; bytes join with bytes only.
    private PythonNode Strings()
    {
        bool isFormatted = false, hasBytes = false, hasText = false;
        var text = new System.Text.StringBuilder();
        PythonValue? last = null;
        int count = 0;
        for (; Peek.Kind is PythonTokenKind.String or PythonTokenKind.FormattedString; _at++, count++)
        {
            isFormatted |= Peek.Kind == PythonTokenKind.FormattedString;
            last = Peek.Value;
            hasBytes |= last?.Type == PythonType.Other;
            hasText |= last?.Type != PythonType.Other;
            if (last?.Type == PythonType.String)
                text.Append(last.Text);
        }

        if (hasBytes && hasText)
            throw new FormatException("bytes and strings cannot be joined");
        if (isFormatted)
            return new FormattedStringNode();
        return new ConstantNode(hasBytes ? (count == 1 ? last! : throw new FormatException("joined bytes are not supported")) : PythonValue.Of(text.ToString()));
    }

    private PythonNode Display(DisplayKind kind, string close)
    {
        var items = new List<PythonNode>();
        while (!Take(close))
        {
            items.Add(StarOrExpression());
            if (items.Count == 1 && Comprehension())
            {
                Expect(close);
                return new OpaqueNode();
            }

            if (!Is(close))
                Expect(",");
        }

        return new DisplayNode(kind, items);
    }

    private PythonNode DictOrSet()
    {
        if (Take("}"))
            return new DictNode([]);
        var items = new List<(PythonNode? Key, PythonNode Value)>();
        int start = _at;
        while (!Take("}"))
        {
            if (Take("**"))
                items.Add((null, Binary(6)));
            else
            {
                PythonNode key = StarOrExpression();
                if (items.Count == 0 && !Is(":"))
                {
                    _at = start;
                    return Display(DisplayKind.Set, "}");
                }

                Expect(":");
                items.Add((key, Expression()));
                if (items.Count == 1 && Comprehension())
                {
                    Expect("}");
                    return new OpaqueNode();
                }
            }

            if (!Is("}"))
                Expect(",");
        }

        return new DictNode(items);
    }

    private PythonNode Parenthesised()
    {
        if (Take(")"))
            return new DisplayNode(DisplayKind.Tuple, []);
        PythonNode node = StarOrExpression();
        if (Comprehension())
            node = new OpaqueNode();
        else if (Is(","))
        {
            var items = new List<PythonNode> { node };
            while (Take(",") && !Is(")"))
                items.Add(StarOrExpression());
            node = new DisplayNode(DisplayKind.Tuple, items);
        }
        else if (node is StarredNode)
            throw Unexpected();
        Expect(")");
        return node;
    }
}
