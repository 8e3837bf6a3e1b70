namespace Glimmer.Training.Batching;

/// <summary>Cuts shuffled documents into rows for pre-training: documents one behind the other, cut wherever a row is full.</summary>
/// <remarks>
/// GLM-4.5 cuts anywhere in pre-training on purpose (arXiv 2508.06471, section 2.3). A row takes one token more than it feeds to the model, so that its last position has a target too; that token is fed first in the next
/// row. Documents are not joined: each attends to itself alone.
/// </remarks>
public sealed class RowCutter
{
    private readonly IReadOnlyList<int[]> _documents;
    private readonly ShuffledOrder _order;

    /// <summary>Creates a cutter.</summary>
    /// <param name="documents">Token ids of each document, with its end-of-text token.</param>
    /// <param name="rowLength">Tokens of a row.</param>
    /// <param name="seed">Seed of the order, a different one each epoch.</param>
    /// <exception cref="ArgumentException">No document has two tokens, so that there is nothing to predict.</exception>
    public RowCutter(IReadOnlyList<int[]> documents, int rowLength, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rowLength, 1);
        if (!documents.Any(document => document.Length > 1))
            throw new ArgumentException("No document has two tokens or more: there is nothing to predict.", nameof(documents));
        (_documents, RowLength, _order) = (documents, rowLength, new ShuffledOrder(documents.Count, seed));
    }

    /// <summary>Tokens of a row.</summary>
    public int RowLength { get; }

    /// <summary>Where the next row starts. Setting it goes on there, bit for bit.</summary>
    public DocumentCursor Cursor { get; set; }

    /// <summary>Reads the next row; it is full.</summary>
    public IReadOnlyList<TrainingDocument> Next()
    {
        var row = new List<TrainingDocument>();
        for (int left = RowLength; left > 0;)
        {
            int[] document = _documents[_order.At(Cursor.Epoch, Cursor.Index)];
            int count = Math.Min(left, document.Length - 1 - Cursor.Offset);
            if (count > 0)
            {
                row.Add(new TrainingDocument(document[Cursor.Offset..(Cursor.Offset + count)], document[(Cursor.Offset + 1)..(Cursor.Offset + count + 1)]));
                left -= count;
                Cursor = Cursor with { Offset = Cursor.Offset + count };
            }

            if (Cursor.Offset >= document.Length - 1)
                Cursor = Cursor.Index + 1 < _order.Count ? Cursor with { Index = Cursor.Index + 1, Offset = 0 } : new DocumentCursor(Cursor.Epoch + 1, 0, 0);
        }

        return row;
    }
}
