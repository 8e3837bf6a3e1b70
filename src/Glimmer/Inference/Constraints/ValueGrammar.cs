namespace Glimmer.Inference.Constraints;

/// <summary>Writes conditions on JSON values into a grammar: one rule a condition, one alternative a kind of value.</summary>
internal sealed class ValueGrammar
{
    private const int MaxRules = 20_000;
    private readonly SchemaReader _schema;
    private readonly NumberLanguages _numbers;
    private readonly JsonSchemaOptions _options;
    private readonly StringSurroundings _surroundings;
    private readonly Dictionary<Formula, int> _rules = [];
    private readonly Queue<(Formula Formula, int Rule)> _pending = [];
    private readonly ArrayGrammar _arrays;
    private readonly ObjectGrammar _objects;
    private int _anyNumber = -1;

    public ValueGrammar(GrammarBuilder builder, LanguageArena languages, FormulaArena formulas, NumberLanguages numbers, SchemaReader schema, JsonSchemaOptions options, StringSurroundings? surroundings = null)
    {
        _surroundings = surroundings ?? new StringSurroundings(languages.AnyText, []);
        Builder = builder;
        Languages = languages;
        Formulas = formulas;
        Lowering = new LanguageLowering(builder, languages);
        _numbers = numbers;
        _schema = schema;
        _options = options;
        _arrays = new ArrayGrammar(this);
        _objects = new ObjectGrammar(this, new JsonMemberForm(this), options.AnyOrder);
    }

    public GrammarBuilder Builder { get; }

    public LanguageArena Languages { get; }

    public FormulaArena Formulas { get; }

    public LanguageLowering Lowering { get; }

    /// <summary>The strings and names that may be written at all.</summary>
    public Language AllStrings => _surroundings.Strings;

    /// <summary>The rule of the values that satisfy a condition, written when <see cref="Finish"/> runs; -1 when the condition is false.</summary>
    public int Rule(Formula formula)
    {
        if (formula == Formulas.False)
            return -1;
        if (_rules.TryGetValue(formula, out int rule))
            return rule;
        if (_rules.Count >= MaxRules)
            throw new ConstraintException($"The schema needs more than {MaxRules} rules: its alternatives overlap in too many ways. Tell them apart by a constant.");
        _rules.Add(formula, rule = Builder.NewRule());
        _pending.Enqueue((formula, rule));
        return rule;
    }

    /// <summary>Writes the rules that were asked for and those that they need.</summary>
    public void Finish()
    {
        while (_pending.TryDequeue(out (Formula Formula, int Rule) next))
        {
            (int start, int end) = Builder.Rules[next.Rule];
            Value(next.Formula, start, end);
        }
    }

    /// <summary>White space that may stand after a state: the state after it.</summary>
    public int Space(int from)
    {
        if (!_options.Whitespace)
            return from;
        int to = Builder.NewState();
        Builder.Empty(from, to);
        foreach (char c in " \t\n\r")
            Builder.Byte(to, c, c, to);
        return to;
    }

    /// <summary>The condition on values of one kind: only counts of elements or members, And and Or, or truth or falsehood, are left for arrays and objects.</summary>
    public Formula Restrict(Formula formula, ValueKinds kind) => Restrict(formula, kind, []);

    /// <summary>The strings that satisfy a condition.</summary>
    public Language Strings(Formula formula) => Scalars(Restrict(formula, ValueKinds.String));

    private void Value(Formula formula, int start, int end)
    {
        foreach ((ValueKinds kind, string text) in (ReadOnlySpan<(ValueKinds, string)>)[(ValueKinds.Null, "null"), (ValueKinds.True, "true"), (ValueKinds.False, "false")])
        {
            if (Restrict(formula, kind) == Formulas.True)
                Builder.Text(start, System.Text.Encoding.ASCII.GetBytes(text), end);
        }

        Number(Restrict(formula, ValueKinds.Number), start, end);
        String(Scalars(Restrict(formula, ValueKinds.String)), start, end);
        _arrays.Write(Restrict(formula, ValueKinds.Array), start, end);
        _objects.Write(Restrict(formula, ValueKinds.Object), start, end);
    }

