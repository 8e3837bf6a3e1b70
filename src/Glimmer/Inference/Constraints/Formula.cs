namespace Glimmer.Inference.Constraints;

/// <summary>The kinds of JSON values as a set.</summary>
[Flags]
internal enum ValueKinds : byte
{
    None = 0,
    Null = 1,
    True = 2,
    False = 4,
    Number = 8,
    String = 16,
    Array = 32,
    Object = 64,
    All = 127,
}

internal enum FormulaKind : byte
{
    /// <summary>The value is of one of some kinds. All kinds is truth, no kind is falsehood.</summary>
    Kinds,

    /// <summary>The value is a number written in a language.</summary>
    Number,

    /// <summary>The value is a string of a language.</summary>
    String,

    /// <summary>The value is an array in which the elements From..To that satisfy Of are at least Min and at most Max.</summary>
    Elements,

    /// <summary>The value is an object in which the members with a name of the language whose value satisfies Of are at least Min and at most Max.</summary>
    Members,

    /// <summary>The value satisfies the schema at a pointer.</summary>
    Reference,
    And,
    Or,
    Not,
}

/// <summary>A condition on a JSON value: what a schema says, as a term with boolean operations. Terms come from a <see cref="FormulaArena"/>.</summary>
internal sealed class Formula
{
    /// <summary>Stands for "no upper bound" in <see cref="Max"/> and <see cref="To"/>.</summary>
    public const int Unbounded = int.MaxValue;

    public required int Id { get; init; }

    public required FormulaKind Kind { get; init; }

    public ValueKinds Kinds { get; init; }

    public Language? Language { get; init; }

    /// <summary>The one name of the language, when there is only one.</summary>
    public string? Name { get; init; }

    public int From { get; init; }

    public int To { get; init; }

    public Formula? Of { get; init; }

    public int Min { get; init; }

    public int Max { get; init; }

    /// <summary>Pointer of a reference.</summary>
    public string Pointer { get; init; } = "";

    /// <summary>Parts in the order of the schema: members are emitted in the order in which they are first named.</summary>
    public Formula[] Parts { get; init; } = [];
}
