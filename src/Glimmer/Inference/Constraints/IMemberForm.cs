namespace Glimmer.Inference.Constraints;

/// <summary>How the members of an object are written: as JSON, or as the arguments of GLM's tool calls.</summary>
internal interface IMemberForm
{
    /// <summary>Adds what stands before the first member; the state after it.</summary>
    int Open(int start);

    /// <summary>Adds what stands after the last member.</summary>
    void Close(int from, int end);

    /// <summary>Adds what stands between a member and the next; the state from which the object may be closed.</summary>
    int Separator(int after, int next);

    /// <summary>The rule of the values that satisfy a condition, -1 when it is false.</summary>
    int ValueRule(Formula value);

    /// <summary>Adds a member with a name of a language and a value of a rule.</summary>
    void Member(int start, Language name, int valueRule, int after);
}

/// <summary>Members of JSON objects.</summary>
internal sealed class JsonMemberForm(ValueGrammar values) : IMemberForm
{
    private readonly GrammarBuilder _grammar = values.Builder;

    public int Open(int start)
    {
        int open = _grammar.NewState();
        _grammar.Byte(start, '{', '{', open);
        return values.Space(open);
    }

    public void Close(int from, int end) => _grammar.Byte(from, '}', '}', end);

    public int Separator(int after, int next)
    {
        after = values.Space(after);
        int comma = _grammar.NewState();
        _grammar.Byte(after, ',', ',', comma);
        _grammar.Empty(values.Space(comma), next);
        return after;
    }

    public int ValueRule(Formula value) => values.Rule(value);

    public void Member(int start, Language name, int valueRule, int after)
    {
        int colon = _grammar.NewState();
        int value = _grammar.NewState();
        values.String(name, start, colon);
        _grammar.Byte(values.Space(colon), ':', ':', value);
        _grammar.Call(values.Space(value), valueRule, after);
    }
}
