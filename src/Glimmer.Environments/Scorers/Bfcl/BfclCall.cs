namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>A call that a model made.</summary>
/// <param name="Name">The function.</param>
/// <param name="Arguments">A dict from parameter to value. Values of Java and JavaScript calls are strings with source text.</param>
internal sealed record BfclCall(string Name, PythonValue Arguments)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name}({string.Join(", ", Arguments.Pairs.Select(pair => $"{(pair.Key.Type == PythonType.String ? pair.Key.Text : pair.Key)}={pair.Value}"))})";
}

/// <summary>The language whose types a function's parameters have.</summary>
internal enum BfclLanguage
{
    Python,
    Java,
    JavaScript,
}

/// <summary>What the checker says of an answer.</summary>
/// <param name="IsValid">Whether the answer is right.</param>
/// <param name="ErrorType">What is wrong, in the words of the reference; null when it is right.</param>
/// <param name="Message">Where it is wrong.</param>
internal sealed record BfclVerdict(bool IsValid, string? ErrorType = null, string? Message = null)
{
    /// <summary>The answer is right.</summary>
    public static BfclVerdict Valid { get; } = new(true);
}

/// <summary>The data or the answer are of a shape that the reference checker cannot handle; it fails, and the answer counts as wrong.</summary>
internal sealed class BfclCheckException(string message) : Exception(message);
