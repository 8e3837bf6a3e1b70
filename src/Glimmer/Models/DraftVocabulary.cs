using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>The tokens that an MTP layer drafts: a list of rows of the output matrix, then all rows that were added to it. A shorter product a draft, no weights of its own.</summary>
/// <remarks>A draft outside the list cannot be made, which costs acceptance and changes no output. Where the output matrix itself is trained, losses use all of its rows.</remarks>
internal sealed class DraftVocabulary : IDisposable
{
    private readonly Parameter _source;
    private readonly int[] _tokens;
    private readonly int[] _rowOf;
    private Parameter _rows;
    private int _version;

    /// <param name="source">The output matrix, [V, D].</param>
    /// <param name="rows">Its rows in the order of the list.</param>
    /// <param name="tokens">The list: ids below the number of the matrix's own rows, ascending.</param>
    /// <exception cref="ModelFormatException">An id is outside the matrix or the list does not ascend.</exception>
    public DraftVocabulary(Parameter source, Parameter rows, int[] tokens)
    {
        for (int i = 0; i < tokens.Length; i++)
        {
            if (tokens[i] < (i == 0 ? 0 : tokens[i - 1] + 1) || tokens[i] >= source.Shape[0])
                throw new ModelFormatException($"Entry {i} of the list of draft tokens is {tokens[i]}; ascending ids below {source.Shape[0]} are expected.");
        }

        (_source, _rows, _tokens, _version) = (source, rows, tokens, source.Version);
        _rows.AddedRows = source.AddedRows;
        _rowOf = new int[source.AllRows];
        Array.Fill(_rowOf, -1);
        for (int row = 0; row < Count; row++)
            _rowOf[TokenAt(row)] = row;
    }

    /// <summary>Tokens that can be drafted.</summary>
    public int Count => _tokens.Length + _source.AllRows - _source.Shape[0];

    /// <summary>The token of a column of <see cref="Logits"/>.</summary>
    public int TokenAt(int row) => row < _tokens.Length ? _tokens[row] : _source.Shape[0] + row - _tokens.Length;

    /// <summary>Logits, [T, <see cref="Count"/>].</summary>
    public Tensor Logits(Compute c, Tensor z) => OutputProduct.Forward(c, z, Current(c));

    /// <summary>Weighted cross-entropy over the list; targets outside it are left out.</summary>
    public double Loss(Compute c, Tensor z, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights)
    {
        if (_source.Gradient is not null)
            return CrossEntropyLoss.Forward(c, z, _source, targets, weights);
        var rows = new int[targets.Length];
        for (int t = 0; t < rows.Length; t++)
            rows[t] = targets[t] < 0 ? -1 : _rowOf[targets[t]];
        return CrossEntropyLoss.Forward(c, z, Current(c), rows, weights);
    }

    /// <inheritdoc/>
    public void Dispose() => _rows.Dispose();

    // The rows of a matrix that was trained are copied again.
    private Parameter Current(Compute c)
    {
        if (_version == _source.Version)
            return _rows;
        PackedMatrix packed = _source.Packed(c.Team);
        using Tensor values = Tensor.Allocate(DType.F32, _tokens.Length, packed.Columns);
        for (int i = 0; i < _tokens.Length; i++)
            packed.ReadRow(_tokens[i], values.F32.Slice(i * packed.Columns, packed.Columns));
        _rows.Dispose();
        _rows = new Parameter(_source.Name, MatrixPacker.Pack(c.Team, new PackedF32(_tokens.Length, packed.Columns), [new RowSource(values)])) { AddedRows = _source.AddedRows };
        _version = _source.Version;
        return _rows;
    }
}
