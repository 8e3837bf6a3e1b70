namespace Glimmer.Chat.Jinja;

internal enum TokenKind
{
    Text,
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End,
}

/// <summary>A token of a template. <paramref name="Text"/> is the decoded text of a string, the spelling of anything else.</summary>
internal readonly record struct Token(TokenKind Kind, string Text, int Line)
{
    public bool IsOperator(string text) => Kind == TokenKind.Operator && Text == text;

    public bool IsName(string text) => Kind == TokenKind.Name && Text == text;

    /// <summary>How the token reads in an error message.</summary>
    public string Describe() => Kind switch
    {
        TokenKind.End => "the end of the template",
        TokenKind.Text => "text",
        TokenKind.VariableEnd => "'}}'",
        TokenKind.BlockEnd => "'%}'",
        TokenKind.VariableBegin => "'{{'",
        TokenKind.BlockBegin => "'{%'",
        TokenKind.String => $"the string '{Text}'",
        _ => $"'{Text}'",
    };
}

/// <summary>The tokens of a template with one place in them.</summary>
internal sealed class TokenStream(List<Token> tokens, int maxDepth)
{
    private int _index;
    private int _depth;

    public Token Current => tokens[_index];

    public Token Next => tokens[Math.Min(_index + 1, tokens.Count - 1)];

    public int Line => Current.Line;

    public Token Take() => tokens[_index < tokens.Count - 1 ? _index++ : _index];

    public bool TryTakeOperator(string text)
    {
        if (!Current.IsOperator(text))
            return false;
        Take();
        return true;
    }

    public bool TryTakeName(string text)
    {
        if (!Current.IsName(text))
            return false;
        Take();
        return true;
    }

    public void ExpectOperator(string text)
    {
        if (!TryTakeOperator(text))
            throw Unexpected($"'{text}'");
    }

    public void Expect(TokenKind kind, string expected)
    {
        if (Current.Kind != kind)
            throw Unexpected(expected);
        Take();
    }

    public string TakeName(string expected) => Current.Kind == TokenKind.Name ? Take().Text : throw Unexpected(expected);

    /// <summary>Notes one more level of nesting; the caller leaves it again.</summary>
    public void Enter()
    {
        if (++_depth > maxDepth)
            throw Error($"nested deeper than {maxDepth} levels");
    }

    public void Leave() => _depth--;

    public JinjaException Unexpected(string expected) => Error($"found {Current.Describe()} where {expected} was expected");

    public JinjaException Error(string message) => new(Line, message);
}
