namespace Glimmer.Inference.Constraints;

/// <summary>How a character of a language is written.</summary>
internal enum CharacterForm
{
    /// <summary>As its UTF-8 bytes.</summary>
    Raw,

    /// <summary>Inside of a JSON string, written raw where JSON allows it and by an escape where it does not.</summary>
    JsonMinimal,

    /// <summary>Inside of a JSON string, with every escape that means it.</summary>
    JsonAny,
}

/// <summary>Writes languages over characters into a grammar over bytes.</summary>
internal sealed class LanguageLowering(GrammarBuilder grammar, LanguageArena arena)
{
    private static readonly CodePointSet s_ascii = CodePointSet.Of(0, 127);
    private static readonly CodePointSet s_others = CodePointSet.All.Intersect(s_ascii.Complement());
    private static readonly CodePointSet s_mustEscape = CodePointSet.FromRanges([(0, 31), ('"', '"'), ('\\', '\\')]);
    private readonly Dictionary<(CodePointSet Set, CharacterForm Form), int> _characters = [];
    private readonly Dictionary<(int Language, CharacterForm Form), int> _rules = [];

    /// <summary>The rule of a language, made once; -1 when the language is empty.</summary>
    /// <param name="language">The texts.</param>
    /// <param name="form">How their characters are written.</param>
    /// <param name="tokens">Tokens that may stand anywhere in a text and after which it goes on as at its beginning.</param>
    public int Rule(Language language, CharacterForm form, int[]? tokens = null)
    {
        if (_rules.TryGetValue((language.Id, form), out int rule))
            return rule;
        LanguageAutomaton automaton = LanguageAutomaton.Build(arena, language);
        _rules.Add((language.Id, form), rule = automaton.IsEmpty ? -1 : Add(automaton, form, tokens ?? []));
        return rule;
    }

    private int Add(LanguageAutomaton automaton, CharacterForm form, int[] tokens)
    {
        int rule = grammar.NewRule();
        (int start, int end) = grammar.Rules[rule];
        int[] states = [.. automaton.Moves.Select(_ => grammar.NewState())];
        grammar.Empty(start, states[0]);
        for (int s = 0; s < states.Length; s++)
        {
            if (automaton.Accepts[s])
                grammar.Empty(states[s], end);
            if (tokens.Length > 0)
                grammar.Tokens(states[s], tokens, states[0]);
            foreach ((CodePointSet set, int to) in automaton.Moves[s])
                Character(states[s], set, states[to], form);
        }

        return rule;
    }

    /// <summary>Adds one character of a set between two states: ASCII in place, the rest through a rule that all uses of the set share.</summary>
    public void Character(int from, CodePointSet set, int to, CharacterForm form)
    {
        CodePointSet ascii = set.Intersect(s_ascii);
        if (form != CharacterForm.Raw)
            ascii = ascii.Intersect(s_mustEscape.Complement());
        for (int i = 0; i < ascii.RangeCount; i++)
            grammar.Byte(from, ascii.Range(i).Low, ascii.Range(i).High, to);
        bool escapes = form == CharacterForm.JsonAny || (form == CharacterForm.JsonMinimal && !set.Intersect(s_mustEscape).IsEmpty);
        if (!escapes && set.Intersect(s_ascii.Complement()).IsEmpty)
            return;
        if (!_characters.TryGetValue((set, form), out int rule))
        {
            _characters.Add((set, form), rule = grammar.NewRule());
            (int start, int end) = grammar.Rules[rule];
            CodePointSet others = set.Intersect(s_ascii.Complement());
            Utf8(start, others, end);
            if (others.Equals(s_others))
                grammar.TakeOthers.Add(start);
            if (escapes)
                Escapes(start, form == CharacterForm.JsonAny ? set : set.Intersect(s_mustEscape), end, form);
        }

        grammar.Call(from, rule, to);
    }

    private void Utf8(int from, CodePointSet set, int to)
    {
        var inner = new Dictionary<(int, int, int, int), int>();
        for (int i = 0; i < set.RangeCount; i++)
        {
            (int low, int high) = set.Range(i);
            foreach ((int first, int last) in (ReadOnlySpan<(int, int)>)[(0x80, 0x7FF), (0x800, 0xFFFF), (0x10000, 0x10FFFF)])
            {
                if (Math.Max(low, first) <= Math.Min(high, last))
                    Utf8Range(from, Math.Max(low, first), Math.Min(high, last), first == 0x80 ? 1 : first == 0x800 ? 2 : 3, true, to, inner);
            }
        }
    }

