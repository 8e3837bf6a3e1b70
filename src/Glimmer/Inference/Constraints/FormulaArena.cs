namespace Glimmer.Inference.Constraints;

/// <summary>Makes and simplifies terms of <see cref="Formula"/>, equal terms once.</summary>
internal sealed class FormulaArena
{
    private readonly Dictionary<Key, Formula> _terms = [];

    public FormulaArena()
    {
        True = Kinds(ValueKinds.All);
        False = Kinds(ValueKinds.None);
    }

    public Formula True { get; }

    public Formula False { get; }

    public Formula Kinds(ValueKinds kinds) => Intern(new Key(FormulaKind.Kinds, (int)kinds), id => new Formula { Id = id, Kind = FormulaKind.Kinds, Kinds = kinds });

    public Formula Number(Language language) =>
        Intern(new Key(FormulaKind.Number, language.Id), id => new Formula { Id = id, Kind = FormulaKind.Number, Language = language });

    public Formula String(Language language) =>
        Intern(new Key(FormulaKind.String, language.Id), id => new Formula { Id = id, Kind = FormulaKind.String, Language = language });

    public Formula Elements(int from, int to, Formula of, int min, int max) => max < min || max < 0
        ? False
        : Intern(
            new Key(FormulaKind.Elements, from, to, of.Id, Math.Max(0, min), max),
            id => new Formula { Id = id, Kind = FormulaKind.Elements, From = from, To = to, Of = of, Min = Math.Max(0, min), Max = max });

    /// <summary>A count of members. One that is always true is kept: it says where the name stands in the order.</summary>
    public Formula Members(Language names, string? name, Formula of, int min, int max) => max < min || max < 0
        ? False
        : Intern(
            new Key(FormulaKind.Members, names.Id, of.Id, Math.Max(0, min), max),
            id => new Formula { Id = id, Kind = FormulaKind.Members, Language = names, Name = name, Of = of, Min = Math.Max(0, min), Max = max });

    public Formula Reference(string pointer) =>
        Intern(new Key(FormulaKind.Reference, Text: pointer), id => new Formula { Id = id, Kind = FormulaKind.Reference, Pointer = pointer });

    public Formula And(params IEnumerable<Formula> parts) => Combine(FormulaKind.And, parts, neutral: True, absorbing: False);

    public Formula Or(params IEnumerable<Formula> parts) => Combine(FormulaKind.Or, parts, neutral: False, absorbing: True);

    public Formula Not(Formula part) => part.Kind switch
    {
        FormulaKind.Kinds => Kinds(ValueKinds.All & ~part.Kinds),
        FormulaKind.Not => part.Parts[0],
        _ => Intern(new Key(FormulaKind.Not, part.Id), id => new Formula { Id = id, Kind = FormulaKind.Not, Parts = [part] }),
    };

    /// <summary>A condition on values of some kinds only.</summary>
    public Formula When(ValueKinds kinds, Formula condition) => Or(Kinds(ValueKinds.All & ~kinds), condition);

    /// <summary>The same count with another expectation.</summary>
    public Formula WithBounds(Formula count, int min, int max) => count.Kind == FormulaKind.Elements
        ? Elements(count.From, count.To, count.Of!, min, max)
        : Members(count.Language!, count.Name, count.Of!, min, max);

    /// <summary>The same term with every count replaced; negations are pushed down to the counts, so that only And and Or remain above them.</summary>
    public Formula Map(Formula formula, Func<Formula, Formula> count) => formula.Kind switch
    {
        FormulaKind.And => And(formula.Parts.Select(p => Map(p, count))),
        FormulaKind.Or => Or(formula.Parts.Select(p => Map(p, count))),
        FormulaKind.Elements or FormulaKind.Members => count(formula),
        _ => formula,
    };

    /// <summary>All counts of a term, in order.</summary>
    public static IEnumerable<Formula> Counts(Formula formula) =>
        formula.Kind is FormulaKind.Elements or FormulaKind.Members ? [formula] : formula.Parts.SelectMany(Counts);

    private Formula Combine(FormulaKind kind, IEnumerable<Formula> parts, Formula neutral, Formula absorbing)
    {
        var items = new List<Formula>();
        var seen = new HashSet<int>();
        ValueKinds? kinds = null;
        int kindsAt = 0;
        foreach (Formula part in parts)
        {
            foreach (Formula item in part.Kind == kind ? part.Parts : [part])
            {
                if (item == absorbing)
                    return absorbing;
                if (item == neutral || !seen.Add(item.Id))
                    continue;
                if (item.Kind != FormulaKind.Kinds)
                {
                    items.Add(item);
                    continue;
                }

                if (kinds is null)
                {
                    kindsAt = items.Count;
                    kinds = item.Kinds;
                }
                else
                {
                    kinds = kind == FormulaKind.And ? kinds & item.Kinds : kinds | item.Kinds;
                }
            }
        }

        if (kinds is { } all)
        {
            Formula merged = Kinds(all);
            if (merged == absorbing)
                return absorbing;
            if (merged != neutral)
                items.Insert(kindsAt, merged);
        }

        foreach (Formula item in items)
        {
            if (item.Kind == FormulaKind.Not && seen.Contains(item.Parts[0].Id))
                return absorbing;
        }

        return items.Count switch
        {
            0 => neutral,
            1 => items[0],
            _ => Intern(new Key(kind, Text: string.Join(',', items.Select(i => i.Id))), id => new Formula { Id = id, Kind = kind, Parts = [.. items] }),
        };
    }

    private Formula Intern(Key key, Func<int, Formula> make)
    {
        if (!_terms.TryGetValue(key, out Formula? term))
            _terms.Add(key, term = make(_terms.Count));
        return term;
    }

    private readonly record struct Key(FormulaKind Kind, int A = 0, int B = 0, int C = 0, int D = 0, int E = 0, string Text = "");
}
