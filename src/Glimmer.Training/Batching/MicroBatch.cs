namespace Glimmer.Training.Batching;

/// <summary>Rows that go through the model together. A row is what one sequence of the batch holds: documents one behind the other, without padding.</summary>
/// <remarks>
/// Each document attends only to itself and its positions start at 0, so that packing changes no number. Rows matter for the sequence balance loss alone.
/// </remarks>
/// <param name="Rows">The documents of each row.</param>
public sealed record MicroBatch(IReadOnlyList<IReadOnlyList<TrainingDocument>> Rows)
{
    /// <summary>Tokens of all rows.</summary>
    public long TokenCount => Documents.Sum(document => (long)document.Tokens.Length);

    /// <summary>All documents in order.</summary>
    internal IEnumerable<TrainingDocument> Documents => Rows.SelectMany(row => row);

    /// <summary>Tokens of each row.</summary>
    internal IReadOnlyList<int> RowLengths => [.. Rows.Select(row => row.Sum(document => document.Tokens.Length))];

    /// <summary>Sum of the weights of what is predicted <paramref name="depth"/> tokens further ahead than the next token.</summary>
    internal double WeightOf(int depth) =>
        Documents.Sum(document => Enumerable.Range(0, document.Tokens.Length).Sum(i => (double)document.Ahead(i, depth).Weight));

    /// <summary>Targets and weights of one depth over all tokens.</summary>
    internal (int[] Targets, float[] Weights) TargetsOf(int depth, double scale)
    {
        var targets = new List<int>();
        var weights = new List<float>();
        foreach (TrainingDocument document in Documents)
        {
            for (int i = 0; i < document.Tokens.Length; i++)
            {
                (int target, float weight) = document.Ahead(i, depth);
                targets.Add(target);
                weights.Add((float)(weight * scale));
            }
        }

        return ([.. targets], [.. weights]);
    }
}
