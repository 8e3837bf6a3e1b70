using System.Text;

namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>Reads one Java method call with named arguments, as models write it for BFCL: <c>Object.method(name=value, ...)</c>.</summary>
/// <remarks>
/// Values stay source text as the reference renders its syntax tree: strings and characters lose their quotes, <c>new</c> expressions get one blank and lose a class body, other
/// expressions lose blanks between tokens. Positional literals are dropped. A call of at most ten bytes without a semicolon is refused: there the reference's error recovery gives up.
/// </remarks>
internal sealed class JavaCall
{
    private const int MaxDepth = 100;
    private static readonly string[] s_primitives = ["int", "long", "double", "float", "boolean", "char", "byte", "short"];

    private readonly string _text;
    private readonly List<CurlyToken> _tokens;
    private int _at;
    private int _depth;

    private JavaCall(string text) => (_text, _tokens) = (text, CurlyLexer.Read(text, isJava: true));

    private enum Kind
    {
        String,
        Name,
        Call,
        Other,
    }

    /// <summary>An expression: its rendered text and, for a call, what is called with which arguments.</summary>
    private sealed record Piece(Kind Kind, string Text, string Function = "", IReadOnlyList<(string? Name, Piece Value)>? Arguments = null);

    /// <summary>Reads a call.</summary>
    /// <exception cref="FormatException">The text is something else.</exception>
    public static BfclCall Read(string text)
    {
        var parser = new JavaCall(text);
        Piece piece = parser.Expression();
        bool hasSemicolon = parser.Take(";");
        if (parser.Peek.Kind != CurlyTokenKind.End || piece.Kind != Kind.Call)
            throw parser.Unexpected();
        if (!hasSemicolon && Encoding.UTF8.GetByteCount(text) <= 10)
            throw new FormatException("a Java call of at most ten bytes without a semicolon is not read");
        var arguments = new List<KeyValuePair<PythonValue, PythonValue>>();
        foreach ((string? name, Piece value) in piece.Arguments!)
        {
            if (name is null && value.Kind != Kind.Name)
                continue;
            PythonValue key = name is null ? PythonValue.None : PythonValue.Of(name);
            if (arguments.Exists(item => item.Key.Equals(key)))
                throw new FormatException("two arguments have the same name");
            arguments.Add(KeyValuePair.Create(key, PythonValue.Of(value.Kind == Kind.String ? value.Text[1..^1] : value.Text)));
        }

        return new BfclCall(piece.Function, PythonValue.Dict(arguments));
    }

    private CurlyToken Peek => _tokens[_at];

    private CurlyToken Ahead(int count) => _tokens[Math.Min(_at + count, _tokens.Count - 1)];

    private bool Take(string text)
    {
        if (!Peek.Is(text))
            return false;
        _at++;
        return true;
    }

    private void Expect(string text)
    {
        if (!Take(text))
            throw Unexpected();
    }

    private FormatException Unexpected() => new(Peek.Kind == CurlyTokenKind.End ? "the Java call is not complete" : $"unexpected '{Peek.Text}' at character {Peek.Start} of a Java call");

    private string Name() => Peek.Kind == CurlyTokenKind.Name ? _tokens[_at++].Text : throw Unexpected();

    private Piece Expression()
    {
        if (++_depth > MaxDepth)
            throw new FormatException($"the Java call nests deeper than {MaxDepth} levels");
        Piece value = Lambda() ?? Operators();
        if (Take("?"))
        {
            string yes = Expression().Text;
            Expect(":");
            value = new Piece(Kind.Other, $"{value.Text}?{yes}:{Expression().Text}");
        }

        _depth--;
        return value;
    }

    private Piece? Lambda()
    {
        int start = _at;
        if (Peek.Kind == CurlyTokenKind.Name && Ahead(1).Is("->"))
            _at++;
        else if (!Peek.Is("(") || !SkipParameters())
        {
            _at = start;
            return null;
        }

        string parameters = Joined(start, _at);
        Expect("->");
        int body = _at;
        if (Peek.Is("{"))
        {
            SkipBraces();
            return new Piece(Kind.Other, $"{parameters}->{Joined(body, _at)}");
        }

        return new Piece(Kind.Other, $"{parameters}->{Expression().Text}");
    }

    private bool SkipParameters()
    {
        for (_at++; Peek.Kind == CurlyTokenKind.Name || Peek.Is(",") || Peek.Is("<") || Peek.Is(">"); _at++)
        {
        }

        return Take(")") && Peek.Is("->");
    }

    private Piece Operators()
    {
        Piece left = Unary();
        while (true)
        {
            if (Take("instanceof"))
                left = new Piece(Kind.Other, left.Text + "instanceof" + Type());
            else if (Peek.Kind == CurlyTokenKind.Operator && Peek.Text is "+" or "-" or "*" or "/" or "%" or "&&" or "||" or "&" or "|" or "^" or "==" or "!=" or "<" or ">" or "<=" or ">=" or "<<")
            {
                string symbol = _tokens[_at++].Text;
                while (symbol[0] == '>' && Peek.Is(">"))
                    symbol += _tokens[_at++].Text;
                left = new Piece(Kind.Other, left.Text + symbol + Unary().Text);
            }
            else
                return left;
        }
    }

    private Piece Unary()
    {
        if (Peek.Kind == CurlyTokenKind.Operator && Peek.Text is "+" or "-" or "!" or "~" or "++" or "--")
            return new Piece(Kind.Other, _tokens[_at++].Text + Unary().Text);
        return Cast() ?? Postfix();
    }

