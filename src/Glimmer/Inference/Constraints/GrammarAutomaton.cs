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
    private readonly Dictionary<ulong, GrammarState> _singles = []; // states with one thread in their kernel
    private readonly Dictionary<(int Return, int Below), ReturnStack> _stacks = [];
    private readonly HashSet<ulong> _seen = [];
    private readonly List<(Grammar.State State, ReturnStack? Stack)> _threads = [];
    private readonly Stack<(int State, ReturnStack? Stack)> _work = [];
    private readonly List<(int State, ReturnStack? Stack)> _kernel = [];
    private int _nextStack = 1;

    public GrammarAutomaton(Grammar grammar)
    {
        _grammar = grammar;
        Add(grammar.Start, null);
        Start = grammar.IsEmpty ? GrammarState.Dead : Intern();
    }

    /// <summary>The state of the empty text.</summary>
    public GrammarState Start { get; }

    /// <summary>Number of states met since the tables started.</summary>
    public int Count => _states.Count + _singles.Count;

    /// <summary>The state after one more byte, or <see cref="GrammarState.Dead"/>.</summary>
    public GrammarState Step(GrammarState state, byte value)
    {
        GrammarState?[] next = state.Next ??= new GrammarState?[256];
        return next[value] ?? Fill(state, next, value);
    }

    /// <summary>The usual move.</summary>
    public CharacterRun RunOf(GrammarState state) => state.Run ??= CharacterRun.Of(this, state);

    /// <summary>The state after any character outside of ASCII, <see cref="GrammarState.Dead"/> when none is possible, null when it takes a walk to tell.</summary>
    public GrammarState? StepOthers(GrammarState state)
    {
        _kernel.Clear();
        foreach ((Grammar.State thread, ReturnStack? stack) in state.Threads)
        {
            if (thread.Others == Grammar.OthersMove.Some || (thread.Others == Grammar.OthersMove.All && stack is null))
                return null;
            if (thread.Others == Grammar.OthersMove.All)
                Add(stack!.Return, stack.Below);
        }

        return _kernel.Count == 0 ? GrammarState.Dead : Intern();
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
                    Add(target, stack);
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
                    Add(target, stack);
                }
            }
        }

        GrammarState result = _kernel.Count == 0 ? GrammarState.Dead : Intern();
        next.AsSpan(low, high - low + 1).Fill(result);
        return result;
    }

    // Where a rule is over in any case its return is taken at once, so that equal places are equal states.
    private void Add(int state, ReturnStack? stack)
    {
        while (stack is not null && _grammar[state].OnlyEnds)
            (state, stack) = (stack.Return, stack.Below);
        _kernel.Add((state, stack));
    }

    /// <summary>The state of the threads in the kernel, after all calls and returns.</summary>
    private GrammarState Intern()
    {
        if (_kernel.Count == 1)
        {
            ulong single = Key(_kernel[0].State, _kernel[0].Stack);
            if (!_singles.TryGetValue(single, out GrammarState? found))
            {
                Limit();
                _singles.Add(single, found = Close());
            }

            return found;
        }

        var key = new ulong[_kernel.Count];
        for (int i = 0; i < key.Length; i++)
            key[i] = Key(_kernel[i].State, _kernel[i].Stack);
        Array.Sort(key);
        int distinct = 1;
        for (int i = 1; i < key.Length; i++)
        {
            if (key[i] != key[distinct - 1])
                key[distinct++] = key[i];
        }

        if (distinct == 1)
        {
            _kernel.RemoveRange(1, _kernel.Count - 1);
            return Intern();
        }

        Array.Resize(ref key, distinct);
        if (_states.TryGetValue(key, out GrammarState? known))
            return known;
        Limit();
        GrammarState made = Close();
        _states.Add(key, made);
        return made;
    }

    private static ulong Key(int state, ReturnStack? stack) => ((ulong)(uint)state << 32) | (uint)(stack?.Id ?? 0);

    private void Limit()
    {
        if (Count < MaxStates)
            return;
        // Ids of stacks go on, so that stacks that texts still hold never equal new ones.
        _states.Clear();
        _singles.Clear();
        _stacks.Clear();
    }

    private GrammarState Close()
    {
        _seen.Clear();
        _work.Clear();
        _threads.Clear();
        foreach ((int State, ReturnStack? Stack) thread in _kernel)
            _work.Push(thread);
        bool canEnd = false;
        while (_work.TryPop(out (int State, ReturnStack? Stack) at))
        {
            if (!_seen.Add(Key(at.State, at.Stack)))
                continue;
            if (_seen.Count > MaxThreads)
                throw new ConstraintException($"The grammar is too ambiguous: one text has more than {MaxThreads} readings at once.");
            Grammar.State state = _grammar[at.State];
            if (state.Bytes.Length > 0 || state.Tokens.Length > 0)
                _threads.Add((state, at.Stack));
            foreach ((int start, int back) in state.Calls)
                _work.Push((start, _grammar[back].OnlyEnds ? at.Stack : Push(back, at.Stack)));
            if (!state.Ends)
                continue;
            if (at.Stack is null)
                canEnd = true;
            else
                _work.Push((at.Stack.Return, at.Stack.Below));
        }

        return new GrammarState { Threads = [.. _threads], CanEnd = canEnd };
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
