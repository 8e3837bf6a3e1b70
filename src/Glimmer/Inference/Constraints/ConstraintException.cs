namespace Glimmer.Inference.Constraints;

/// <summary>A constraint that cannot be compiled: malformed, or outside of what an automaton can express exactly.</summary>
public sealed class ConstraintException : Exception
{
    internal ConstraintException(string message, string? keyword = null)
        : base(message) => Keyword = keyword;

    /// <summary>The schema keyword or syntax that cannot be expressed; null when the text of the constraint is malformed.</summary>
    public string? Keyword { get; }

    internal static ConstraintException Unsupported(string keyword, string why) =>
        new($"'{keyword}' cannot be expressed: {why}", keyword);
}
