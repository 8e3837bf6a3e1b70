using Glimmer.Data.Mixing;

namespace Glimmer.Training.Batching;

/// <summary>Cuts shuffled documents into rows for pre-training: documents one behind the other, cut wherever a row is full.</summary>
/// <remarks>
/// GLM-4.5 cuts anywhere in pre-training on purpose (arXiv 2508.06471, section 2.3). A row takes one token more than it feeds to the model, so that its last
/// position has a target too; that token is fed first in the next
/// row. Documents are not joined: each attends to itself alone.
/// </remarks>
public sealed class RowCutter
{
    private readonly Mixture<int[]> _documents;
    private MixtureState _before;
    private int[]? _document;
    private int _offset;

    /// <summary>Creates a cutter over one source without end.</summary>
    /// <param name="documents">Token ids of each document, with its end-of-text token.</param>
    /// <param name="rowLength">Tokens of a row.</param>
    /// <param name="seed">Seed of the order, a different one each epoch.</param>
    /// <exception cref="ArgumentException">No document has two tokens, so that there is nothing to predict.</exception>
    public RowCutter(IReadOnlyList<int[]> documents, int rowLength, ulong seed)
        : this(new Mixture<int[]>([new MixtureSource<int[]>("documents", documents, 1)], seed, document => document.Length), rowLength)
    {
    }

    /// <summary>Creates a cutter over a mixture.</summary>
    /// <param name="documents">Token ids of documents, with their end-of-text token. The cutter takes from it; nobody else may.</param>
    /// <param name="rowLength">Tokens of a row.</param>
    /// <exception cref="ArgumentException">A source has no document of two tokens, so that there is nothing to predict.</exception>
    public RowCutter(Mixture<int[]> documents, int rowLength)
    {
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentOutOfRangeException.ThrowIfLessThan(rowLength, 1);
        MixtureSource<int[]>? useless = documents.Sources.FirstOrDefault(source => !source.Items.Any(document => document.Length > 1));
        if (useless is not null)
            throw new ArgumentException($"No document of source '{useless.Name}' has two tokens or more: there is nothing to predict.", nameof(documents));
        (_documents, RowLength, _before) = (documents, rowLength, documents.State);
    }

    /// <summary>Tokens of a row.</summary>
    public int RowLength { get; }

    /// <summary>Where the next row starts in the first source. Setting it goes on there, bit for bit; use <see cref="State"/> where there are several sources.</summary>
    public DocumentCursor Cursor
    {
        get => new(_before.Sources[0].Epoch, (int)_before.Sources[0].Index, _offset);
        set => State = new RowCutterState(new MixtureState([_before.Sources[0] with { Epoch = value.Epoch, Index = value.Index }, .. _before.Sources.Skip(1)]), value.Offset);
    }

    /// <summary>Where the next row starts. Setting it goes on there, bit for bit.</summary>
    /// <exception cref="ArgumentException">The state belongs to other sources or data.</exception>
    public RowCutterState State
    {
        get => new(_before, _offset);
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            _documents.State = value.Documents;
            (_before, _document, _offset) = (value.Documents, null, 0);
            if (value.Offset == 0)
                return;
            if (!_documents.TryNext(out MixtureItem<int[]> item) || value.Offset >= item.Item.Length)
                throw new ArgumentException($"The state stands at token {value.Offset} of a document that has no such token: the data changed.", nameof(value));
            (_document, _offset) = (item.Item, value.Offset);
        }
    }

    /// <summary>Reads the next row; it is full.</summary>
    /// <exception cref="InvalidOperationException">Every source was read as often as it may be.</exception>
    public IReadOnlyList<TrainingDocument> Next()
    {
        var row = new List<TrainingDocument>();
        for (int left = RowLength; left > 0;)
        {
            int[] document = _document ??= Take();
            int count = Math.Min(left, document.Length - 1 - _offset);
            if (count > 0)
            {
                row.Add(new TrainingDocument(document[_offset..(_offset + count)], document[(_offset + 1)..(_offset + count + 1)]));
                left -= count;
                _offset += count;
            }

            if (_offset >= document.Length - 1)
                (_document, _offset, _before) = (null, 0, _documents.State);
        }

        return row;
    }

    private int[] Take() => _documents.TryNext(out MixtureItem<int[]> item)
        ? item.Item
        : throw new InvalidOperationException($"The sources are used up after {_before.Emitted} tokens: raise max_epochs, add data or train on fewer tokens.");
}
