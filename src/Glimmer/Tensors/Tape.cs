namespace Glimmer.Tensors;

/// <summary>One recorded operation: what it saved in the forward pass, and how to go back.</summary>
internal abstract class TapeEntry
{
    /// <summary>Adds the gradients of the inputs and parameters, given that of the output.</summary>
    public abstract void Backward();
}

/// <summary>Records operations in order and runs their backward passes in reverse.</summary>
/// <remarks>
/// Each operation has its own entry type whose fields are all that it saves. Gradients of activations sit on the tensors
/// (<see cref="Tensor.Gradient"/>) in the same workspace; gradients of parameters in the parameters.
/// </remarks>
public sealed class Tape
{
    private readonly List<TapeEntry> _entries = [];

    /// <summary>Operations recorded so far.</summary>
    public int Count => _entries.Count;

    internal void Record(TapeEntry entry) => _entries.Add(entry);

    /// <summary>Runs every recorded operation backward, the last first, and forgets them.</summary>
    public void Backward()
    {
        for (int i = _entries.Count - 1; i >= 0; i--)
            _entries[i].Backward();
        _entries.Clear();
    }
}
