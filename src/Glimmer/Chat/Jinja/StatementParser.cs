namespace Glimmer.Chat.Jinja;

/// <summary>Reads text, outputs and block tags.</summary>
internal sealed class StatementParser
{
    private readonly TokenStream _tokens;
    private readonly ExpressionParser _expressions;
    private int _loops;

    public StatementParser(TokenStream tokens)
    {
        _tokens = tokens;
        _expressions = new ExpressionParser(tokens);
    }

    public Block ParseTemplate()
    {
        Block body = ParseBody();
        return _tokens.Current.Kind == TokenKind.End ? body : throw _tokens.Error($"'{_tokens.Next.Text}' has no block to end or continue here");
    }

    /// <summary>Statements up to the end of the template or to a block tag with one of the names, which stays.</summary>
    private Block ParseBody(params ReadOnlySpan<string> endNames)
    {
        int line = _tokens.Line;
        _tokens.Enter();
        List<Statement> statements = [];
        while (_tokens.Current.Kind != TokenKind.End)
        {
            if (_tokens.Current.Kind == TokenKind.Text)
                statements.Add(new TextStatement(_tokens.Line, _tokens.Take().Text));
            else if (_tokens.Current.Kind == TokenKind.VariableBegin)
                statements.Add(ParseOutput());
            else if (_tokens.Next.Kind == TokenKind.Name && IsEnd(_tokens.Next.Text, endNames))
                break;
            else
                statements.Add(ParseBlock());
        }

        _tokens.Leave();
        return new Block(line, statements);
    }

    private static bool IsEnd(string name, ReadOnlySpan<string> endNames) =>
        endNames.Contains(name) || (endNames.Length == 0 && (name.StartsWith("end", StringComparison.Ordinal) || name is "else" or "elif"));

    private OutputStatement ParseOutput()
    {
        int line = _tokens.Take().Line;
        Expression value = _expressions.ParseTuple();
        _tokens.Expect(TokenKind.VariableEnd, "'}}'");
        return new OutputStatement(line, value);
    }

    private Statement ParseBlock()
    {
        int line = _tokens.Take().Line;
        string name = _tokens.TakeName("the name of a statement");
        switch (name)
        {
            case "if":
                return ParseIf(line);
            case "for":
                return ParseFor(line);
            case "set":
                return ParseSet(line);
            case "macro":
                return ParseMacro(line);
            case "call":
                return ParseCall(line);
            case "filter":
                return ParseFilter(line);
            case "with":
                return ParseWith(line);
            case "generation":
                CloseTag();
                return new GenerationStatement(line, ParseBodyTo("generation", "endgeneration"));
            case "break" or "continue":
                if (_loops == 0)
                    throw new JinjaException(line, $"'{name}' is outside a for loop");
                CloseTag();
                return new LoopControl(line, name == "break" ? Flow.Break : Flow.Continue);
            default:
                throw new JinjaException(line, name is "include" or "import" or "from" or "extends" or "block" or "do" or "autoescape" or "trans"
                    ? $"the statement '{name}' is not supported in chat templates"
                    : name.StartsWith("end", StringComparison.Ordinal) || name is "else" or "elif"
                        ? $"'{name}' does not belong to the innermost block that is open here"
                        : $"unknown statement '{name}'");
        }
    }

    private void CloseTag() => _tokens.Expect(TokenKind.BlockEnd, "'%}'");

    /// <summary>The body and the tag that ends it.</summary>
    private Block ParseBodyTo(string statement, string end)
    {
        int line = _tokens.Line;
        Block body = ParseBody(end);
        TakeEnd(statement, end, line);
        return body;
    }

    private void TakeEnd(string statement, string end, int line)
    {
        if (_tokens.Current.Kind != TokenKind.BlockBegin)
            throw new JinjaException(line, $"the {statement} block is never closed; expected '{{% {end} %}}'");
        _tokens.Take();
        if (_tokens.TakeName($"'{end}'") != end)
            throw _tokens.Unexpected($"'{end}'");
        if (end == "endmacro" && _tokens.Current.Kind == TokenKind.Name)
            _tokens.Take();
        CloseTag();
    }

    private IfStatement ParseIf(int line)
    {
        List<(Expression, Block)> branches = [];
        Block? otherwise = null;
        while (true)
        {
            Expression test = _expressions.ParseTuple(withConditional: false);
            CloseTag();
            branches.Add((test, ParseBody("elif", "else", "endif")));
            if (_tokens.Next.IsName("elif"))
            {
                _tokens.Take();
                _tokens.Take();
                continue;
            }

            if (_tokens.Next.IsName("else"))
            {
                _tokens.Take();
                _tokens.Take();
                CloseTag();
                otherwise = ParseBody("endif");
            }

            TakeEnd("if", "endif", line);
            return new IfStatement(line, branches, otherwise);
        }
    }

    private ForStatement ParseFor(int line)
    {
        Target target = ParseTarget(allowAttribute: false);
        if (!_tokens.TryTakeName("in"))
            throw _tokens.Unexpected("'in'");
        Expression source = _expressions.ParseTuple(withConditional: false);
        Expression? filter = _tokens.TryTakeName("if") ? _expressions.Parse() : null;
        if (_tokens.Current.IsName("recursive"))
            throw _tokens.Error("recursive for loops are not supported; use a macro that calls itself");
        CloseTag();
        _loops++;
        Block body = ParseBody("else", "endfor");
        _loops--;
        Block? otherwise = null;
        if (_tokens.Next.IsName("else"))
        {
            _tokens.Take();
            _tokens.Take();
            CloseTag();
            otherwise = ParseBody("endfor");
        }

        TakeEnd("for", "endfor", line);
        return new ForStatement(line, target, source, filter, body, otherwise);
    }

