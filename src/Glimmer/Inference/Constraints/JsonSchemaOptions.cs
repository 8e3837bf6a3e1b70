namespace Glimmer.Inference.Constraints;

/// <summary>How JSON that satisfies a schema may be written.</summary>
public sealed record JsonSchemaOptions
{
    /// <summary>Whether white space may stand between the tokens of JSON; without it the form is compact.</summary>
    public bool Whitespace { get; init; } = true;

    /// <summary>
    /// Whether members may come in any order. Otherwise declared ones come in the order of the schema and all others after them. An object with more
    /// than 10 declared names is refused when this is set: its automaton has a state for each subset of them.
    /// </summary>
    public bool AnyOrder { get; init; }

    /// <summary>Whether an integer may be written <c>1.0</c>, as the specification has it, and a constant with zeros after its fraction.</summary>
    public bool AnyNumberForm { get; init; }
}
