using System.Globalization;
using System.Text;

namespace Glimmer.Inference.Constraints;

/// <summary>Parses regular expressions of ECMAScript 2024 with the <c>u</c> flag (section 22.2.1): escaped letters without meaning and lone braces are errors.</summary>
internal sealed class RegexParser
{
    private const int MaxCount = 100_000;
    private const int MaxDepth = 200;
    private readonly string _pattern;
    private readonly int[] _text; // code points
    private int _at;
    private int _depth;

    private RegexParser(string pattern)
    {
        _pattern = pattern;
        _text = [.. pattern.EnumerateRunes().Select(r => r.Value)];
    }

    /// <summary>Parses a whole expression.</summary>
    /// <exception cref="ConstraintException">It is malformed, or uses look-behind, back references or properties that this library has no data for.</exception>
    public static RegexNode Parse(string pattern)
    {
        var parser = new RegexParser(pattern);
        RegexNode node = parser.Alternatives();
        return parser._at == parser._text.Length ? node : throw parser.Error("unmatched ')'");
    }

    private RegexNode Alternatives()
    {
        if (++_depth > MaxDepth)
            throw Error($"groups are nested more than {MaxDepth} deep");
        var choices = new List<RegexNode> { Chain() };
        while (Take('|'))
            choices.Add(Chain());
        _depth--;
        return choices.Count == 1 ? choices[0] : new RegexNode.Alternatives(choices);
    }

    private RegexNode.Chain Chain()
    {
        var items = new List<RegexNode>();
        while (_at < _text.Length && _text[_at] is not ('|' or ')'))
        {
            RegexNode item = Term(out bool quantifiable);
            items.Add(Quantified(item, quantifiable));
        }

        return new RegexNode.Chain(items);
    }

    private RegexNode Quantified(RegexNode item, bool quantifiable)
    {
        int min, max;
        if (Take('*'))
            (min, max) = (0, -1);
        else if (Take('+'))
            (min, max) = (1, -1);
        else if (Take('?'))
            (min, max) = (0, 1);
        else if (Take('{'))
            (min, max) = Counts();
        else
            return item;
        if (!quantifiable)
            throw Error("a quantifier follows an assertion");
        Take('?');
        return new RegexNode.Loop(item, min, max);
    }

    private (int Min, int Max) Counts()
    {
        int min = Number();
        int max = min;
        if (Take(','))
            max = _at < _text.Length && _text[_at] == '}' ? -1 : Number();
        if (!Take('}'))
            throw Error("'}' is missing after a count");
        if (max >= 0 && max < min)
            throw Error("the counts of a quantifier are out of order");
        return (min, max);
    }

    private int Number()
    {
        int start = _at;
        long value = 0;
        while (_at < _text.Length && _text[_at] is >= '0' and <= '9')
            value = Math.Min((value * 10) + (_text[_at++] - '0'), int.MaxValue);
        if (_at == start)
            throw Error("a number is missing in a count; a literal brace is written '\\{'");
        return value <= MaxCount ? (int)value : throw ConstraintException.Unsupported("{n}", $"counts above {MaxCount} make the automaton too large");
    }

    private RegexNode Term(out bool quantifiable)
    {
        quantifiable = true;
        int c = _text[_at++];
        switch (c)
        {
            case '(':
                return Group(out quantifiable);
            case '[':
                return new RegexNode.Characters(CharacterClass());
            case '.':
                return new RegexNode.Characters(RegexClasses.Dot);
            case '^' or '$':
                quantifiable = false;
                return new RegexNode.Anchor((char)c);
            case '\\':
                if (_at < _text.Length && _text[_at] is 'b' or 'B')
                {
                    quantifiable = false;
                    return new RegexNode.Anchor((char)_text[_at++]);
                }

                return new RegexNode.Characters(Escape(inClass: false));
            case '*' or '+' or '?' or '{' or '}' or ']':
                throw Error($"'{(char)c}' has nothing to apply to; a literal one is written '\\{(char)c}'");
            default:
                return new RegexNode.Characters(CodePointSet.Of(c));
        }
    }

    private RegexNode Group(out bool quantifiable)
    {
        quantifiable = true;
        RegexNode node;
        if (!Take('?'))
        {
            node = Alternatives();
        }
        else if (Take(':'))
        {
            node = Alternatives();
        }
        else if (Take('=') || Take('!'))
        {
            quantifiable = false;
            bool negative = _text[_at - 1] == '!';
            node = new RegexNode.LookAhead(Alternatives(), negative);
        }
        else if (Take('<'))
        {
            if (_at < _text.Length && _text[_at] is '=' or '!')
                throw ConstraintException.Unsupported("(?<=", "look-behind is not supported");
            GroupName();
            node = Alternatives();
        }
        else
        {
            throw Error("invalid group; groups are '(', '(?:', '(?=', '(?!' and '(?<name>'");
        }

        return Take(')') ? node : throw Error("')' is missing");
    }

    private void GroupName()
    {
        int start = _at;
        while (_at < _text.Length && _text[_at] != '>')
        {
            int c = _text[_at++];
            if (!(Rune.IsLetter(new Rune(c)) || c is '_' or '$' || (_at - 1 > start && Rune.IsDigit(new Rune(c)))))
                throw Error("invalid name of a group");
        }

        if (_at == start || !Take('>'))
            throw Error("the name of a group is not closed by '>'");
    }

