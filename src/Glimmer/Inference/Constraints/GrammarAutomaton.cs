namespace Glimmer.Inference.Constraints;

/// <summary>
/// Runs a grammar over bytes and tokens, all alternatives at once, and makes the states that are met deterministic: a move that was made before is one
/// array access. Not thread-safe.
/// </summary>
/// <remarks>
/// States and stacks are kept until there are more than <see cref="MaxStates"/>; then the tables start anew and texts in progress go on from the objects
/// they hold. A state's threads are counted too: a grammar so ambiguous that one text has more than <see cref="MaxThreads"/> is refused.
/// </remarks>
internal sealed class GrammarAutomaton
{
    private const int MaxStates = 20_000;
    private const int MaxThreads = 20_000;
    private readonly Grammar _grammar;
    private readonly Dictionary<ulong[], GrammarState> _states = new(new KernelComparer());
    private readonly Dictionary<(int Return, int Below), ReturnStack> _stacks = [];
    private readonly HashSet<(int, int)> _seen = [];
    private readonly Stack<(int State, ReturnStack? Stack)> _work = [];
    private readonly List<(int State, ReturnStack? Stack)> _kernel = [];
    private int _nextStack = 1;

    public GrammarAutomaton(Grammar grammar)
    {
        _grammar = grammar;
        _kernel.Add((grammar.Start, null));
        Start = grammar.IsEmpty ? GrammarState.Dead : Intern();
    }

    /// <summary>The state of the empty text.</summary>
    public GrammarState Start { get; }

    /// <summary>Number of states met since the tables started.</summary>
    public int Count => _states.Count;

    /// <summary>The state after one more byte, or <see cref="GrammarState.Dead"/>.</summary>
    public GrammarState Step(GrammarState state, byte value)
    {
        GrammarState?[] next = state.Next ??= new GrammarState?[256];
        return next[value] ?? Fill(state, next, value);
    }

    /// <summary>The state after a token that edges name, or <see cref="GrammarState.Dead"/>.</summary>
    public GrammarState StepToken(GrammarState state, int id)
    {
        if (state.NextByToken is null)
        {
            state.NextByToken = [];
            foreach (int set in state.Threads.SelectMany(t => t.State.Tokens).Select(t => t.Set).Distinct())
            {
                foreach (int token in _grammar.TokenSets[set])
                    state.NextByToken.TryAdd(token, GrammarState.Dead);
            }
        }

        if (!state.NextByToken.TryGetValue(id, out GrammarState? to))
            return GrammarState.Dead;
        if (to != GrammarState.Dead)
            return to;
        _kernel.Clear();
        foreach ((Grammar.State thread, ReturnStack? stack) in state.Threads)
        {
            foreach ((int set, int target) in thread.Tokens)
            {
                if (Array.IndexOf(_grammar.TokenSets[set], id) >= 0)
                    _kernel.Add((target, stack));
            }
        }

        return state.NextByToken[id] = Intern();
    }

    /// <summary>The ids of the tokens that edges of a state name.</summary>
    public IEnumerable<int> NamedTokens(GrammarState state) =>
        state.Threads.SelectMany(t => t.State.Tokens).Select(t => t.Set).Distinct().SelectMany(s => _grammar.TokenSets[s]);

    private GrammarState Fill(GrammarState state, GrammarState?[] next, byte value)
    {
        _kernel.Clear();
        // The move is the same for every byte between the nearest borders of all ranges.
        int low = 0;
        int high = 255;
        foreach ((Grammar.State thread, ReturnStack? stack) in state.Threads)
        {
            foreach ((byte from, byte to, int target) in thread.Bytes)
            {
                if (value < from)
                {
                    high = Math.Min(high, from - 1);
                }
                else if (value > to)
                {
                    low = Math.Max(low, to + 1);
                }
                else
                {
                    low = Math.Max(low, from);
                    high = Math.Min(high, to);
                    _kernel.Add((target, stack));
                }
            }
        }

        GrammarState result = _kernel.Count == 0 ? GrammarState.Dead : Intern();
        next.AsSpan(low, high - low + 1).Fill(result);
        return result;
    }

    /// <summary>The state of the threads in the kernel, after all calls and returns.</summary>
    private GrammarState Intern()
    {
        var key = new ulong[_kernel.Count];
        for (int i = 0; i < key.Length; i++)
            key[i] = ((ulong)(uint)_kernel[i].State << 32) | (uint)(_kernel[i].Stack?.Id ?? 0);
        if (key.Length > 1)
        {
            Array.Sort(key);
            int distinct = 1;
            for (int i = 1; i < key.Length; i++)
            {
                if (key[i] != key[distinct - 1])
                    key[distinct++] = key[i];
            }

            Array.Resize(ref key, distinct);
        }

        if (_states.TryGetValue(key, out GrammarState? known))
            return known;
        if (_states.Count >= MaxStates)
        {
            // Ids of stacks go on, so that stacks that texts still hold never equal new ones.
            _states.Clear();
            _stacks.Clear();
        }

        GrammarState made = Close();
        _states.Add(key, made);
        return made;
    }

    private GrammarState Close()
    {
        _seen.Clear();
        _work.Clear();
        foreach ((int State, ReturnStack? Stack) thread in _kernel)
            _work.Push(thread);
        var threads = new List<(Grammar.State, ReturnStack?)>();
        bool canEnd = false;
        while (_work.TryPop(out (int State, ReturnStack? Stack) at))
        {
            if (!_seen.Add((at.State, at.Stack?.Id ?? 0)))
                continue;
            if (_seen.Count > MaxThreads)
                throw new ConstraintException($"The grammar is too ambiguous: one text has more than {MaxThreads} readings at once.");
            Grammar.State state = _grammar[at.State];
            if (state.Bytes.Length > 0 || state.Tokens.Length > 0)
                threads.Add((state, at.Stack));
            foreach ((int start, int back) in state.Calls)
                _work.Push((start, _grammar[back].OnlyEnds ? at.Stack : Push(back, at.Stack)));
            if (!state.Ends)
                continue;
            if (at.Stack is null)
                canEnd = true;
            else
                _work.Push((at.Stack.Return, at.Stack.Below));
        }

        return new GrammarState { Threads = [.. threads], CanEnd = canEnd };
    }

    private ReturnStack Push(int back, ReturnStack? below)
    {
        (int, int) key = (back, below?.Id ?? 0);
        if (!_stacks.TryGetValue(key, out ReturnStack? stack))
            _stacks.Add(key, stack = new ReturnStack(_nextStack++, back, below));
        return stack;
    }

    private sealed class KernelComparer : IEqualityComparer<ulong[]>
    {
        public bool Equals(ulong[]? x, ulong[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(ulong[] key)
        {
            var hash = new HashCode();
            hash.AddBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(key.AsSpan()));
            return hash.ToHashCode();
        }
    }
}
