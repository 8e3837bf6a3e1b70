namespace Glimmer.Inference.Constraints;

/// <summary>
/// Builds a grammar as a network of automata: each rule has one start and one end state; an edge consumes a byte of a range, consumes one token of a
/// set (markers that have no bytes of their own), calls a rule, or nothing.
/// </summary>
internal sealed class GrammarBuilder
{
    private const int MaxStates = 2_000_000;

    /// <summary>Edges by state.</summary>
    public List<StateEdges> States { get; } = [];

    /// <summary>Start and end state by rule.</summary>
    public List<(int Start, int End)> Rules { get; } = [];

    /// <summary>The sets of token ids that edges name.</summary>
    public List<int[]> TokenSets { get; } = [];

    /// <summary>States whose only moves on bytes outside of ASCII are those of every character there, each to the end of the rule.</summary>
    public HashSet<int> TakeOthers { get; } = [];

    public int NewState()
    {
        if (States.Count >= MaxStates)
            throw new ConstraintException($"The constraint needs more than {MaxStates} states. Use smaller counts or fewer alternatives.");
        States.Add(new StateEdges());
        return States.Count - 1;
    }

    public int NewRule()
    {
        Rules.Add((NewState(), NewState()));
        return Rules.Count - 1;
    }

    public void Byte(int from, int low, int high, int to) => States[from].Bytes.Add(((byte)low, (byte)high, to));

    public void Empty(int from, int to) => States[from].Empty.Add(to);

    public void Call(int from, int rule, int to) => States[from].Calls.Add((rule, to));

    /// <summary>An edge that any one of the tokens takes.</summary>
    public void Tokens(int from, int[] ids, int to)
    {
        TokenSets.Add(ids);
        States[from].Tokens.Add((TokenSets.Count - 1, to));
    }

    /// <summary>A chain of bytes between two states.</summary>
    public void Text(int from, ReadOnlySpan<byte> text, int to)
    {
        if (text.IsEmpty)
        {
            Empty(from, to);
            return;
        }

        for (int i = 0; i < text.Length; i++)
        {
            int next = i == text.Length - 1 ? to : NewState();
            Byte(from, text[i], text[i], next);
            from = next;
        }
    }

    /// <summary>The outgoing edges of a state.</summary>
    internal sealed class StateEdges
    {
        public List<(byte Low, byte High, int To)> Bytes { get; private set; } = [];

        public List<(int Set, int To)> Tokens { get; private set; } = [];

        public List<(int Rule, int To)> Calls { get; private set; } = [];

        public List<int> Empty { get; private set; } = [];

        /// <summary>A copy with other successors.</summary>
        public StateEdges Mapped(Func<int, int> map) => new()
        {
            Bytes = [.. Bytes.Select(e => (e.Low, e.High, map(e.To)))],
            Tokens = [.. Tokens.Select(e => (e.Set, map(e.To)))],
            Calls = [.. Calls.Select(e => (e.Rule, map(e.To)))],
            Empty = [.. Empty.Select(map)],
        };
    }
}
