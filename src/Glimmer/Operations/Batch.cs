namespace Glimmer.Operations;

/// <summary>A run of consecutive tokens of one sequence inside a <see cref="Batch"/>.</summary>
/// <param name="FirstToken">Index of the first token in the flat list.</param>
/// <param name="Count">Number of tokens.</param>
/// <param name="FirstPosition">Position of the first token in its sequence.</param>
/// <param name="Cache">Where keys and values live; null when all keys are in this batch (training, scoring a whole text).</param>
/// <param name="Adapter">Number under which the adapter of the sequence is attached to the model; 0 for the one that is attached to the model as a whole, or none.</param>
public readonly record struct BatchSlice(int FirstToken, int Count, int FirstPosition, CachedSequence? Cache, int Adapter = 0);

/// <summary>
/// A flat list of tokens and the layout that says which tokens belong to which sequence, at which positions, and where their keys and
/// values live. Packed documents, prefill chunks, decode steps and draft verification are all the same shape.
/// </summary>
/// <remarks>One batch object is refilled for each step, so that a step allocates nothing.</remarks>
public sealed class Batch
{
    private readonly List<int> _tokens = [];
    private readonly List<int> _positions = [];
    private readonly List<BatchSlice> _slices = [];
    private readonly List<AdapterRun> _runs = [];

    /// <summary>T: tokens of all sequences.</summary>
    public int TokenCount => _tokens.Count;

    /// <summary>Token ids, [T].</summary>
    public ReadOnlySpan<int> Tokens => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_tokens);

    /// <summary>Position of each token in its sequence, [T].</summary>
    public ReadOnlySpan<int> Positions => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_positions);

    /// <summary>The sequences, in the order of their tokens.</summary>
    public ReadOnlySpan<BatchSlice> Slices => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_slices);

    /// <summary>Which rows compute with which adapter; null when all of them have number 0.</summary>
    internal List<AdapterRun>? AdapterRuns => _runs.Count == 0 || (_runs.Count == 1 && _runs[0].Adapter == 0) ? null : _runs;

    /// <summary>A batch with the same tokens that later changes of this one do not touch.</summary>
    internal Batch Copy()
    {
        var copy = new Batch();
        copy._tokens.AddRange(_tokens);
        copy._positions.AddRange(_positions);
        copy._slices.AddRange(_slices);
        copy._runs.AddRange(_runs);
        return copy;
    }

    /// <summary>Forgets all tokens.</summary>
    public void Clear()
    {
        _tokens.Clear();
        _positions.Clear();
        _slices.Clear();
        _runs.Clear();
    }

    /// <summary>Appends a whole document whose keys are all in this batch; positions start at 0.</summary>
    /// <param name="tokens">Its tokens.</param>
    /// <param name="adapter">Number of its adapter; 0 for the one that is attached to the model as a whole, or none.</param>
    public void AddDocument(ReadOnlySpan<int> tokens, int adapter = 0) => Add(tokens, 0, null, adapter);

    /// <summary>Appends tokens that continue a cached sequence at <paramref name="firstPosition"/> and makes room for their keys.</summary>
    /// <param name="cache">Where its keys and values are.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="firstPosition">Position of the first of them.</param>
    /// <param name="adapter">Number of the sequence's adapter; 0 for the one that is attached to the model as a whole, or none.</param>
    public void AddCached(CachedSequence cache, ReadOnlySpan<int> tokens, int firstPosition, int adapter = 0)
    {
        cache.EnsureCapacity(checked(firstPosition + tokens.Length));
        Add(tokens, firstPosition, cache, adapter);
    }

    /// <summary>Appends tokens of a cached sequence and, behind them, drafts to be verified.</summary>
    internal void AddCached(CachedSequence cache, ReadOnlySpan<int> tokens, int firstPosition, ReadOnlySpan<int> drafts, int adapter = 0)
    {
        cache.EnsureCapacity(firstPosition + tokens.Length + drafts.Length);
        Add(tokens, firstPosition, cache, adapter);
        AdapterRun.Append(_runs, adapter, drafts.Length);
        BatchSlice slice = _slices[^1];
        _slices[^1] = slice with { Count = slice.Count + drafts.Length };
        for (int i = 0; i < drafts.Length; i++)
        {
            _tokens.Add(drafts[i]);
            _positions.Add(firstPosition + tokens.Length + i);
        }
    }

    private void Add(ReadOnlySpan<int> tokens, int firstPosition, CachedSequence? cache, int adapter)
    {
        if (tokens.IsEmpty)
            throw new ArgumentException("A sequence of a batch needs at least one token.", nameof(tokens));
        ArgumentOutOfRangeException.ThrowIfNegative(firstPosition);
        ArgumentOutOfRangeException.ThrowIfNegative(adapter);
        _slices.Add(new BatchSlice(_tokens.Count, tokens.Length, firstPosition, cache, adapter));
        AdapterRun.Append(_runs, adapter, tokens.Length);
        for (int i = 0; i < tokens.Length; i++)
        {
            _tokens.Add(tokens[i]);
            _positions.Add(firstPosition + i);
        }
    }
}
