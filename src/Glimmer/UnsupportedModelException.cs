namespace Glimmer;

/// <summary>A well-formed model asks for an architecture or an option that Glimmer does not have.</summary>
/// <remarks>The message names the option and its value as the checkpoint spells them.</remarks>
public sealed class UnsupportedModelException : Exception
{
    /// <summary>Creates the exception with a message for the user.</summary>
    public UnsupportedModelException(string message) : base(message)
    {
    }
}
