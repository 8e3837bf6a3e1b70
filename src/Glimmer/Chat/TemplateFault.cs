namespace Glimmer.Chat;

/// <summary>Something in a template went wrong; becomes a <see cref="JinjaException"/> once the line is known.</summary>
internal sealed class TemplateFault(string message, bool raisedByTemplate = false) : Exception(message)
{
    /// <summary>True for <c>raise_exception</c>.</summary>
    public bool RaisedByTemplate { get; } = raisedByTemplate;
}