    private void Number(Formula formula, int start, int end)
    {
        if (formula == Formulas.True)
        {
            if (_anyNumber < 0)
                _anyNumber = Lowering.Rule(_numbers.Any, CharacterForm.Raw);
            Builder.Call(start, _anyNumber, end);
            return;
        }

        if (formula.Kind == FormulaKind.Or)
        {
            foreach (Formula choice in formula.Parts)
                Number(choice, start, end);
            return;
        }

        Language language = Languages.Intersection(Scalars(formula), _numbers.Decimals);
        if (!_options.AnyNumberForm)
            language = Canonical(language);
        if (Lowering.Rule(language, CharacterForm.Raw) is >= 0 and int rule)
            Builder.Call(start, rule, end);
    }

    /// <summary>The usual form where it is clear: zero without a sign, integers without a fraction, single numbers without zeros at the end.</summary>
    private Language Canonical(Language numbers)
    {
        numbers = Languages.Difference(numbers, _numbers.NegativeZero);
        if (LanguageAutomaton.Build(Languages, Languages.Difference(numbers, _numbers.Integers)).IsEmpty)
            return Languages.Intersection(numbers, _numbers.Digits);
        Language shortest = Languages.Intersection(numbers, _numbers.Shortest);
        return LanguageAutomaton.Build(Languages, shortest).IsFinite ? shortest : numbers;
    }

    /// <summary>Adds the quoted strings of a language between two states; nothing when there are none.</summary>
    public void String(Language language, int start, int end)
    {
        CharacterForm form = language == Languages.AnyText ? CharacterForm.JsonAny : CharacterForm.JsonMinimal;
        int rule = Lowering.Rule(Languages.Intersection(language, AllStrings), form, form == CharacterForm.JsonAny ? _surroundings.Tokens : null);
        if (rule < 0)
            return;
        int open = Builder.NewState();
        int close = Builder.NewState();
        Builder.Byte(start, '"', '"', open);
        Builder.Call(open, rule, close);
        Builder.Byte(close, '"', '"', end);
    }

    private Language Scalars(Formula formula) => formula.Kind switch
    {
        FormulaKind.And => Languages.Intersection(formula.Parts.Select(Scalars)),
        FormulaKind.Or => Languages.Union(formula.Parts.Select(Scalars)),
        FormulaKind.Not => Languages.Complement(Scalars(formula.Parts[0])),
        FormulaKind.Kinds => formula == Formulas.True ? Languages.AnyText : Languages.Nothing,
        _ => formula.Language!,
    };

    private Formula Restrict(Formula formula, ValueKinds kind, HashSet<string> open)
    {
        switch (formula.Kind)
        {
            case FormulaKind.Kinds:
                return formula.Kinds.HasFlag(kind) ? Formulas.True : Formulas.False;
            case FormulaKind.Number:
                return kind == ValueKinds.Number ? formula : Formulas.False;
            case FormulaKind.String:
                return kind == ValueKinds.String ? formula : Formulas.False;
            case FormulaKind.Elements:
                return kind == ValueKinds.Array ? formula : Formulas.False;
            case FormulaKind.Members:
                return kind == ValueKinds.Object ? formula : Formulas.False;
            case FormulaKind.Reference:
                if (!open.Add(formula.Pointer))
                    throw ConstraintException.Unsupported("$ref", $"'{formula.Pointer}' refers to itself without going into the value");
                Formula target = Restrict(_schema.Resolve(formula.Pointer), kind, open);
                open.Remove(formula.Pointer);
                return target;
            case FormulaKind.And:
                return Formulas.And(formula.Parts.Select(p => Restrict(p, kind, open)));
            case FormulaKind.Or:
                return Formulas.Or(formula.Parts.Select(p => Restrict(p, kind, open)));
            default:
                return Negate(Restrict(formula.Parts[0], kind, open));
        }
    }

    private Formula Negate(Formula formula) => formula.Kind switch
    {
        FormulaKind.And => Formulas.Or(formula.Parts.Select(Negate)),
        FormulaKind.Or => Formulas.And(formula.Parts.Select(Negate)),
        FormulaKind.Elements or FormulaKind.Members => Formulas.Or(
            Formulas.WithBounds(formula, 0, formula.Min - 1),
            formula.Max == Formula.Unbounded ? Formulas.False : Formulas.WithBounds(formula, formula.Max + 1, Formula.Unbounded)),
        _ => Formulas.Not(formula),
    };
}

/// <summary>What surrounds JSON does to its strings.</summary>
/// <param name="Strings">The strings that may be written at all.</param>
/// <param name="Tokens">Tokens without bytes of their own that may stand in a string as text.</param>
internal sealed record StringSurroundings(Language Strings, int[] Tokens);
