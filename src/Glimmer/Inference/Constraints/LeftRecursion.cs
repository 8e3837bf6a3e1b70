namespace Glimmer.Inference.Constraints;

/// <summary>
/// Rewrites a grammar so that no rule calls itself before it consumes something (Paull's algorithm on automata): a call in first place to an earlier
/// rule of the same cycle is replaced by a copy of that rule, and <c>R = R a | b</c> becomes <c>R = b a*</c>.
/// </summary>
internal sealed class LeftRecursion
{
    private readonly GrammarBuilder _grammar;
    private readonly bool[] _nullable;

    private LeftRecursion(GrammarBuilder grammar)
    {
        _grammar = grammar;
        _nullable = new bool[grammar.Rules.Count];
    }

    public static void Remove(GrammarBuilder grammar)
    {
        var pass = new LeftRecursion(grammar);
        pass.SkipNullableCalls();
        if (pass.Cycles().Count == 0)
            return;
        pass.ForbidEmptyFirstCalls();
        foreach (int[] cycle in pass.Cycles())
        {
            for (int i = 0; i < cycle.Length; i++)
            {
                for (int j = 0; j < i; j++)
                    pass.Inline(cycle[i], cycle[j]);
                pass.Unroll(cycle[i]);
            }
        }
    }

    /// <summary>Makes the empty text of a called rule an edge of its own, so that first places can be read off the empty edges.</summary>
    private void SkipNullableCalls()
    {
        bool[] nullable = _nullable;
        for (bool changed = true; changed;)
        {
            changed = false;
            for (int r = 0; r < nullable.Length; r++)
            {
                if (!nullable[r] && First(_grammar.Rules[r].Start).Contains(_grammar.Rules[r].End))
                    nullable[r] = changed = true;
            }

            if (!changed)
                break;
            foreach (GrammarBuilder.StateEdges edges in _grammar.States)
            {
                foreach ((int rule, int to) in edges.Calls)
                {
                    if (nullable[rule] && !edges.Empty.Contains(to))
                        edges.Empty.Add(to);
                }
            }
        }
    }

    /// <summary>
    /// Lets calls in first place derive something: a rule that may derive the empty text is replaced there by a copy that may not, since an empty edge
    /// already stands beside the call. Otherwise the place after it would be a first place that cannot be seen.
    /// </summary>
    private void ForbidEmptyFirstCalls()
    {
        int count = _grammar.Rules.Count;
        var solid = new Dictionary<int, int>(); // by rule: the copy without the empty text
        for (int rule = 0; rule < count; rule++)
            SeparateStart(rule);
        for (int rule = 0; rule < _grammar.Rules.Count; rule++)
        {
            List<(int Rule, int To)> calls = _grammar.States[_grammar.Rules[rule].Start].Calls;
            for (int i = 0; i < calls.Count; i++)
            {
                if (calls[i].Rule < count && _nullable[calls[i].Rule])
                    calls[i] = (Solid(calls[i].Rule), calls[i].To);
            }
        }

        int Solid(int rule)
        {
            if (solid.TryGetValue(rule, out int copy))
                return copy;
            copy = _grammar.NewRule();
            (int start, int end) = _grammar.Rules[copy];
            _grammar.States[start] = CopyBody(rule, end);
            _grammar.States[start].Empty.Clear();
            return solid[rule] = copy;
        }
    }

