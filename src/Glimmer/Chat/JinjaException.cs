namespace Glimmer.Chat;

/// <summary>A chat template is malformed, failed while rendering, exceeded a limit, or refused the conversation by <c>raise_exception</c>.</summary>
public sealed class JinjaException : Exception
{
    internal JinjaException(int line, string message, bool raisedByTemplate = false, Exception? inner = null)
        : base($"chat template, line {line}: {message}", inner)
    {
        Line = line;
        RaisedByTemplate = raisedByTemplate;
    }

    /// <summary>Line of the template, from 1.</summary>
    public int Line { get; }

    /// <summary>True when the template itself called <c>raise_exception</c>: the conversation is at fault, not the template.</summary>
    public bool RaisedByTemplate { get; }
}
