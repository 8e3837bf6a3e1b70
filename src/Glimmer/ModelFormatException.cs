namespace Glimmer;

/// <summary>A model file or folder is malformed, incomplete or contradicts itself.</summary>
/// <remarks>The message says what is wrong, where, what was expected and what to do.</remarks>
public sealed class ModelFormatException : Exception
{
    /// <summary>Creates the exception with a message for the user.</summary>
    public ModelFormatException(string message) : base(message)
    {
    }

    /// <summary>Creates the exception with a message for the user and the error that caused it.</summary>
    public ModelFormatException(string message, Exception inner) : base(message, inner)
    {
    }
}
