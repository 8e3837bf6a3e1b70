using System.Globalization;
using System.Text;

namespace Glimmer.Inference.Constraints;

/// <summary>
/// Reads written grammars in two notations. EBNF as llama.cpp and xgrammar have it: <c>name ::= expression</c>, strings, character classes, comments after
/// <c>#</c>, start <c>root</c>. Lark: <c>name: expression</c>, strings, <c>/regular expressions/</c>, comments after <c>//</c>, start <c>start</c>. Both have
/// groups, <c>|</c>, <c>* + ?</c> and <c>{m,n}</c>.
/// </summary>
/// <remarks>Terminals are not taken greedily in either notation: a text is accepted when it can be divided in some way.</remarks>
internal sealed class GrammarReader
{
    private const int MaxDepth = 200;
    private const int MaxCount = 10_000;
    private readonly string _text;
    private readonly bool _lark;
    private readonly LanguageArena _languages = new();
    private readonly Dictionary<string, GrammarNode> _rules = new(StringComparer.Ordinal);
    private int _at;
    private int _depth;

    private GrammarReader(string text, bool lark)
    {
        _text = text;
        _lark = lark;
    }

    /// <summary>Reads a grammar of the EBNF notation.</summary>
    public static WrittenGrammar ReadEbnf(string text) => new GrammarReader(text, lark: false).Read("root");

    /// <summary>Reads a grammar of the Lark notation.</summary>
    public static WrittenGrammar ReadLark(string text) => new GrammarReader(text, lark: true).Read("start");

    private WrittenGrammar Read(string start)
    {
        for (Skip(lines: true); _at < _text.Length; Skip(lines: true))
        {
            if (_lark && _text[_at] == '%')
                throw ConstraintException.Unsupported(_text[_at..].Split(' ', '\n')[0], "directives of Lark grammars are not supported");
            if (_lark && _text[_at] is '?' or '!')
                _at++; // says how a tree is built
            string name = Name() ?? throw Error("the name of a rule is expected");
            if (_lark && Take('.'))
                Number(); // a priority decides between readings, not which texts are accepted
            Skip(lines: false);
            if (!Take(_lark ? ":" : "::="))
                throw Error($"'{(_lark ? ":" : "::=")}' is expected after the name '{name}'");
            if (!_rules.TryAdd(name, Choices()))
                throw Error($"the rule '{name}' is defined twice");
            Skip(lines: true);
            if (_at < _text.Length && !AtRule())
                throw Error($"'{_text[_at]}' is unexpected");
        }

        return new WrittenGrammar(start, _rules, _languages);
    }

    private GrammarNode Choices()
    {
        if (++_depth > MaxDepth)
            throw Error($"groups are nested more than {MaxDepth} deep");
        var choices = new List<GrammarNode> { Chain() };
        while (Take('|'))
            choices.Add(Chain());
        _depth--;
        return choices.Count == 1 ? choices[0] : new GrammarNode.Choice(choices);
    }

    private GrammarNode.Chain Chain()
    {
        var items = new List<GrammarNode>();
        for (Skip(lines: true); _at < _text.Length && _text[_at] is not ('|' or ')') && !(_lark && _text[_at] == ']'); Skip(lines: true))
        {
            if (AtRule())
                break;
            if (_lark && Take("->"))
            {
                Skip(lines: false);
                _ = Name() ?? throw Error("a name is expected after '->'");
                continue;
            }

            items.Add(Quantified(Item()));
        }

        return new GrammarNode.Chain(items);
    }

    private GrammarNode Item()
    {
        int line = Line();
        if (Take('('))
        {
            GrammarNode inner = Choices();
            return Take(')') ? inner : throw Error("')' is missing");
        }

        if (_lark && Take('['))
        {
            GrammarNode inner = Choices();
            return Take(']') ? new GrammarNode.Loop(inner, 0, 1) : throw Error("']' is missing");
        }

        if (_text[_at] == '"')
            return Literal();
        if (_lark && _text[_at] == '/')
            return Expression();
        if (!_lark && _text[_at] == '[')
            return Class();
        return Name() is { } name ? new GrammarNode.Reference(name, line) : throw Error($"'{_text[_at]}' is unexpected");
    }

    private GrammarNode Quantified(GrammarNode item)
    {
        for (; ; )
        {
            if (Take('*'))
            {
                item = new GrammarNode.Loop(item, 0, -1);
            }
            else if (Take('+'))
            {
                item = new GrammarNode.Loop(item, 1, -1);
            }
            else if (Take('?'))
            {
                item = new GrammarNode.Loop(item, 0, 1);
            }
            else if (Take('{'))
            {
                item = Counted(item, ",", "}");
            }
            else if (_lark && Take('~'))
            {
                item = Counted(item, "..", "");
            }
            else
            {
                return item;
            }
        }
    }

    private GrammarNode.Loop Counted(GrammarNode item, string separator, string end)
    {
        Skip(lines: false);
        int min = _at < _text.Length && _text[_at] == ',' ? 0 : Number();
        Skip(lines: false);
        int max = min;
        if (Take(separator))
        {
            Skip(lines: false);
            max = _at < _text.Length && char.IsAsciiDigit(_text[_at]) ? Number() : -1;
        }

        Skip(lines: false);
        if (!Take(end))
            throw Error($"'{end}' is missing after a count");
        return max < 0 || max >= min ? new GrammarNode.Loop(item, min, max) : throw Error("the counts of a repetition are out of order");
    }

