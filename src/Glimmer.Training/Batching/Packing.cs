namespace Glimmer.Training.Batching;

/// <summary>A part of a document in a row.</summary>
/// <param name="Document">Number of the document.</param>
/// <param name="Start">First token of the part.</param>
/// <param name="Length">Tokens of the part.</param>
public readonly record struct PackedPiece(int Document, int Start, int Length);

/// <summary>What happens to documents that are longer than a row.</summary>
public enum LongDocuments
{
    /// <summary>They are cut into whole rows and a rest.</summary>
    Split,

    /// <summary>Their beginning fills a row, the rest is left out.</summary>
    Truncate,

    /// <summary>They are left out.</summary>
    Drop,
}

/// <summary>Puts documents into rows of a given length.</summary>
public static class Packing
{
    /// <summary>Best fit, the longest pieces first: a piece goes where the least space is left that holds it. For mid-training and fine-tuning, which must not cut documents that fit.</summary>
    /// <param name="lengths">Tokens of each document.</param>
    /// <param name="capacity">Tokens of a row.</param>
    /// <param name="longer">What happens to documents that do not fit a row.</param>
    /// <returns>The pieces of each row, in the order in which rows were opened.</returns>
    /// <remarks>
    /// Pieces of one length keep their order; among rows with the same space left the one that reached it first is taken. Takes time in proportion to n log n. Ding et al. 2024 (arXiv 2404.10830); trl's
    /// <c>pack_dataset</c> makes the same rows.
    /// </remarks>
    public static IReadOnlyList<IReadOnlyList<PackedPiece>> BestFit(IReadOnlyList<int> lengths, int capacity, LongDocuments longer)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        var rows = new List<List<PackedPiece>>();
        var bySpace = new Dictionary<int, Queue<int>>();
        var spaces = new SortedSet<int>();
        foreach (PackedPiece piece in Pieces(lengths, capacity, longer).OrderByDescending(piece => piece.Length))
        {
            int space = capacity, row = rows.Count;
            if (spaces.Count > 0 && spaces.Max >= piece.Length)
            {
                space = spaces.GetViewBetween(piece.Length, capacity).Min;
                Queue<int> queue = bySpace[space];
                row = queue.Dequeue();
                if (queue.Count == 0)
                    spaces.Remove(space);
            }
            else
            {
                rows.Add([]);
            }

            rows[row].Add(piece);
            int left = space - piece.Length;
            if (left == 0)
                continue;
            if (!bySpace.TryGetValue(left, out Queue<int>? same))
                bySpace.Add(left, same = new Queue<int>());
            same.Enqueue(row);
            spaces.Add(left);
        }

        return rows;
    }

    /// <summary>Documents one behind the other, cut wherever a row is full.</summary>
    /// <param name="lengths">Tokens of each document.</param>
    /// <param name="capacity">Tokens of a row.</param>
    /// <returns>The pieces of each row; the last one may not be full.</returns>
    public static IReadOnlyList<IReadOnlyList<PackedPiece>> ConcatenateAndCut(IReadOnlyList<int> lengths, int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        var rows = new List<List<PackedPiece>>();
        int left = 0;
        for (int document = 0; document < lengths.Count; document++)
        {
            for (int start = 0; start < lengths[document];)
            {
                if (left == 0)
                {
                    rows.Add([]);
                    left = capacity;
                }

                int count = Math.Min(left, lengths[document] - start);
                rows[^1].Add(new PackedPiece(document, start, count));
                (start, left) = (start + count, left - count);
            }
        }

        return rows;
    }

    /// <summary>The rows of packed documents.</summary>
    /// <param name="documents">The documents that were packed.</param>
    /// <param name="rows">What <see cref="BestFit"/> or <see cref="ConcatenateAndCut"/> made of their lengths.</param>
    public static IReadOnlyList<IReadOnlyList<TrainingDocument>> Rows(IReadOnlyList<TrainingDocument> documents, IReadOnlyList<IReadOnlyList<PackedPiece>> rows) =>
        [.. rows.Select(row => row.Select(piece => documents[piece.Document].Slice(piece.Start, piece.Length)).ToArray())];

    private static IEnumerable<PackedPiece> Pieces(IReadOnlyList<int> lengths, int capacity, LongDocuments longer)
    {
        for (int document = 0; document < lengths.Count; document++)
        {
            int length = lengths[document] <= capacity || longer == LongDocuments.Split ? lengths[document] : longer == LongDocuments.Truncate ? capacity : 0;
            for (int start = 0; start < length; start += capacity)
                yield return new PackedPiece(document, start, Math.Min(capacity, length - start));
        }
    }
}
