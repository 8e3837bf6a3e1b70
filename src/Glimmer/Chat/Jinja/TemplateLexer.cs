using System.Globalization;
using System.Text;

namespace Glimmer.Chat.Jinja;

/// <summary>Cuts a template into text, tags and the tokens inside tags, with Jinja's white space control.</summary>
/// <remarks>Follows <c>jinja2.lexer</c>: a tag's minus eats all white space on its side, a plus keeps it, trim_blocks and lstrip_blocks act on blocks and comments only.</remarks>
internal sealed class TemplateLexer
{
    private static readonly string[] s_operators =
        ["//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"];

    private readonly string _source;
    private readonly JinjaOptions _options;
    private readonly List<Token> _tokens = [];
    private int _position;
    private int _line = 1;
    private int _countedTo;

    /// <summary>True when the text starts at the start of a line: first of all, or after a tag that took the newline with it.</summary>
    private bool _lineStarting = true;

    public TemplateLexer(string source, JinjaOptions options)
    {
        // Newlines are normalised and one at the very end is dropped, as in Jinja.
        string text = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        _source = text.EndsWith('\n') ? text[..^1] : text;
        _options = options;
    }

    public List<Token> ReadAll()
    {
        while (true)
        {
            int tag = FindTag(_position);
            if (tag < 0)
            {
                AddText(_source.AsSpan(_position));
                _position = _source.Length;
                break;
            }

            char kind = _source[tag + 1];
            char sign = tag + 2 < _source.Length && _source[tag + 2] is '-' or '+' ? _source[tag + 2] : '\0';
            AddText(StripBefore(_source.AsSpan(_position, tag - _position), sign, kind != '{'));
            _position = tag + (sign == '\0' ? 2 : 3);
            CountLines();
            if (kind == '#')
                SkipComment(tag);
            else if (kind == '%' && TryReadRawBegin())
                ReadRaw(tag);
            else
                ReadTag(kind == '{');
        }

        CountLines();
        _tokens.Add(new Token(TokenKind.End, "", _line));
        return _tokens;
    }

    private int FindTag(int from)
    {
        for (int i = from; (i = _source.IndexOf('{', i)) >= 0 && i + 1 < _source.Length; i++)
        {
            if (_source[i + 1] is '%' or '{' or '#')
                return i;
        }

        return -1;
    }

    private ReadOnlySpan<char> StripBefore(ReadOnlySpan<char> text, char sign, bool isBlock)
    {
        if (sign == '-')
            return PythonText.TrimEnd(text);
        if (sign == '+' || !isBlock || !_options.LstripBlocks)
            return text;
        int lineStart = text.LastIndexOf('\n') + 1;
        return (lineStart > 0 || _lineStarting) && PythonText.IsSpace(text[lineStart..]) ? text[..lineStart] : text;
    }

    private void AddText(ReadOnlySpan<char> text)
    {
        if (text.Length > 0)
            _tokens.Add(new Token(TokenKind.Text, text.ToString(), _line));
    }

    private void CountLines()
    {
        _line += _source.AsSpan(_countedTo, _position - _countedTo).Count('\n');
        _countedTo = _position;
    }

    /// <summary>Goes past the end of a tag at <paramref name="end"/> (its closing two characters) and the white space that belongs to it.</summary>
    private void CloseTag(int end, char sign, bool trimsNewline)
    {
        _position = end + 2;
        if (sign == '-')
        {
            while (_position < _source.Length && PythonText.IsSpace(_source[_position]))
                _position++;
        }
        else if (sign != '+' && trimsNewline && _options.TrimBlocks && _position < _source.Length && _source[_position] == '\n')
            _position++;
        _lineStarting = _source[_position - 1] == '\n';
        CountLines();
    }

    private void SkipComment(int tag)
    {
        int end = _source.IndexOf("#}", _position, StringComparison.Ordinal);
        if (end < 0)
            throw new JinjaException(LineOf(tag), "the comment is never closed; expected '#}'");
        char sign = end > _position ? _source[end - 1] : '\0';
        CloseTag(end, sign is '-' or '+' ? sign : '\0', true);
    }

    private bool TryReadRawBegin()
    {
        int i = SkipSpace(_position);
        if (!_source.AsSpan(i).StartsWith("raw", StringComparison.Ordinal))
            return false;
        i = SkipSpace(i + 3);
        char sign = i < _source.Length && _source[i] == '-' ? '-' : '\0';
        i += sign == '-' ? 1 : 0;
        if (!_source.AsSpan(i).StartsWith("%}", StringComparison.Ordinal))
            return false;
        CloseTag(i, sign, false);
        return true;
    }

    private void ReadRaw(int tag)
    {
        for (int i = _position; (i = _source.IndexOf("{%", i, StringComparison.Ordinal)) >= 0; i += 2)
        {
            char sign = i + 2 < _source.Length && _source[i + 2] is '-' or '+' ? _source[i + 2] : '\0';
            int word = SkipSpace(i + (sign == '\0' ? 2 : 3));
            if (!_source.AsSpan(word).StartsWith("endraw", StringComparison.Ordinal))
                continue;
            int end = SkipSpace(word + 6);
            char endSign = end < _source.Length && _source[end] is '-' or '+' ? _source[end] : '\0';
            end += endSign == '\0' ? 0 : 1;
            if (!_source.AsSpan(end).StartsWith("%}", StringComparison.Ordinal))
                continue;
            AddText(StripBefore(_source.AsSpan(_position, i - _position), sign, true));
            CloseTag(end, endSign, true);
            return;
        }

        throw new JinjaException(LineOf(tag), "the raw block is never closed; expected '{% endraw %}'");
    }

