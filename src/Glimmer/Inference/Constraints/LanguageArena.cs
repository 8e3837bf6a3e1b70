using System.Text;

namespace Glimmer.Inference.Constraints;

/// <summary>Makes and simplifies terms of <see cref="Language"/>, equal terms once, and takes their derivatives. Not thread-safe.</summary>
internal sealed class LanguageArena
{
    private readonly Dictionary<Key, Language> _terms = [];
    private readonly Dictionary<CodePointSet, int> _sets = [];
    private readonly Dictionary<CharacterTable, int> _tables = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<(int Term, int CodePoint), Language> _derivatives = [];

    public LanguageArena()
    {
        Nothing = Intern(new Key(LanguageKind.Nothing, 0, 0, 0, ""), id => new Language { Id = id, Kind = LanguageKind.Nothing, Nullable = false });
        Epsilon = Intern(new Key(LanguageKind.Epsilon, 0, 0, 0, ""), id => new Language { Id = id, Kind = LanguageKind.Epsilon, Nullable = true });
        AnyCharacter = Class(CodePointSet.All);
        AnyText = Repeat(AnyCharacter, 0, -1);
        SomeText = Repeat(AnyCharacter, 1, -1);
    }

    /// <summary>The empty language.</summary>
    public Language Nothing { get; }

    /// <summary>Only the empty text.</summary>
    public Language Epsilon { get; }

    public Language AnyCharacter { get; }

    /// <summary>All texts.</summary>
    public Language AnyText { get; }

    /// <summary>All texts but the empty one.</summary>
    public Language SomeText { get; }

    public Language Class(CodePointSet set)
    {
        if (set.IsEmpty)
            return Nothing;
        if (!_sets.TryGetValue(set, out int number))
            _sets.Add(set, number = _sets.Count);
        return Intern(new Key(LanguageKind.Class, number, 0, 0, ""), id => new Language { Id = id, Kind = LanguageKind.Class, Nullable = false, Set = set });
    }

    public Language Literal(string text)
    {
        Language result = Epsilon;
        foreach (Rune rune in text.EnumerateRunes().Reverse())
            result = Sequence(Class(CodePointSet.Of(rune.Value)), result);
        return result;
    }

    public Language AtTable(CharacterTable table, int state)
    {
        if (!_tables.TryGetValue(table, out int number))
            _tables.Add(table, number = _tables.Count);
        return Intern(
            new Key(LanguageKind.Table, number, state, 0, ""),
            id => new Language { Id = id, Kind = LanguageKind.Table, Nullable = table.Accepts[state], Table = table, TableState = state });
    }

    public Language Sequence(Language first, Language second)
    {
        if (first == Nothing || second == Nothing)
            return Nothing;
        if (first == Epsilon)
            return second;
        if (second == Epsilon)
            return first;
        if (first.Kind == LanguageKind.Sequence)
            return Sequence(first.Parts[0], Sequence(first.Parts[1], second));
        if (first == AnyText && second == AnyText)
            return AnyText;
        return Intern(
            new Key(LanguageKind.Sequence, first.Id, second.Id, 0, ""),
            id => new Language { Id = id, Kind = LanguageKind.Sequence, Nullable = first.Nullable && second.Nullable, Parts = [first, second] });
    }

    public Language Repeat(Language part, int min, int max)
    {
        if (max == 0 || part == Epsilon)
            return Epsilon;
        if (part == Nothing)
            return min == 0 ? Epsilon : Nothing;
        if (min == 1 && max == 1)
            return part;
        if (part.Nullable)
            min = 0;
        if (part.Kind == LanguageKind.Repeat && part.Min == 0 && part.Max == -1)
            return part;
        return Intern(
            new Key(LanguageKind.Repeat, part.Id, min, max, ""),
            id => new Language { Id = id, Kind = LanguageKind.Repeat, Nullable = min == 0, Parts = [part], Min = min, Max = max });
    }

    public Language Optional(Language part) => Union(part, Epsilon);

    public Language Union(params IEnumerable<Language> parts) => Combine(LanguageKind.Union, parts, neutral: Nothing, absorbing: AnyText);

