namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>The kinds of tokens that Java and JavaScript share.</summary>
internal enum CurlyTokenKind
{
    Name,
    Number,
    String,
    Character,
    Template,
    Operator,
    End,
}

/// <summary>A token and where it stands.</summary>
internal readonly record struct CurlyToken(CurlyTokenKind Kind, string Text, int Start)
{
    /// <summary>Where it ends.</summary>
    public int End => Start + Text.Length;

    /// <summary>Whether it is this operator or name.</summary>
    public bool Is(string text) => Kind is CurlyTokenKind.Operator or CurlyTokenKind.Name && Text == text;
}

/// <summary>Splits source text of Java or JavaScript into tokens.</summary>
internal static class CurlyLexer
{
    private static readonly string[] s_operators =
    [
        ">>>=", "...", ">>>", "<<=", ">>=", "===", "!==", "**=", "&&=", "||=", "??=", "->", "=>", "::", "++", "--", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "**",
        "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<",
    ];

    /// <summary>The tokens, ending with <see cref="CurlyTokenKind.End"/>.</summary>
    /// <param name="text">Source text.</param>
    /// <param name="isJava">Single quotes hold one character, and there are no templates.</param>
    /// <exception cref="FormatException">A string does not end, or a character begins no token.</exception>
    public static List<CurlyToken> Read(string text, bool isJava)
    {
        var tokens = new List<CurlyToken>();
        int at = 0;
        while (true)
        {
            while (at < text.Length && char.IsWhiteSpace(text[at]))
                at++;
            if (at == text.Length)
                break;
            int start = at;
            char c = text[at];
            CurlyTokenKind kind;
            if (c is '"' or '\'' || (c == '`' && !isJava))
            {
                at = EndOfString(text, at, isJava);
                kind = c == '`' ? CurlyTokenKind.Template : isJava && c == '\'' ? CurlyTokenKind.Character : CurlyTokenKind.String;
            }
            else if (char.IsAsciiDigit(c) || (c == '.' && at + 1 < text.Length && char.IsAsciiDigit(text[at + 1])))
            {
                while (at < text.Length && (char.IsLetterOrDigit(text[at]) || text[at] is '_' or '.' || (text[at] is '+' or '-' && text[at - 1] is 'e' or 'E' && !text.AsSpan(start).StartsWith("0x"))))
                    at++;
                kind = CurlyTokenKind.Number;
            }
            else if (char.IsLetter(c) || c is '_' or '$')
            {
                while (at < text.Length && (char.IsLetterOrDigit(text[at]) || text[at] is '_' or '$'))
                    at++;
                kind = CurlyTokenKind.Name;
            }
            else
            {
                string? symbol = s_operators.FirstOrDefault(item => text.AsSpan(start).StartsWith(item));
                if (symbol is null && !"+-*/%&|^~!<>=?:;,.()[]{}@".Contains(c, StringComparison.Ordinal))
                    throw new FormatException($"unexpected '{c}' at character {at}");
                at += symbol?.Length ?? 1;
                kind = CurlyTokenKind.Operator;
            }

            tokens.Add(new CurlyToken(kind, text[start..at], start));
        }

        tokens.Add(new CurlyToken(CurlyTokenKind.End, "", text.Length));
        return tokens;
    }

    private static int EndOfString(string text, int start, bool isJava)
    {
        char mark = text[start];
        for (int at = start + 1; at < text.Length; at++)
        {
            if (text[at] == '\\')
                at++;
            else if (text[at] == mark)
                return isJava && mark == '\'' && at == start + 1 ? throw new FormatException($"the character at {start} is empty") : at + 1;
            else if (text[at] == '\n' && mark != '`')
                break;
        }

        throw new FormatException($"the string at character {start} does not end");
    }
}