    /// <summary>The strongly connected components of the relation "calls in first place" that have a cycle.</summary>
    private List<int[]> Cycles()
    {
        int n = _grammar.Rules.Count;
        int[][] next = [.. _grammar.Rules.Select(r => First(r.Start).SelectMany(s => _grammar.States[s].Calls).Select(c => c.Rule).Distinct().ToArray())];
        var index = new int[n];
        var low = new int[n];
        var onStack = new bool[n];
        var stack = new Stack<int>();
        var cycles = new List<int[]>();
        int counter = 0;
        var path = new Stack<(int Rule, int Child)>();
        for (int root = 0; root < n; root++)
        {
            if (index[root] == 0)
                path.Push((root, 0));
            while (path.TryPop(out (int Rule, int Child) at))
            {
                int r = at.Rule;
                if (at.Child == 0)
                {
                    index[r] = low[r] = ++counter;
                    stack.Push(r);
                    onStack[r] = true;
                }
                else
                {
                    low[r] = Math.Min(low[r], low[next[r][at.Child - 1]]);
                }

                int child = at.Child;
                while (child < next[r].Length && index[next[r][child]] != 0)
                {
                    if (onStack[next[r][child]])
                        low[r] = Math.Min(low[r], index[next[r][child]]);
                    child++;
                }

                if (child < next[r].Length)
                {
                    path.Push((r, child + 1));
                    path.Push((next[r][child], 0));
                    continue;
                }

                if (low[r] != index[r])
                    continue;
                var members = new List<int>();
                int member;
                do
                {
                    member = stack.Pop();
                    onStack[member] = false;
                    members.Add(member);
                }
                while (member != r);
                if (members.Count > 1 || next[r].Contains(r))
                    cycles.Add([.. members.Order()]);
            }
        }

        return cycles;
    }

    /// <summary>Gives a rule first states that nothing else leads to.</summary>
    private void SeparateStart(int rule)
    {
        (int start, int end) = _grammar.Rules[rule];
        HashSet<int> first = First(start);
        int fresh = _grammar.NewState();
        GrammarBuilder.StateEdges edges = _grammar.States[fresh];
        foreach (int s in first)
        {
            if (s == end)
                edges.Empty.Add(end);
            edges.Bytes.AddRange(_grammar.States[s].Bytes);
            edges.Tokens.AddRange(_grammar.States[s].Tokens);
            edges.Calls.AddRange(_grammar.States[s].Calls);
        }

        _grammar.Rules[rule] = (fresh, end);
    }

    /// <summary>Replaces calls to <paramref name="callee"/> in the first place of <paramref name="rule"/> by copies of it.</summary>
    private void Inline(int rule, int callee)
    {
        GrammarBuilder.StateEdges edges = _grammar.States[_grammar.Rules[rule].Start];
        foreach ((int called, int to) in edges.Calls.Where(c => c.Rule == callee).ToArray())
        {
            edges.Calls.Remove((called, to));
            GrammarBuilder.StateEdges first = CopyBody(callee, to);
            edges.Bytes.AddRange(first.Bytes);
            edges.Tokens.AddRange(first.Tokens);
            edges.Calls.AddRange(first.Calls);
            edges.Empty.AddRange(first.Empty);
        }

        SeparateStart(rule);
    }

    /// <summary>Copies the states of a rule so that they lead to another end; the edges of the copied start.</summary>
    private GrammarBuilder.StateEdges CopyBody(int rule, int to)
    {
        (int start, int end) = _grammar.Rules[rule];
        var copies = new Dictionary<int, int>();
        var work = new Stack<int>();
        GrammarBuilder.StateEdges first = _grammar.States[start].Mapped(Copy);
        while (work.TryPop(out int s))
            _grammar.States[copies[s]] = _grammar.States[s].Mapped(Copy);
        return first;

        int Copy(int s)
        {
            if (s == end)
                return to;
            if (!copies.TryGetValue(s, out int copy))
            {
                copies.Add(s, copy = _grammar.NewState());
                work.Push(s);
            }

            return copy;
        }
    }

    /// <summary>Turns calls of the rule to itself in first place into a loop at its end.</summary>
    private void Unroll(int rule)
    {
        (int start, int end) = _grammar.Rules[rule];
        GrammarBuilder.StateEdges edges = _grammar.States[start];
        int[] again = [.. edges.Calls.Where(c => c.Rule == rule).Select(c => c.To)];
        if (again.Length == 0)
            return;
        edges.Calls.RemoveAll(c => c.Rule == rule);
        int final = _grammar.NewState();
        _grammar.Empty(end, final);
        foreach (int to in again)
        {
            if (to != end)
                _grammar.Empty(end, to);
        }

        _grammar.Rules[rule] = (start, final);
    }

    private HashSet<int> First(int state)
    {
        var seen = new HashSet<int>();
        var work = new Stack<int>([state]);
        while (work.TryPop(out int s))
        {
            if (!seen.Add(s))
                continue;
            foreach (int to in _grammar.States[s].Empty)
                work.Push(to);
        }

        return seen;
    }
}