    private Piece? Cast()
    {
        int start = _at;
        if (!Peek.Is("(") || Ahead(1).Kind != CurlyTokenKind.Name)
            return null;
        _at++;
        bool isPrimitive = s_primitives.Contains(Peek.Text);
        string type;
        try
        {
            type = Type();
        }
        catch (FormatException)
        {
            _at = start;
            return null;
        }

        if (Take(")") && (isPrimitive || Peek.Kind is CurlyTokenKind.Name or CurlyTokenKind.Number or CurlyTokenKind.String or CurlyTokenKind.Character || Peek.Is("(") || Peek.Is("!")))
            return new Piece(Kind.Other, $"({type}){Unary().Text}");
        _at = start;
        return null;
    }

    private Piece Postfix()
    {
        int start = Peek.Start;
        Piece piece = Primary();
        while (true)
        {
            int objectEnd = _tokens[_at - 1].End;
            if (Take("."))
            {
                if (Peek.Is("class"))
                {
                    _at++;
                    piece = new Piece(Kind.Name, _text[start.._tokens[_at - 1].End]);
                    continue;
                }

                string name = Name();
                piece = Peek.Is("(") ? Call(start, $"{_text[start..objectEnd]}.{name}") : new Piece(Kind.Other, $"{piece.Text}.{name}");
            }
            else if (Take("["))
            {
                piece = new Piece(Kind.Other, $"{piece.Text}[{Expression().Text}]");
                Expect("]");
            }
            else if (Take("::"))
                piece = new Piece(Kind.Other, $"{piece.Text}::{Name()}");
            else if (Peek.Is("++") || Peek.Is("--"))
                piece = new Piece(Kind.Other, piece.Text + _tokens[_at++].Text);
            else
                return piece;
        }
    }

    private Piece Call(int start, string function)
    {
        Expect("(");
        var arguments = new List<(string?, Piece)>();
        while (!Take(")"))
        {
            int argumentStart = Peek.Start;
            Piece value = Expression();
            string? name = null;
            if (Peek.Kind == CurlyTokenKind.Operator && Peek.Text is "=" or "+=" or "-=" or "*=" or "/=")
            {
                name = _text[argumentStart.._tokens[_at - 1].End];
                _at++;
                value = Expression();
            }

            arguments.Add((name, value));
            if (!Peek.Is(")"))
            {
                Expect(",");
                if (Peek.Is(")"))
                    throw Unexpected();
            }
        }

        return new Piece(Kind.Call, _text[start.._tokens[_at - 1].End], function, arguments);
    }

    private Piece Primary()
    {
        CurlyToken token = Peek;
        switch (token.Kind)
        {
            case CurlyTokenKind.String or CurlyTokenKind.Character:
                _at++;
                return new Piece(Kind.String, token.Text);
            case CurlyTokenKind.Number:
                _at++;
                return new Piece(Kind.Other, token.Text);
            case CurlyTokenKind.Name when token.Text == "new":
                _at++;
                return New();
            case CurlyTokenKind.Name when token.Text is "true" or "false" or "null" or "this" or "super":
                _at++;
                return new Piece(Kind.Other, token.Text);
            case CurlyTokenKind.Name:
                _at++;
                return Peek.Is("(") ? Call(token.Start, token.Text) : new Piece(Kind.Name, token.Text);
            case CurlyTokenKind.Operator when Take("("):
                string inner = Expression().Text;
                Expect(")");
                return new Piece(Kind.Other, $"({inner})");
            case CurlyTokenKind.Operator when token.Is("{"):
                return new Piece(Kind.Other, ArrayValue());
            default:
                throw Unexpected();
        }
    }

    private Piece New()
    {
        string type = Type(allowArray: false);
        if (Peek.Is("["))
        {
            while (Take("["))
                Expect("]");
            return new Piece(Kind.Other, $"new {type}[]{ArrayValue()}");
        }

        Piece call = Call(Peek.Start, "");
        if (Peek.Is("{"))
            SkipBraces();
        return new Piece(Kind.Other, $"new {type}({string.Join(", ", call.Arguments!.Select(item => item.Name is null ? item.Value.Text : $"{item.Name}={item.Value.Text}"))})");
    }

    private string ArrayValue()
    {
        Expect("{");
        var text = new StringBuilder("{");
        while (!Take("}"))
        {
            text.Append(Expression().Text);
            if (Take(","))
                text.Append(',');
            else if (!Peek.Is("}"))
                throw Unexpected();
        }

        return text.Append('}').ToString();
    }

    private string Type(bool allowArray = true)
    {
        int start = _at;
        Name();
        while (true)
        {
            if (Peek.Is(".") && Ahead(1).Kind == CurlyTokenKind.Name)
                _at += 2;
            else if (Take("<"))
            {
                while (!Take(">"))
                {
                    if (Take("?"))
                    {
                        if (Take("extends") || Take("super"))
                            Type();
                    }
                    else
                        Type();
                    if (!Peek.Is(">"))
                        Expect(",");
                }
            }
            else if (allowArray && Peek.Is("[") && Ahead(1).Is("]"))
                _at += 2;
            else
                return Joined(start, _at);
        }
    }

    private void SkipBraces()
    {
        int open = 0;
        do
        {
            if (Peek.Kind == CurlyTokenKind.End)
                throw Unexpected();
            open += Peek.Is("{") ? 1 : Peek.Is("}") ? -1 : 0;
            _at++;
        }
        while (open > 0);
    }

    private string Joined(int from, int to) => string.Concat(_tokens[from..to].Select(token => token.Text));
}