    private GrammarNode.Terminal Literal()
    {
        _at++;
        var text = new StringBuilder();
        while (!Take('"'))
        {
            if (_at >= _text.Length || _text[_at] == '\n')
                throw Error("a string is not closed");
            char c = _text[_at++];
            if (c == '\\')
                text.Append(Escape());
            else
                text.Append(c);
        }

        string literal = text.ToString();
        if (!_lark || !Take('i'))
            return new GrammarNode.Terminal(_languages.Literal(literal));
        Language language = _languages.Epsilon;
        foreach (Rune rune in literal.EnumerateRunes().Reverse())
        {
            var cases = CodePointSet.FromRanges([.. new[] { Rune.ToLowerInvariant(rune), Rune.ToUpperInvariant(rune), rune }.Select(r => (r.Value, r.Value))]);
            language = _languages.Sequence(_languages.Class(cases), language);
        }

        return new GrammarNode.Terminal(language);
    }

    private string Escape()
    {
        char c = _at < _text.Length ? _text[_at++] : throw Error("a string is not closed");
        switch (c)
        {
            case 'n':
                return "\n";
            case 't':
                return "\t";
            case 'r':
                return "\r";
            case 'b':
                return "\b";
            case 'f':
                return "\f";
            case 'x':
                return CodePoint(2);
            case 'u':
                return CodePoint(4);
            case 'U':
                return CodePoint(8);
            case '"' or '\'' or '\\' or '/' or '[' or ']' or '-' or '^' or '?':
                return c.ToString();
            default:
                throw Error($"unknown escape '\\{c}'");
        }
    }

    private string CodePoint(int digits)
    {
        if (_at + digits > _text.Length || !int.TryParse(_text.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int value))
            throw Error($"an escape needs {digits} hexadecimal digits");
        _at += digits;
        if (value is >= 0xD800 and <= 0xDFFF && digits == 4)
            return ((char)value).ToString();
        return Rune.IsValid(value) ? char.ConvertFromUtf32(value) : throw Error("an escape is not a character");
    }

    private GrammarNode.Terminal Class()
    {
        int start = _at++;
        while (_at < _text.Length && _text[_at] != ']')
            _at += _text[_at] == '\\' ? 2 : 1;
        if (_at >= _text.Length)
            throw Error("a character class is not closed");
        _at++;
        return new GrammarNode.Terminal(RegexLanguage.Whole(_languages, _text[start.._at]));
    }

    private GrammarNode.Terminal Expression()
    {
        int start = ++_at;
        bool inClass = false;
        while (_at < _text.Length && (inClass || _text[_at] != '/'))
        {
            if (_text[_at] == '\n')
                throw Error("a regular expression is not closed");
            if (_text[_at] == '[')
                inClass = true;
            else if (_text[_at] == ']')
                inClass = false;
            _at += _text[_at] == '\\' ? 2 : 1;
        }

        if (_at >= _text.Length)
            throw Error("a regular expression is not closed");
        string pattern = _text[start.._at++];
        if (_at < _text.Length && _text[_at] is 'i' or 'm' or 's' or 'l' or 'u' or 'x')
            throw ConstraintException.Unsupported("/" + _text[_at], "flags of regular expressions in grammars are not supported");
        return new GrammarNode.Terminal(RegexLanguage.Whole(_languages, pattern));
    }

    /// <summary>Whether the next rule starts here.</summary>
    private bool AtRule()
    {
        int back = _at;
        if (_lark && _at < _text.Length && _text[_at] is '?' or '!')
            _at++;
        bool named = (_lark && _at < _text.Length && _text[_at] == '%') || Name() is not null;
        if (named && _lark && Take('.'))
        {
            while (_at < _text.Length && char.IsAsciiDigit(_text[_at]))
                _at++;
        }

        Skip(lines: false);
        bool rule = named && (Take(_lark ? ":" : "::=") || _text[back] == '%');
        _at = back;
        return rule;
    }

    private string? Name()
    {
        int start = _at;
        while (_at < _text.Length && (char.IsAsciiLetterOrDigit(_text[_at]) || _text[_at] == '_' || (!_lark && _at > start && _text[_at] is '-' or '.')))
            _at++;
        if (_at > start && char.IsAsciiDigit(_text[start]))
            _at = start;
        return _at > start ? _text[start.._at] : null;
    }

    private int Number()
    {
        int start = _at;
        while (_at < _text.Length && char.IsAsciiDigit(_text[_at]))
            _at++;
        return _at > start && int.TryParse(_text.AsSpan(start, _at - start), out int value) && value <= MaxCount
            ? value
            : throw Error($"a number of at most {MaxCount} is expected");
    }

    private void Skip(bool lines)
    {
        while (_at < _text.Length)
        {
            char c = _text[_at];
            bool comment = _lark ? c == '/' && _at + 1 < _text.Length && _text[_at + 1] == '/' : c == '#';
            if (comment)
            {
                while (_at < _text.Length && _text[_at] != '\n')
                    _at++;
            }
            else if (c is ' ' or '\t' || (lines && c is '\n' or '\r'))
            {
                _at++;
            }
            else
            {
                return;
            }
        }
    }

    private bool Take(char c) => Take(c.ToString());

    private bool Take(string text)
    {
        if (string.CompareOrdinal(_text, _at, text, 0, text.Length) != 0)
            return false;
        _at += text.Length;
        return true;
    }

    private int Line() => 1 + _text.AsSpan(0, Math.Min(_at, _text.Length)).Count('\n');

    private ConstraintException Error(string what) => new($"Line {Line()} of the grammar: {what}.");
}
