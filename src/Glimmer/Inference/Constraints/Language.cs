namespace Glimmer.Inference.Constraints;

internal enum LanguageKind : byte
{
    Nothing,
    Epsilon,
    Class,
    Sequence,
    Repeat,
    Union,
    Intersection,
    Complement,
    Table,
}

/// <summary>
/// A regular language over Unicode scalar values, as a term of the extended regular expressions (with intersection and complement). Terms come
/// from a <see cref="LanguageArena"/>, which makes equal terms the same object; membership and automata follow from Brzozowski derivatives
/// (Brzozowski 1964; Owens, Reppy and Turon 2009).
/// </summary>
internal sealed class Language
{
    public required int Id { get; init; }

    public required LanguageKind Kind { get; init; }

    /// <summary>Whether the empty text is a member.</summary>
    public required bool Nullable { get; init; }

    /// <summary>Members of a one-character language.</summary>
    public CodePointSet? Set { get; init; }

    /// <summary>Parts: two of a sequence, one of a repetition or complement, two or more (by ascending id) of a union or intersection.</summary>
    public Language[] Parts { get; init; } = [];

    /// <summary>Least number of repetitions.</summary>
    public int Min { get; init; }

    /// <summary>Largest number of repetitions; -1 without bound.</summary>
    public int Max { get; init; }

    /// <summary>A ready automaton, which stands at <see cref="TableState"/>.</summary>
    public CharacterTable? Table { get; init; }

    public int TableState { get; init; }
}

/// <summary>A deterministic automaton over some characters, -1 where it has no move.</summary>
/// <param name="Characters">The alphabet; every other character has no move.</param>
/// <param name="Next">Successors, [states, characters].</param>
/// <param name="Accepts">Whether the text may end, [states].</param>
internal sealed record CharacterTable(string Characters, int[][] Next, bool[] Accepts);
