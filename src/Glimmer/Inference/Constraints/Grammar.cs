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
    private readonly HashSet<int> _ends;
    private readonly List<(byte Low, byte High, int To)> _bytes = [];
    private readonly List<(int Set, int To)> _tokens = [];
    private readonly List<(int Start, int Return)> _calls = [];
    private readonly HashSet<int> _seen = [];
    private readonly Stack<int> _work = [];

    private Grammar(GrammarBuilder builder, int root, bool[] live)
    {
        _builder = builder;
        _live = live;
        _states = new State?[builder.States.Count];
        _ends = [.. builder.Rules.Select(rule => rule.End)];
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
        _bytes.Clear();
        _tokens.Clear();
        _calls.Clear();
        _seen.Clear();
        _work.Push(state);
        bool ends = false;
        while (_work.TryPop(out int s))
        {
            if (!_live[s] || !_seen.Add(s))
                continue;
            ends |= _ends.Contains(s);
            GrammarBuilder.StateEdges edges = _builder.States[s];
            foreach ((byte low, byte high, int to) in edges.Bytes)
            {
                if (_live[to])
                    AddNew(_bytes, (low, high, to));
            }

            foreach ((int set, int to) in edges.Tokens)
            {
                if (_live[to])
                    AddNew(_tokens, (set, to));
            }

            foreach ((int rule, int to) in edges.Calls)
            {
                if (_live[to] && _live[_builder.Rules[rule].Start])
                    AddNew(_calls, (_builder.Rules[rule].Start, to));
            }

            foreach (int to in edges.Empty)
                _work.Push(to);
        }

        OthersMove others = _seen.Count == 1 && _builder.TakeOthers.Contains(state) ? OthersMove.All
            : _bytes.TrueForAll(e => e.High < 0x80) ? OthersMove.None
            : OthersMove.Some;
        return new State([.. _bytes], [.. _tokens], [.. _calls], ends, others);
    }

    private static void AddNew<T>(List<T> list, T item)
    {
        if (list.Count > 16 || !list.Contains(item)) // Twice does no harm.
            list.Add(item);
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
    internal sealed record State((byte Low, byte High, int To)[] Bytes, (int Set, int To)[] Tokens, (int Start, int Return)[] Calls, bool Ends, OthersMove Others)
    {
        /// <summary>Whether the rule is over here in any case: a call that returns here need not be remembered.</summary>
        public bool OnlyEnds { get; } = Ends && Bytes.Length == 0 && Tokens.Length == 0 && Calls.Length == 0;
    }

    /// <summary>Which characters outside of ASCII the byte edges of a state take.</summary>
    internal enum OthersMove : byte
    {
        /// <summary>None.</summary>
        None,

        /// <summary>Some, or all in a way that only a walk tells.</summary>
        Some,

        /// <summary>All, each of them to the end of the rule.</summary>
        All,
    }
}
