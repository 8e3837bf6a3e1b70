namespace Glimmer.Inference.Constraints;

/// <summary>
/// Writes conditions on objects into a grammar. Declared names come in the order in which the schema names them, all other names after them (or all in any
/// order). A state is the place in that order and what is left of the condition; each member rewrites it (<see cref="CountSplit"/>).
/// </summary>
/// <remarks>A declared name occurs at most once. An automaton cannot remember other names: that they differ from each other is left to the writer.</remarks>
internal sealed class ObjectGrammar(ValueGrammar values, IMemberForm form, bool anyOrder)
{
    private const int MaxStates = 50_000;
    private const int MaxUnordered = 10;
    private const int MaxClasses = 64;
    private readonly FormulaArena _formulas = values.Formulas;
    private readonly LanguageArena _languages = values.Languages;

    /// <summary>Adds the objects that satisfy a condition between two states.</summary>
    public void Write(Formula condition, int start, int end)
    {
        foreach (Formula choice in condition.Kind == FormulaKind.Or ? condition.Parts : [condition])
            One(choice, start, end);
    }

    private void One(Formula condition, int start, int end)
    {
        if (condition == _formulas.False)
            return;
        Formula[] counts = [.. FormulaArena.Counts(condition)];
        string[] names = [.. counts.Where(c => c.Name is not null).Select(c => c.Name!).Distinct()];
        if (anyOrder && names.Length > MaxUnordered)
            throw ConstraintException.Unsupported("properties", $"members in any order with more than {MaxUnordered} declared names need too many states; keep the order of the schema");
        List<Language> classes = Classes(counts, names);
        var concerns = new Dictionary<(Language Names, int Class), bool>(); // classes: declared names, then the others
        foreach (Language language in counts.Select(c => c.Language!).Distinct())
        {
            for (int i = 0; i < names.Length; i++)
                concerns[(language, i)] = names[i].EnumerateRunes().Aggregate(language, (l, r) => _languages.Derivative(l, r.Value)).Nullable;
            for (int i = 0; i < classes.Count; i++)
                concerns[(language, names.Length + i)] = !IsEmpty(_languages.Intersection(classes[i], language));
        }

        new Writer(values, form, anyOrder, names, classes, concerns).Write(condition, start, end);
    }

    /// <summary>The names that are not declared, split so that every count concerns all names of a part or none.</summary>
    private List<Language> Classes(Formula[] counts, string[] names)
    {
        var parts = new List<Language> { _languages.Complement(_languages.Union(names.Select(_languages.Literal))) };
        foreach (Language language in counts.Where(c => c.Name is null).Select(c => c.Language!).Distinct())
        {
            if (language == _languages.AnyText)
                continue;
            parts = [.. parts.SelectMany(p => (Language[])[_languages.Intersection(p, language), _languages.Difference(p, language)]).Where(p => !IsEmpty(p))];
            if (parts.Count > MaxClasses)
                throw ConstraintException.Unsupported("patternProperties", $"the patterns overlap in more than {MaxClasses} ways");
        }

        return parts;
    }

    private bool IsEmpty(Language language) => LanguageAutomaton.Build(_languages, language).IsEmpty;

    /// <summary>Writes one object.</summary>
    private sealed class Writer(
        ValueGrammar values, IMemberForm form, bool anyOrder, string[] names, List<Language> classes, Dictionary<(Language Names, int Class), bool> concerns)
    {
        private readonly GrammarBuilder _grammar = values.Builder;
        private readonly FormulaArena _formulas = values.Formulas;
        private readonly Dictionary<(int Place, Formula Left), (int Next, int After)> _states = [];
        private readonly Dictionary<(int Class, int Rule, int After), int> _members = [];
        private readonly Queue<(int Place, Formula Left)> _pending = [];
        private int _end;

        public void Write(Formula condition, int start, int end)
        {
            _end = end;
            Formula first = Settle(condition, 0);
            if (first == _formulas.False)
                return;
            int open = form.Open(start);
            _grammar.Empty(open, State(0, first).Next);
            if (CountSplit.Holds(_formulas, first))
                form.Close(open, end);
            while (_pending.TryDequeue(out (int Place, Formula Left) at))
            {
                for (int i = 0; i < names.Length + classes.Count; i++)
                {
                    if (CanCome(at.Place, i))
                        Members(at, i);
                }
            }
        }

        /// <summary>A place is the number of names passed, or the set of names seen when the order is free.</summary>
        private bool CanCome(int place, int member) => member >= names.Length || (anyOrder ? (place >> member & 1) == 0 : member >= place);

        private void Members((int Place, Formula Left) at, int member)
        {
            int place = anyOrder
                ? (member < names.Length ? at.Place | (1 << member) : at.Place)
                : Math.Min(member + 1, names.Length);
            foreach ((Formula value, Formula rest) in CountSplit.Split(_formulas, at.Left, c => concerns[(c.Language!, member)]))
            {
                Formula settled = Settle(rest, place);
                int rule = settled == _formulas.False ? -1 : form.ValueRule(value);
                if (rule >= 0)
                    _grammar.Empty(_states[at].Next, Member(member, rule, State(place, settled).After));
            }
        }

        /// <summary>The first state of a member with its name, colon and value.</summary>
        private int Member(int member, int rule, int after)
        {
            if (_members.TryGetValue((member, rule, after), out int known))
                return known;
            int start = _grammar.NewState();
            form.Member(start, member < names.Length ? values.Languages.Literal(names[member]) : classes[member - names.Length], rule, after);
            return _members[(member, rule, after)] = start;
        }

        private (int Next, int After) State(int place, Formula rest)
        {
            if (_states.TryGetValue((place, rest), out (int Next, int After) known))
                return known;
            if (_states.Count >= MaxStates)
                throw new ConstraintException($"An object needs more than {MaxStates} states. Use smaller counts or fewer optional properties.");
            (int Next, int After) made = (_grammar.NewState(), _grammar.NewState());
            _states.Add((place, rest), made);
            _pending.Enqueue((place, rest));
            int after = form.Separator(made.After, made.Next);
            if (CountSplit.Holds(_formulas, rest))
                form.Close(after, _end);
            return made;
        }

        private Formula Settle(Formula state, int place) => CountSplit.Settle(_formulas, state, count =>
        {
            int left = 0;
            for (int i = 0; i < names.Length + classes.Count; i++)
            {
                if (!CanCome(place, i) || !concerns[(count.Language!, i)])
                    continue;
                if (i >= names.Length)
                    return Formula.Unbounded;
                left++;
            }

            return left;
        });
    }
}
