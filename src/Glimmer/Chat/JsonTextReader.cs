using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace Glimmer.Chat;

/// <summary>Strict JSON (RFC 8259) from UTF-16 text to <see cref="DataValue"/>: lone surrogates pass, a repeated key keeps its last value.</summary>
/// <remarks>Stops at the first error, without looking at the rest of the text: a parser that tries many texts relies on that.</remarks>
internal ref struct JsonTextReader(ReadOnlySpan<char> text)
{
    /// <summary>Levels of arrays and objects accepted.</summary>
    public const int MaxDepth = 512;

    private static readonly SearchValues<char> s_stringEnd = SearchValues.Create([.. Enumerable.Range(0, 32).Select(i => (char)i), '"', '\\']);

    private readonly ReadOnlySpan<char> _text = text;
    private int _depth;

    /// <summary>Offset reached, which is where an error was found.</summary>
    public int Position { get; private set; }

    /// <summary>Reads one value and nothing but white space around it.</summary>
    public bool TryReadDocument([NotNullWhen(true)] out DataValue? value)
    {
        if (!TryReadValue(out value))
            return false;
        SkipSpace();
        if (Position == _text.Length)
            return true;
        value = null;
        return false;
    }

    private bool TryReadValue([NotNullWhen(true)] out DataValue? value)
    {
        value = null;
        SkipSpace();
        if (Position == _text.Length)
            return false;
        switch (_text[Position])
        {
            case '{':
                return TryReadObject(out value);
            case '[':
                return TryReadArray(out value);
            case '"':
                if (!TryReadString(out string? text))
                    return false;
                value = new StringValue(text, TextOrigin.Data);
                return true;
            case 't':
                return TryReadWord("true", BooleanValue.True, out value);
            case 'f':
                return TryReadWord("false", BooleanValue.False, out value);
            case 'n':
                return TryReadWord("null", NullValue.Instance, out value);
            default:
                return TryReadNumber(out value);
        }
    }

    private bool TryReadObject([NotNullWhen(true)] out DataValue? value)
    {
        value = null;
        if (++_depth > MaxDepth)
            return false;
        Position++;
        var result = new DataObject();
        SkipSpace();
        if (!TryTake('}'))
        {
            do
            {
                SkipSpace();
                if (!TryReadString(out string? key))
                    return false;
                SkipSpace();
                if (!TryTake(':') || !TryReadValue(out DataValue? item))
                    return false;
                result[key] = item;
                SkipSpace();
            }
            while (TryTake(','));
            if (!TryTake('}'))
                return false;
        }

        _depth--;
        value = result;
        return true;
    }

    private bool TryReadArray([NotNullWhen(true)] out DataValue? value)
    {
        value = null;
        if (++_depth > MaxDepth)
            return false;
        Position++;
        var result = new DataArray();
        SkipSpace();
        if (!TryTake(']'))
        {
            do
            {
                if (!TryReadValue(out DataValue? item))
                    return false;
                result.Add(item);
                SkipSpace();
            }
            while (TryTake(','));
            if (!TryTake(']'))
                return false;
        }

        _depth--;
        value = result;
        return true;
    }

    private bool TryReadString([NotNullWhen(true)] out string? value)
    {
        value = null;
        if (!TryTake('"'))
            return false;
        StringBuilder? builder = null;
        while (true)
        {
            int length = _text[Position..].IndexOfAny(s_stringEnd);
            if (length < 0)
            {
                Position = _text.Length;
                return false;
            }

            ReadOnlySpan<char> plain = _text.Slice(Position, length);
            Position += length;
            if (_text[Position] == '"')
            {
                Position++;
                value = builder is null ? plain.ToString() : builder.Append(plain).ToString();
                return true;
            }

            builder = (builder ?? new StringBuilder()).Append(plain);
            if (_text[Position] != '\\' || !TryReadEscape(builder))
                return false;
        }
    }

    private bool TryReadEscape(StringBuilder builder)
    {
        if (Position + 1 >= _text.Length)
            return false;
        char escaped = _text[Position + 1];
        if (escaped == 'u')
        {
            if (Position + 6 > _text.Length
                || !ushort.TryParse(_text.Slice(Position + 2, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort unit))
                return false;
            builder.Append((char)unit);
            Position += 6;
            return true;
        }

        int index = "\"\\/bfnrt".IndexOf(escaped, StringComparison.Ordinal);
        if (index < 0)
            return false;
        builder.Append("\"\\/\b\f\n\r\t"[index]);
        Position += 2;
        return true;
    }

    private bool TryReadNumber([NotNullWhen(true)] out DataValue? value)
    {
        value = null;
        int start = Position;
        TryTake('-');
        if (!TryTake('0') && !TryTakeDigits())
            return false;
        bool isFloat = false;
        if (TryTake('.'))
        {
            isFloat = true;
            if (!TryTakeDigits())
                return false;
        }

        if (TryTake('e') || TryTake('E'))
        {
            isFloat = true;
            if (!TryTake('+'))
                TryTake('-');
            if (!TryTakeDigits())
                return false;
        }

        ReadOnlySpan<char> lexeme = _text[start..Position];
        value = isFloat ? FloatValue.FromLexeme(lexeme) : IntegerValue.FromDigits(lexeme);
        return true;
    }

    private bool TryTakeDigits()
    {
        int start = Position;
        while (Position < _text.Length && char.IsAsciiDigit(_text[Position]))
            Position++;
        return Position > start;
    }

    private bool TryReadWord(string word, DataValue meaning, [NotNullWhen(true)] out DataValue? value)
    {
        value = null;
        if (!_text[Position..].StartsWith(word, StringComparison.Ordinal))
            return false;
        Position += word.Length;
        value = meaning;
        return true;
    }

    private bool TryTake(char expected)
    {
        if (Position == _text.Length || _text[Position] != expected)
            return false;
        Position++;
        return true;
    }

    private void SkipSpace()
    {
        while (Position < _text.Length && _text[Position] is ' ' or '\t' or '\n' or '\r')
            Position++;
    }
}