    private Statement ParseSet(int line)
    {
        Target target = ParseTarget(allowAttribute: true);
        if (_tokens.TryTakeOperator("="))
        {
            Expression value = _expressions.ParseTuple();
            CloseTag();
            return new SetStatement(line, target, value);
        }

        Expression filtered = _expressions.ParseFilters(new Name(line, CaptureStatement.CapturedName));
        CloseTag();
        return new CaptureStatement(line, target, filtered, ParseBodyOutsideLoops("set", "endset"));
    }

    private CaptureStatement ParseFilter(int line)
    {
        Expression filtered = _expressions.ParseFilters(_expressions.ParseFilter(new Name(line, CaptureStatement.CapturedName)));
        CloseTag();
        return new CaptureStatement(line, null, filtered, ParseBodyOutsideLoops("filter", "endfilter"));
    }

    /// <summary>A body whose output is collected: a break inside cannot leave a loop outside.</summary>
    private Block ParseBodyOutsideLoops(string statement, string end)
    {
        int loops = _loops;
        _loops = 0;
        Block body = ParseBodyTo(statement, end);
        _loops = loops;
        return body;
    }

    private Target ParseTarget(bool allowAttribute)
    {
        Target first = ParseOneTarget(allowAttribute);
        if (!_tokens.Current.IsOperator(","))
            return first;
        List<Target> parts = [first];
        while (_tokens.TryTakeOperator(",") && (_tokens.Current.Kind == TokenKind.Name || _tokens.Current.IsOperator("(")) && !_tokens.Current.IsName("in"))
            parts.Add(ParseOneTarget(allowAttribute));
        return new Target(null, null, parts);
    }

    private Target ParseOneTarget(bool allowAttribute)
    {
        if (_tokens.TryTakeOperator("("))
        {
            _tokens.Enter();
            Target inner = ParseTarget(allowAttribute);
            _tokens.Leave();
            _tokens.ExpectOperator(")");
            return inner;
        }

        string name = _tokens.TakeName("a name to assign to");
        if (name is "true" or "false" or "none" or "True" or "False" or "None" || (name == "loop" && !allowAttribute))
            throw _tokens.Error($"cannot assign to '{name}'");
        string? attribute = allowAttribute && _tokens.TryTakeOperator(".") ? _tokens.TakeName("the name of an attribute") : null;
        return new Target(name, attribute, null);
    }

    private WithStatement ParseWith(int line)
    {
        List<(Target, Expression)> assignments = [];
        while (_tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (assignments.Count > 0)
                _tokens.ExpectOperator(",");
            Target target = ParseOneTarget(allowAttribute: false);
            _tokens.ExpectOperator("=");
            assignments.Add((target, _expressions.Parse()));
        }

        CloseTag();
        return new WithStatement(line, assignments, ParseBodyTo("with", "endwith"));
    }

    private MacroStatement ParseMacro(int line)
    {
        string name = _tokens.TakeName("the name of the macro");
        (List<string> parameters, List<Expression> defaults) = ParseParameters();
        CloseTag();
        return new MacroStatement(line, name, ParseMacroBody(line, name, parameters, defaults, "macro", "endmacro"));
    }

    private Macro ParseMacroBody(int line, string name, List<string> parameters, List<Expression> defaults, string statement, string end)
    {
        MacroExtras outer = _expressions.Mentioned;
        _expressions.Mentioned = MacroExtras.None;
        Block body = ParseBodyOutsideLoops(statement, end);
        MacroExtras extras = _expressions.Mentioned;
        _expressions.Mentioned |= outer;
        return new Macro(line, name, parameters, defaults, body, extras);
    }

    private CallStatement ParseCall(int line)
    {
        (List<string> parameters, List<Expression> defaults) = _tokens.Current.IsOperator("(") ? ParseParameters() : ([], []);
        Expression callee = new Name(_tokens.Line, _tokens.TakeName("the macro to call"));
        while (_tokens.TryTakeOperator("."))
            callee = new AttributeAccess(line, callee, _tokens.TakeName("the name of an attribute"));
        ArgumentList arguments = _expressions.ParseArguments();
        CloseTag();
        return new CallStatement(line, callee, arguments, ParseMacroBody(line, "caller", parameters, defaults, "call", "endcall"));
    }

    private (List<string> Parameters, List<Expression> Defaults) ParseParameters()
    {
        List<string> parameters = [];
        List<Expression> defaults = [];
        _tokens.ExpectOperator("(");
        while (!_tokens.TryTakeOperator(")"))
        {
            parameters.Add(_tokens.TakeName("the name of a parameter"));
            if (_tokens.TryTakeOperator("="))
                defaults.Add(_expressions.Parse());
            else if (defaults.Count > 0)
                throw _tokens.Error($"parameter '{parameters[^1]}' needs a default value, because the one before it has one");
            if (!_tokens.Current.IsOperator(")"))
                _tokens.ExpectOperator(",");
        }

        return (parameters, defaults);
    }
}