    private int SkipSpace(int i)
    {
        while (i < _source.Length && PythonText.IsSpace(_source[i]))
            i++;
        return i;
    }

    private int LineOf(int position) => 1 + _source.AsSpan(0, position).Count('\n');

    private void ReadTag(bool isVariable)
    {
        _tokens.Add(new Token(isVariable ? TokenKind.VariableBegin : TokenKind.BlockBegin, "", _line));
        string close = isVariable ? "}}" : "%}";
        int begin = _line;
        var brackets = new Stack<char>();
        while (true)
        {
            _position = SkipSpace(_position);
            CountLines();
            if (_position >= _source.Length)
                throw new JinjaException(begin, $"the tag is never closed; expected '{close}'");
            if (brackets.Count == 0)
            {
                char sign = _source[_position] == '-' || (_source[_position] == '+' && !isVariable) ? _source[_position] : '\0';
                int end = _position + (sign == '\0' ? 0 : 1);
                if (_source.AsSpan(end).StartsWith(close, StringComparison.Ordinal))
                {
                    _tokens.Add(new Token(isVariable ? TokenKind.VariableEnd : TokenKind.BlockEnd, "", _line));
                    CloseTag(end, sign, !isVariable);
                    return;
                }
            }

            ReadToken(brackets);
        }
    }

    private void ReadToken(Stack<char> brackets)
    {
        char c = _source[_position];
        if (char.IsAsciiDigit(c))
            ReadNumber();
        else if (c == '_' || char.IsLetter(c))
        {
            int start = _position;
            while (_position < _source.Length && (_source[_position] == '_' || char.IsLetterOrDigit(_source[_position])))
                _position++;
            _tokens.Add(new Token(TokenKind.Name, string.Intern(_source[start.._position]), _line));
        }
        else if (c is '\'' or '"')
            ReadString(c);
        else
        {
            string text = Array.Find(s_operators, o => _source.AsSpan(_position).StartsWith(o, StringComparison.Ordinal))
                ?? throw new JinjaException(_line, $"unexpected character '{c}'");
            if (c is '(' or '[' or '{')
                brackets.Push(c == '(' ? ')' : c == '[' ? ']' : '}');
            else if (c is ')' or ']' or '}' && (!brackets.TryPop(out char expected) || expected != c))
                throw new JinjaException(_line, $"unexpected '{c}'; expected {(expected == '\0' ? "no closing bracket" : $"'{expected}'")}");
            _position += text.Length;
            _tokens.Add(new Token(TokenKind.Operator, text, _line));
        }
    }

    private void ReadNumber()
    {
        int start = _position;
        TakeDigits();

        // After a dot the digits are an index (a.0.b), so they cannot go on with a fraction.
        bool isIndex = start > 0 && _source[start - 1] == '.';
        bool isFloat = false;
        if (!isIndex && _position + 1 < _source.Length && _source[_position] == '.' && char.IsAsciiDigit(_source[_position + 1]))
        {
            _position++;
            TakeDigits();
            isFloat = true;
        }

        if (!isIndex && _position < _source.Length && _source[_position] is 'e' or 'E')
        {
            int digits = _position + 1;
            if (digits < _source.Length && _source[digits] is '+' or '-')
                digits++;
            if (digits < _source.Length && char.IsAsciiDigit(_source[digits]))
            {
                _position = digits;
                TakeDigits();
                isFloat = true;
            }
        }

        string text = _source[start.._position].Replace("_", "", StringComparison.Ordinal);
        _tokens.Add(new Token(isFloat ? TokenKind.Float : TokenKind.Integer, text, _line));
    }

    private void TakeDigits()
    {
        while (_position < _source.Length
            && (char.IsAsciiDigit(_source[_position]) || (_source[_position] == '_' && _position + 1 < _source.Length && char.IsAsciiDigit(_source[_position + 1]))))
            _position++;
    }

    private void ReadString(char quote)
    {
        int line = _line;
        var text = new StringBuilder();
        _position++;
        while (true)
        {
            if (_position >= _source.Length)
                throw new JinjaException(line, $"the string is never closed; expected {quote}");
            char c = _source[_position++];
            if (c == quote)
                break;
            if (c == '\\' && _position < _source.Length)
                ReadEscape(text);
            else
                text.Append(c);
        }

        _tokens.Add(new Token(TokenKind.String, text.ToString(), line));
        CountLines();
    }

    /// <summary>The escapes of a Python string; an unknown one stays as written.</summary>
    private void ReadEscape(StringBuilder text)
    {
        char c = _source[_position++];
        int index = "\n\\'\"abfnrtv".IndexOf(c, StringComparison.Ordinal);
        if (index > 0)
            text.Append("\n\\'\"\a\b\f\n\r\t\v"[index]);
        else if (c is 'x' or 'u' or 'U')
        {
            int length = c == 'x' ? 2 : c == 'u' ? 4 : 8;
            if (_position + length > _source.Length
                || !int.TryParse(_source.AsSpan(_position, length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int codePoint)
                || codePoint is < 0 or > 0x10FFFF)
                throw new JinjaException(_line, $"'\\{c}' must be followed by {length} hexadecimal digits of a code point");
            _position += length;
            if (codePoint < 0x10000)
                text.Append((char)codePoint);
            else
                text.Append(char.ConvertFromUtf32(codePoint));
        }
        else if (c is >= '0' and <= '7')
        {
            int value = c - '0';
            for (int i = 0; i < 2 && _position < _source.Length && _source[_position] is >= '0' and <= '7'; i++)
                value = (value * 8) + _source[_position++] - '0';
            text.Append((char)value);
        }
        else if (index < 0)
            text.Append('\\').Append(c);
    }
}
