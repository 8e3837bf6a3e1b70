namespace Glimmer.Inference.Constraints;

/// <summary>
/// A finished grammar: by state the byte ranges, tokens and calls that lead on, without empty edges, without states or rules that no text completes,
/// and without left recursion.
/// </summary>
internal sealed class Grammar
{
    private readonly State?[] _states;
    private readonly GrammarBuilder _builder;
    private readonly bool[] _live;
    private readonly Dictionary<int, int> _ends;

    private Grammar(GrammarBuilder builder, int root, bool[] live)
    {
        _builder = builder;
        _live = live;
        _states = new State?[builder.States.Count];
        _ends = [];
        foreach ((_, int end) in builder.Rules)
            _ends[end] = end;
        Start = builder.Rules[root].Start;
        IsEmpty = !live[Start];
    }

    /// <summary>The first state of the root rule.</summary>
    public int Start { get; }

    /// <summary>Whether no text at all satisfies the grammar.</summary>
    public bool IsEmpty { get; }

    /// <summary>Sets of token ids by number.</summary>
    public IReadOnlyList<int[]> TokenSets => _builder.TokenSets;

    public static Grammar Build(GrammarBuilder builder, int root)
    {
        LeftRecursion.Remove(builder);
        return new Grammar(builder, root, Live(builder));
    }

    /// <summary>The moves of a state, its empty edges taken.</summary>
    public State this[int state] => _states[state] ??= Expand(state);

    private State Expand(int state)
    {
        var bytes = new List<(byte, byte, int)>();
        var tokens = new List<(int, int)>();
        var calls = new List<(int, int)>();
        var seen = new HashSet<int>();
        var work = new Stack<int>([state]);
        bool ends = false;
        while (work.TryPop(out int s))
        {
            if (!_live[s] || !seen.Add(s))
                continue;
            ends |= _ends.ContainsKey(s);
            GrammarBuilder.StateEdges edges = _builder.States[s];
            bytes.AddRange(edges.Bytes.Where(e => _live[e.To]));
            tokens.AddRange(edges.Tokens.Where(e => _live[e.To]));
            foreach ((int rule, int to) in edges.Calls)
            {
                if (_live[to] && _live[_builder.Rules[rule].Start])
                    calls.Add((_builder.Rules[rule].Start, to));
            }

            foreach (int to in edges.Empty)
                work.Push(to);
        }

        return new State([.. bytes.Distinct()], [.. tokens.Distinct()], [.. calls.Distinct()], ends);
    }

    /// <summary>The states from which the end of their rule can be reached by some text.</summary>
    private static bool[] Live(GrammarBuilder builder)
    {
        int n = builder.States.Count;
        var live = new bool[n];
        var before = new List<int>?[n]; // states with an unconditional edge to this one
        var waiting = new Dictionary<int, List<(int From, int To)>>(); // by rule start: calls that wait for it
        var callsInto = new Dictionary<int, List<(int From, int Start)>>();
        for (int s = 0; s < n; s++)
        {
            GrammarBuilder.StateEdges edges = builder.States[s];
            foreach (int to in edges.Bytes.Select(e => e.To).Concat(edges.Tokens.Select(e => e.To)).Concat(edges.Empty))
                (before[to] ??= []).Add(s);
            foreach ((int rule, int to) in edges.Calls)
            {
                int start = builder.Rules[rule].Start;
                if (!waiting.TryGetValue(start, out List<(int, int)>? list))
                    waiting.Add(start, list = []);
                list.Add((s, to));
                if (!callsInto.TryGetValue(to, out List<(int, int)>? into))
                    callsInto.Add(to, into = []);
                into.Add((s, start));
            }
        }

        var work = new Stack<int>(builder.Rules.Select(r => r.End));
        while (work.TryPop(out int s))
        {
            if (live[s])
                continue;
            live[s] = true;
            foreach (int from in before[s] ?? [])
                work.Push(from);
            if (waiting.TryGetValue(s, out List<(int From, int To)>? calls))
            {
                foreach ((int from, int to) in calls)
                {
                    if (live[to])
                        work.Push(from);
                }
            }

            if (callsInto.TryGetValue(s, out List<(int From, int Start)>? sources))
            {
                foreach ((int from, int start) in sources)
                {
                    if (live[start])
                        work.Push(from);
                }
            }
        }

        return live;
    }

    /// <summary>Moves of a state. Calls hold the first state of the called rule and the state to return to.</summary>
    internal sealed record State((byte Low, byte High, int To)[] Bytes, (int Set, int To)[] Tokens, (int Start, int Return)[] Calls, bool Ends)
    {
        /// <summary>Whether the rule is over here in any case: a call that returns here need not be remembered.</summary>
        public bool OnlyEnds => Ends && Bytes.Length == 0 && Tokens.Length == 0 && Calls.Length == 0;
    }
}