    private CodePointSet CharacterClass()
    {
        bool negated = Take('^');
        CodePointSet set = CodePointSet.None;
        while (!Take(']'))
        {
            CodePointSet low = ClassAtom();
            if (_at + 1 < _text.Length && _text[_at] == '-' && _text[_at + 1] != ']')
            {
                _at++;
                CodePointSet high = ClassAtom();
                int from = Single(low);
                int to = Single(high);
                if (from > to)
                    throw Error("a range of a character class is out of order");
                set = set.Union(CodePointSet.Of(from, to).Intersect(CodePointSet.All));
            }
            else
            {
                set = set.Union(low);
            }
        }

        return negated ? set.Complement() : set;
    }

    private int Single(CodePointSet set)
    {
        bool one = set.RangeCount == 1 && set.Range(0).Low == set.Range(0).High;
        return one ? set.Range(0).Low : throw Error("a class like \\d cannot be the end of a range");
    }

    private CodePointSet ClassAtom()
    {
        if (_at >= _text.Length)
            throw Error("']' is missing");
        int c = _text[_at++];
        return c == '\\' ? Escape(inClass: true) : CodePointSet.Of(c);
    }

    private CodePointSet Escape(bool inClass)
    {
        if (_at >= _text.Length)
            throw Error("the expression ends in a backslash");
        int c = _text[_at++];
        switch (c)
        {
            case 'd':
                return RegexClasses.Digit;
            case 'D':
                return RegexClasses.Digit.Complement();
            case 'w':
                return RegexClasses.Word;
            case 'W':
                return RegexClasses.Word.Complement();
            case 's':
                return RegexClasses.Space;
            case 'S':
                return RegexClasses.Space.Complement();
            case 'p' or 'P':
                CodePointSet set = Property();
                return c == 'p' ? set : set.Complement();
            case 't':
                return CodePointSet.Of('\t');
            case 'n':
                return CodePointSet.Of('\n');
            case 'v':
                return CodePointSet.Of('\v');
            case 'f':
                return CodePointSet.Of('\f');
            case 'r':
                return CodePointSet.Of('\r');
            case 'b' when inClass:
                return CodePointSet.Of('\b');
            case 'c':
                if (_at < _text.Length && char.IsAsciiLetter((char)_text[_at]))
                    return CodePointSet.Of(_text[_at++] & 31);
                throw Error("'\\c' needs a letter");
            case '0' when _at >= _text.Length || _text[_at] is < '0' or > '9':
                return CodePointSet.Of(0);
            case 'x':
                return CodePointSet.Of(Hexadecimal(2));
            case 'u':
                return CodePointSet.Of(UnicodeEscape()).Intersect(CodePointSet.All);
            case (>= '1' and <= '9') or 'k' when !inClass:
                throw ConstraintException.Unsupported("\\" + (char)c, "back references do not describe a regular language");
            case '-' when inClass:
                return CodePointSet.Of('-');
            case '^' or '$' or '\\' or '.' or '*' or '+' or '?' or '(' or ')' or '[' or ']' or '{' or '}' or '|' or '/':
                return CodePointSet.Of(c);
            case > ' ' and < 127 when char.IsPunctuation((char)c) || char.IsSymbol((char)c):
                // Beyond the u flag, which knows no '\"': many patterns are written for the old syntax.
                return c is '-' or '_' ? throw Error($"unknown escape '\\{(char)c}'") : CodePointSet.Of(c);
            default:
                throw Error($"unknown escape '\\{char.ConvertFromUtf32(c)}'");
        }
    }

    private int UnicodeEscape()
    {
        if (Take('{'))
        {
            int value = 0;
            int start = _at;
            while (_at < _text.Length && _text[_at] != '}')
                value = value > 0x10FFFF ? value : (value * 16) + HexadecimalDigit();
            if (_at == start || value > 0x10FFFF || !Take('}'))
                throw Error("invalid '\\u{...}'");
            return value;
        }

        int unit = Hexadecimal(4);
        if (unit is >= 0xD800 and <= 0xDBFF && _at + 5 < _text.Length && _text[_at] == '\\' && _text[_at + 1] == 'u')
        {
            int back = _at;
            _at += 2;
            int low = _text[_at] == '{' ? 0 : Hexadecimal(4);
            if (low is >= 0xDC00 and <= 0xDFFF)
                return char.ConvertToUtf32((char)unit, (char)low);
            _at = back;
        }

        return unit;
    }

    private int Hexadecimal(int digits)
    {
        int value = 0;
        for (int i = 0; i < digits; i++)
            value = (value * 16) + HexadecimalDigit();
        return value;
    }

    private int HexadecimalDigit()
    {
        int c = _at < _text.Length ? _text[_at++] : -1;
        return c is >= 0 and < 128 && char.IsAsciiHexDigit((char)c)
            ? int.Parse([(char)c], NumberStyles.HexNumber, CultureInfo.InvariantCulture)
            : throw Error("a hexadecimal digit is missing");
    }

    private CodePointSet Property()
    {
        var name = new StringBuilder();
        if (!Take('{'))
            throw Error("'\\p' needs a property in braces");
        while (_at < _text.Length && _text[_at] != '}')
            name.Append(char.ConvertFromUtf32(_text[_at++]));
        if (!Take('}'))
            throw Error("'\\p{' is not closed");
        return RegexClasses.Property(name.ToString());
    }

    private bool Take(char c)
    {
        if (_at >= _text.Length || _text[_at] != c)
            return false;
        _at++;
        return true;
    }

    private ConstraintException Error(string what) => new($"The regular expression '{_pattern}' is malformed at character {_at}: {what}.");
}
