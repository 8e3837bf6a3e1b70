namespace Glimmer.Inference.Constraints;

/// <summary>
/// Writes conditions on arrays into a grammar. A state is the index of the next element, as far as the condition tells indices apart, and what is left of
/// the condition: each element rewrites it (<see cref="CountSplit"/>), so that any boolean combination of item schemas, lengths and contains-counts is exact.
/// </summary>
internal sealed class ArrayGrammar(ValueGrammar values)
{
    private const int MaxStates = 50_000;
    private readonly FormulaArena _formulas = values.Formulas;

    /// <summary>Adds the arrays that satisfy a condition between two states.</summary>
    public void Write(Formula condition, int start, int end)
    {
        // Alternatives need no common states: their union is the union of their texts.
        foreach (Formula choice in condition.Kind == FormulaKind.Or ? condition.Parts : [condition])
            One(choice, start, end);
    }

    private void One(Formula condition, int start, int end)
    {
        if (condition == _formulas.False)
            return;
        GrammarBuilder grammar = values.Builder;
        int last = 0; // indices from here on are alike
        foreach (Formula count in FormulaArena.Counts(condition))
            last = Math.Max(last, count.To == Formula.Unbounded ? count.From : count.To + 1);
        var states = new Dictionary<(int Index, Formula Left), (int Next, int After)>();
        var pending = new Queue<(int Index, Formula Left)>();
        int open = grammar.NewState();
        grammar.Byte(start, '[', '[', open);
        open = values.Space(open);
        Formula first = Settle(condition, 0);
        if (first == _formulas.False)
            return;
        grammar.Empty(open, State(0, first).Next);
        if (CountSplit.Holds(_formulas, first))
            grammar.Byte(open, ']', ']', end);
        while (pending.TryDequeue(out (int Index, Formula Left) at))
        {
            (int next, int after) = states[at];
            foreach ((Formula value, Formula rest) in CountSplit.Split(_formulas, at.Left, c => c.From <= at.Index && at.Index <= c.To))
            {
                int index = Math.Min(at.Index + 1, last);
                Formula settled = Settle(rest, index);
                int rule = settled == _formulas.False ? -1 : values.Rule(value);
                if (rule >= 0)
                    grammar.Call(next, rule, State(index, settled).After);
            }
        }

        (int Next, int After) State(int index, Formula rest)
        {
            if (states.TryGetValue((index, rest), out (int Next, int After) known))
                return known;
            if (states.Count >= MaxStates)
                throw new ConstraintException($"An array needs more than {MaxStates} states. Use smaller counts.");
            (int Next, int After) made = (grammar.NewState(), grammar.NewState());
            states.Add((index, rest), made);
            pending.Enqueue((index, rest));
            int after = values.Space(made.After);
            int comma = grammar.NewState();
            grammar.Byte(after, ',', ',', comma);
            grammar.Empty(values.Space(comma), made.Next);
            if (CountSplit.Holds(_formulas, rest))
                grammar.Byte(after, ']', ']', end);
            return made;
        }
    }

    private Formula Settle(Formula state, int index) => CountSplit.Settle(
        _formulas,
        state,
        c => c.To == Formula.Unbounded ? Formula.Unbounded : Math.Max(0, c.To - Math.Max(c.From, index) + 1));
}
