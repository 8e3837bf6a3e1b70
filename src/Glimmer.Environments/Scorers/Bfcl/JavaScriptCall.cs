namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>Reads one JavaScript call with named arguments, as models write it for BFCL: <c>object.method(name=value, ...)</c>.</summary>
/// <remarks>
/// Values stay source text; those in single or double quotes lose them. Positional arguments are dropped, except names, whose key is None. An argument must be a balanced sequence of
/// operands and operators; what stands inside functions and nested brackets is not checked further.
/// </remarks>
internal sealed class JavaScriptCall
{
    private static readonly HashSet<string> s_prefixes = ["new", "typeof", "void", "delete", "await", "async"];
    private static readonly HashSet<string> s_wordOperators = ["in", "instanceof", "of"];

    private readonly string _text;
    private readonly List<CurlyToken> _tokens;
    private int _at;

    private JavaScriptCall(string text) => (_text, _tokens) = (text, CurlyLexer.Read(text, isJava: false));

    /// <summary>Reads a call.</summary>
    /// <exception cref="FormatException">The text is something else.</exception>
    public static BfclCall Read(string text) => new JavaScriptCall(text).Read();

    private CurlyToken Peek => _tokens[_at];

    private FormatException Unexpected() => new(Peek.Kind == CurlyTokenKind.End ? "the JavaScript call is not complete" : $"unexpected '{Peek.Text}' at character {Peek.Start} of a JavaScript call");

    private BfclCall Read()
    {
        int open = LastCall();
        string function = _text[_tokens[0].Start.._tokens[open - 1].End];
        _at = open + 1;
        var arguments = new List<KeyValuePair<PythonValue, PythonValue>>();
        while (!Peek.Is(")"))
        {
            Argument(arguments);
            if (Peek.Is(","))
                _at++;
            else if (!Peek.Is(")"))
                throw Unexpected();
        }

        return new BfclCall(function, PythonValue.Dict(arguments));
    }

    /// <summary>The bracket that opens the arguments of the last call; the whole statement must be that call.</summary>
    private int LastCall()
    {
        if (Peek.Kind != CurlyTokenKind.Name)
            throw Unexpected();
        int open = -1;
        _at = 1;
        while (true)
        {
            if (Peek.Is("(") || Peek.Is("["))
            {
                open = Peek.Is("(") ? _at : open;
                bool isCall = Peek.Is("(");
                SkipBrackets();
                if (!isCall)
                    open = -1;
            }
            else if ((Peek.Is(".") || Peek.Is("?.")) && _tokens[_at + 1].Kind == CurlyTokenKind.Name)
            {
                _at += 2;
                open = -1;
            }
            else
            {
                bool isEnd = Peek.Kind == CurlyTokenKind.End || (Peek.Is(";") && _tokens[_at + 1].Kind == CurlyTokenKind.End);
                return isEnd && open >= 0 ? open : throw Unexpected();
            }
        }
    }

    private void Argument(List<KeyValuePair<PythonValue, PythonValue>> arguments)
    {
        int start = _at;
        if (Peek.Kind == CurlyTokenKind.Name && _tokens[_at + 1].Is("="))
        {
            _at += 2;
            int valueStart = Peek.Start;
            Expression();
            string value = _text[valueStart.._tokens[_at - 1].End];
            bool isQuoted = (value.StartsWith('"') && value.EndsWith('"')) || (value.StartsWith('\'') && value.EndsWith('\''));
            Add(PythonValue.Of(_tokens[start].Text), isQuoted ? value[1..^1] : value);
            return;
        }

        Expression();
        if (_at == start + 1 && _tokens[start].Kind == CurlyTokenKind.Name && _tokens[start].Text is not ("false" or "null" or "undefined" or "this"))
            Add(PythonValue.None, _tokens[start].Text);

        void Add(PythonValue key, string value)
        {
            if (arguments.Exists(item => item.Key.Equals(key)))
                throw new FormatException("two arguments have the same name");
            arguments.Add(KeyValuePair.Create(key, PythonValue.Of(value)));
        }
    }

    /// <summary>Reads over one expression: up to a comma or closing bracket of the level it began on.</summary>
    private void Expression()
    {
        bool needsOperand = true;
        while (true)
        {
            CurlyToken token = Peek;
            if (token.Kind == CurlyTokenKind.End || token.Is(",") || token.Is(")") || token.Is("]") || token.Is("}") || token.Is(";"))
            {
                if (needsOperand)
                    throw Unexpected();
                return;
            }

            if (needsOperand)
            {
                if (token.Is("function") || token.Is("class"))
                {
                    while (!Peek.Is("{") && Peek.Kind != CurlyTokenKind.End)
                        Skip();
                    SkipBrackets();
                    needsOperand = false;
                }
                else if (token.Is("(") || token.Is("[") || token.Is("{"))
                {
                    SkipBrackets();
                    needsOperand = false;
                }
                else if (token.Kind == CurlyTokenKind.Operator)
                {
                    if (token.Text is not ("+" or "-" or "!" or "~" or "++" or "--" or "..."))
                        throw Unexpected();
                    _at++;
                }
                else
                {
                    needsOperand = s_prefixes.Contains(token.Text) && token.Kind == CurlyTokenKind.Name;
                    _at++;
                }
            }
            else if (token.Is("(") || token.Is("["))
                SkipBrackets();
            else if (token.Is("++") || token.Is("--") || token.Kind == CurlyTokenKind.Template)
                _at++;
            else if (token.Kind == CurlyTokenKind.Operator || s_wordOperators.Contains(token.Text))
            {
                needsOperand = true;
                _at++;
            }
            else
                throw Unexpected();
        }
    }

    private void Skip()
    {
        if (Peek.Is("("))
            SkipBrackets();
        else
            _at++;
    }

    private void SkipBrackets()
    {
        var open = new Stack<string>();
        do
        {
            CurlyToken token = Peek;
            if (token.Kind == CurlyTokenKind.End)
                throw Unexpected();
            if (token.Kind == CurlyTokenKind.Operator && token.Text is "(" or "[" or "{")
                open.Push(token.Text == "(" ? ")" : token.Text == "[" ? "]" : "}");
            else if (token.Kind == CurlyTokenKind.Operator && token.Text is ")" or "]" or "}" && (open.Count == 0 || open.Pop() != token.Text))
                throw Unexpected();
            _at++;
        }
        while (open.Count > 0);
    }
}