    public Language Intersection(params IEnumerable<Language> parts) => Combine(LanguageKind.Intersection, parts, neutral: AnyText, absorbing: Nothing);

    public Language Difference(Language all, Language without) => Intersection(all, Complement(without));

    public Language Complement(Language part)
    {
        if (part == Nothing)
            return AnyText;
        if (part == AnyText)
            return Nothing;
        if (part.Kind == LanguageKind.Complement)
            return part.Parts[0];
        return Intern(
            new Key(LanguageKind.Complement, part.Id, 0, 0, ""),
            id => new Language { Id = id, Kind = LanguageKind.Complement, Nullable = !part.Nullable, Parts = [part] });
    }

    /// <summary>The texts t for which the code point followed by t is in the language.</summary>
    public Language Derivative(Language language, int codePoint)
    {
        if (_derivatives.TryGetValue((language.Id, codePoint), out Language? known))
            return known;
        Language result = language.Kind switch
        {
            LanguageKind.Nothing or LanguageKind.Epsilon => Nothing,
            LanguageKind.Class => language.Set!.Contains(codePoint) ? Epsilon : Nothing,
            LanguageKind.Sequence => SequenceDerivative(language, codePoint),
            LanguageKind.Repeat => Sequence(
                Derivative(language.Parts[0], codePoint),
                Repeat(language.Parts[0], Math.Max(0, language.Min - 1), language.Max < 0 ? -1 : language.Max - 1)),
            LanguageKind.Union => Union(language.Parts.Select(p => Derivative(p, codePoint))),
            LanguageKind.Intersection => Intersection(language.Parts.Select(p => Derivative(p, codePoint))),
            LanguageKind.Complement => Complement(Derivative(language.Parts[0], codePoint)),
            _ => TableDerivative(language, codePoint),
        };
        _derivatives.Add((language.Id, codePoint), result);
        return result;
    }

    private Language SequenceDerivative(Language language, int codePoint)
    {
        Language moved = Sequence(Derivative(language.Parts[0], codePoint), language.Parts[1]);
        return language.Parts[0].Nullable ? Union(moved, Derivative(language.Parts[1], codePoint)) : moved;
    }

    private Language TableDerivative(Language language, int codePoint)
    {
        int column = codePoint < 128 ? language.Table!.Characters.IndexOf((char)codePoint) : -1;
        int next = column < 0 ? -1 : language.Table!.Next[language.TableState][column];
        return next < 0 ? Nothing : AtTable(language.Table!, next);
    }

    private Language Combine(LanguageKind kind, IEnumerable<Language> parts, Language neutral, Language absorbing)
    {
        var distinct = new SortedDictionary<int, Language>();
        foreach (Language part in parts)
        {
            if (part == absorbing)
                return absorbing;
            if (part == neutral)
                continue;
            foreach (Language inner in part.Kind == kind ? part.Parts : [part])
                distinct[inner.Id] = inner;
        }

        foreach (Language part in distinct.Values)
        {
            if (part.Kind == LanguageKind.Complement && distinct.ContainsKey(part.Parts[0].Id))
                return absorbing;
        }

        if (distinct.Count == 0)
            return neutral;
        if (distinct.Count == 1)
            return distinct.Values.First();
        Language[] items = [.. distinct.Values];
        if (kind == LanguageKind.Union && items.All(i => i.Kind == LanguageKind.Class))
            return Class(items.Select(i => i.Set!).Aggregate((a, b) => a.Union(b)));
        return Intern(
            new Key(kind, 0, 0, 0, string.Join(',', distinct.Keys)),
            id => new Language
            {
                Id = id,
                Kind = kind,
                Nullable = kind == LanguageKind.Union ? items.Any(i => i.Nullable) : items.All(i => i.Nullable),
                Parts = items,
            });
    }

    private Language Intern(Key key, Func<int, Language> make)
    {
        if (!_terms.TryGetValue(key, out Language? term))
            _terms.Add(key, term = make(_terms.Count));
        return term;
    }

    private readonly record struct Key(LanguageKind Kind, int A, int B, int C, string Parts);
}
