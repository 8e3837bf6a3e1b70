namespace Glimmer.Inference;

/// <summary>Says which tokens may come next: a grammar, a schema, a list of choices. One object follows one sequence.</summary>
/// <remarks>
/// Drafted tokens are verified one after another, and a token is accepted only when it is final, so a constraint never has to go back.
/// Called by the engine thread only.
/// </remarks>
public interface ITokenConstraint
{
    /// <summary>Writes the allowed tokens: bit <c>id % 64</c> of word <c>id / 64</c> is 1 when the token may come next.</summary>
    /// <param name="allowed">At least <c>ceil(V / 64)</c> words with undefined contents; every word must be written.</param>
    void Mask(Span<ulong> allowed);

    /// <summary>Moves on by a token that was chosen.</summary>
    void Accept(int token);
}