    /// <summary>Bytes of the code points low..high, which agree above the last 6 * <paramref name="more"/> bits up to one lead byte range.</summary>
    private void Utf8Range(int from, int low, int high, int more, bool lead, int to, Dictionary<(int, int, int, int), int> inner)
    {
        int shift = 6 * more;
        int mask = (1 << shift) - 1;
        int prefix = lead ? (more == 1 ? 0xC0 : more == 2 ? 0xE0 : 0xF0) : 0x80;
        int bits = lead ? 0x1F : 0x3F;
        if (more == 0)
        {
            grammar.Byte(from, prefix | (low & bits), prefix | (high & bits), to);
            return;
        }

        int lowTop = low >> shift;
        int highTop = high >> shift;
        if (lowTop != highTop && (low & mask) != 0)
        {
            Utf8Range(from, low, (lowTop << shift) | mask, more, lead, to, inner);
            Utf8Range(from, (lowTop + 1) << shift, high, more, lead, to, inner);
            return;
        }

        if (lowTop != highTop && (high & mask) != mask)
        {
            Utf8Range(from, low, (highTop << shift) - 1, more, lead, to, inner);
            Utf8Range(from, highTop << shift, high, more, lead, to, inner);
            return;
        }

        var key = (low & mask, high & mask, more, to);
        bool made = inner.TryGetValue(key, out int next);
        if (!made)
            inner.Add(key, next = grammar.NewState());
        grammar.Byte(from, prefix | (lowTop & bits), prefix | (highTop & bits), next);
        if (!made)
            Utf8Range(next, low & mask, high & mask, more - 1, false, to, inner);
    }

    private void Escapes(int from, CodePointSet set, int to, CharacterForm form)
    {
        int after = grammar.NewState();
        grammar.Byte(from, '\\', '\\', after);
        foreach ((char letter, char meaning) in (ReadOnlySpan<(char, char)>)
                 [('"', '"'), ('\\', '\\'), ('/', '/'), ('b', '\b'), ('f', '\f'), ('n', '\n'), ('r', '\r'), ('t', '\t')])
        {
            if (set.Contains(meaning))
                grammar.Byte(after, letter, letter, to);
        }

        int hex = grammar.NewState();
        grammar.Byte(after, 'u', 'u', hex);
        CodePointSet numeric = form == CharacterForm.JsonAny ? set : set.Intersect(CodePointSet.Of(0, 31));
        var inner = new Dictionary<(int, int, int, int), int>();
        for (int i = 0; i < numeric.RangeCount; i++)
        {
            (int low, int high) = numeric.Range(i);
            if (low <= 0xFFFF)
                Hexadecimal(hex, low, Math.Min(high, 0xFFFF), 3, to, inner);
            if (high > 0xFFFF)
                SurrogatePairs(hex, Math.Max(low, 0x10000) - 0x10000, high - 0x10000, to, inner);
        }
    }

    private void SurrogatePairs(int from, int low, int high, int to, Dictionary<(int, int, int, int), int> inner)
    {
        while (low <= high)
        {
            // One lead with part of its trails, or as many whole leads as there are.
            bool whole = (low & 0x3FF) == 0 && high - low >= 0x3FF;
            int end = whole ? low + (((high - low + 1) >> 10) << 10) - 1 : Math.Min(high, low | 0x3FF);
            int trail = grammar.NewState();
            Hexadecimal(from, 0xD800 + (low >> 10), 0xD800 + (end >> 10), 3, trail, inner);
            int hex = grammar.NewState();
            grammar.Text(trail, "\\u"u8, hex);
            Hexadecimal(hex, 0xDC00 + (low & 0x3FF), 0xDC00 + (end & 0x3FF), 3, to, inner);
            low = end + 1;
        }
    }

    /// <summary>Numbers low..high in <paramref name="more"/> + 1 hexadecimal digits of either case.</summary>
    private void Hexadecimal(int from, int low, int high, int more, int to, Dictionary<(int, int, int, int), int> inner)
    {
        int shift = 4 * more;
        int mask = (1 << shift) - 1;
        int lowTop = low >> shift;
        int highTop = high >> shift;
        if (lowTop != highTop && (low & mask) != 0)
        {
            Hexadecimal(from, low, (lowTop << shift) | mask, more, to, inner);
            Hexadecimal(from, (lowTop + 1) << shift, high, more, to, inner);
            return;
        }

        if (lowTop != highTop && (high & mask) != mask)
        {
            Hexadecimal(from, low, (highTop << shift) - 1, more, to, inner);
            Hexadecimal(from, highTop << shift, high, more, to, inner);
            return;
        }

        int next = to;
        bool made = true;
        if (more > 0)
        {
            var key = (low & mask, high & mask, more, to);
            made = inner.TryGetValue(key, out next);
            if (!made)
                inner.Add(key, next = grammar.NewState());
        }

        for (int digit = lowTop; digit <= highTop; digit++)
        {
            if (digit < 10)
            {
                grammar.Byte(from, '0' + digit, '0' + digit, next);
                continue;
            }

            grammar.Byte(from, 'a' + digit - 10, 'a' + digit - 10, next);
            grammar.Byte(from, 'A' + digit - 10, 'A' + digit - 10, next);
        }

        if (!made)
            Hexadecimal(next, low & mask, high & mask, more - 1, to, inner);
    }
}
