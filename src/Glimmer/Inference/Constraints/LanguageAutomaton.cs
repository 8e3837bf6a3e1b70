namespace Glimmer.Inference.Constraints;

/// <summary>The deterministic automaton of a <see cref="Language"/>, without states that lead nowhere. State 0 is the start when <see cref="IsEmpty"/> is false.</summary>
internal sealed class LanguageAutomaton
{
    private const int MaxStates = 20_000;

    private LanguageAutomaton(bool[] accepts, List<(CodePointSet Set, int To)>[] moves)
    {
        Accepts = accepts;
        Moves = moves;
    }

    /// <summary>Whether the text may end, by state.</summary>
    public bool[] Accepts { get; }

    /// <summary>Moves by state: disjoint sets of characters with their successors.</summary>
    public List<(CodePointSet Set, int To)>[] Moves { get; }

    /// <summary>Whether no text at all is in the language.</summary>
    public bool IsEmpty => Accepts.Length == 0;

    /// <summary>Whether the language has finitely many texts.</summary>
    public bool IsFinite
    {
        get
        {
            var colour = new byte[Moves.Length];
            return Moves.Length == 0 || !HasCycle(0, colour);
        }
    }

    /// <summary>Builds the automaton.</summary>
    /// <exception cref="ConstraintException">It would have more than 20,000 states.</exception>
    public static LanguageAutomaton Build(LanguageArena arena, Language language)
    {
        List<CodePointSet> letters = Letters(language);
        int[] sample = [.. letters.Select(l => l.Range(0).Low)];
        var numbers = new Dictionary<Language, int> { [language] = 0 };
        var states = new List<Language> { language };
        var next = new List<int[]>();
        for (int s = 0; s < states.Count; s++)
        {
            var row = new int[letters.Count];
            for (int c = 0; c < row.Length; c++)
            {
                Language to = arena.Derivative(states[s], sample[c]);
                if (to == arena.Nothing)
                {
                    row[c] = -1;
                    continue;
                }

                if (!numbers.TryGetValue(to, out row[c]))
                {
                    numbers.Add(to, row[c] = states.Count);
                    states.Add(to);
                    if (states.Count > MaxStates)
                        throw ConstraintException.Unsupported("pattern", $"its automaton has more than {MaxStates} states; simplify the expression or its counts");
                }
            }

            next.Add(row);
        }

        return Trim(states, next, letters);
    }

    private static LanguageAutomaton Trim(List<Language> states, List<int[]> next, List<CodePointSet> letters)
    {
        var before = new List<int>[states.Count];
        for (int s = 0; s < states.Count; s++)
            before[s] = [];
        for (int s = 0; s < states.Count; s++)
        {
            foreach (int to in next[s].Distinct())
            {
                if (to >= 0)
                    before[to].Add(s);
            }
        }

        var live = new bool[states.Count];
        var work = new Stack<int>(Enumerable.Range(0, states.Count).Where(s => states[s].Nullable));
        while (work.TryPop(out int s))
        {
            if (live[s])
                continue;
            live[s] = true;
            foreach (int from in before[s])
                work.Push(from);
        }

        if (!live[0])
            return new LanguageAutomaton([], []);
        var number = new int[states.Count];
        int count = 0;
        for (int s = 0; s < states.Count; s++)
            number[s] = live[s] ? count++ : -1;
        var accepts = new bool[count];
        var moves = new List<(CodePointSet, int)>[count];
        for (int s = 0; s < states.Count; s++)
        {
            if (!live[s])
                continue;
            accepts[number[s]] = states[s].Nullable;
            moves[number[s]] =
            [
                .. next[s].Select((to, letter) => (to, letter)).Where(m => m.to >= 0 && live[m.to]).GroupBy(m => m.to)
                    .Select(g => (Merge(g.Select(m => letters[m.letter])), number[g.Key])),
            ];
        }

        return new LanguageAutomaton(accepts, moves);
    }

    private static CodePointSet Merge(IEnumerable<CodePointSet> sets)
    {
        var ranges = new List<(int, int)>();
        foreach (CodePointSet set in sets)
        {
            for (int i = 0; i < set.RangeCount; i++)
                ranges.Add(set.Range(i));
        }

        return CodePointSet.FromRanges(ranges);
    }

    /// <summary>The coarsest partition of all characters that every class of the language respects.</summary>
    private static List<CodePointSet> Letters(Language language)
    {
        var classes = new HashSet<CodePointSet>();
        var seen = new HashSet<Language>();
        var work = new Stack<Language>([language]);
        while (work.TryPop(out Language? term))
        {
            if (!seen.Add(term))
                continue;
            if (term.Set is not null)
                classes.Add(term.Set);
            foreach (char c in term.Table?.Characters ?? "")
                classes.Add(CodePointSet.Of(c));
            foreach (Language part in term.Parts)
                work.Push(part);
        }

        // Between two neighbouring borders all characters belong to the same classes.
        var borders = new SortedSet<int> { 0, 0xD800, 0xE000, 0x110000 };
        foreach (CodePointSet set in classes)
        {
            for (int i = 0; i < set.RangeCount; i++)
            {
                borders.Add(set.Range(i).Low);
                borders.Add(set.Range(i).High + 1);
            }
        }

        CodePointSet[] ordered = [.. classes];
        int[] cursor = new int[ordered.Length];
        var groups = new Dictionary<string, List<(int, int)>>();
        var signature = new char[ordered.Length];
        int low = 0;
        foreach (int border in borders.Skip(1))
        {
            if (low != 0xD800)
            {
                for (int k = 0; k < ordered.Length; k++)
                {
                    while (cursor[k] < ordered[k].RangeCount && ordered[k].Range(cursor[k]).High < low)
                        cursor[k]++;
                    signature[k] = cursor[k] < ordered[k].RangeCount && ordered[k].Range(cursor[k]).Low <= low ? '1' : '0';
                }

                string name = new(signature);
                if (!groups.TryGetValue(name, out List<(int, int)>? ranges))
                    groups.Add(name, ranges = []);
                ranges.Add((low, border - 1));
            }

            low = border;
        }

        return [.. groups.Values.Select(CodePointSet.FromRanges)];
    }

    private bool HasCycle(int start, byte[] colour)
    {
        var path = new Stack<(int State, int Move)>([(start, 0)]);
        colour[start] = 1;
        while (path.TryPop(out (int State, int Move) at))
        {
            if (at.Move == Moves[at.State].Count)
            {
                colour[at.State] = 2;
                continue;
            }

            path.Push((at.State, at.Move + 1));
            int to = Moves[at.State][at.Move].To;
            if (colour[to] == 1)
                return true;
            if (colour[to] == 0)
            {
                colour[to] = 1;
                path.Push((to, 0));
            }
        }

        return false;
    }
}
