namespace Glimmer.Training.Batching;

/// <summary>Global batches of rows.</summary>
/// <param name="rows">The rows.</param>
/// <param name="microBatchRows">Rows of a micro-batch.</param>
public sealed class RowBatches(IRowSource rows, int microBatchRows) : IBatchSource
{
    /// <inheritdoc/>
    public string State
    {
        get => rows.State;
        set => rows.State = value;
    }

    /// <summary>The next global batch: as many whole rows as <paramref name="tokens"/> hold, at least one. The last one may be smaller.</summary>
    public IReadOnlyList<MicroBatch>? Next(long tokens)
    {
        var batch = new List<MicroBatch>();
        var micro = new List<IReadOnlyList<TrainingDocument>>();
        for (long left = Math.Max(1, tokens / rows.RowLength); left > 0 && rows.Next() is { } row; left--)
        {
            micro.Add(row);
            if (micro.Count < microBatchRows)
                continue;
            batch.Add(new MicroBatch(micro));
            micro = [];
        }

        if (micro.Count > 0)
            batch.Add(new MicroBatch(micro));
        return batch.Count > 0 ? batch : null;
    }
}
