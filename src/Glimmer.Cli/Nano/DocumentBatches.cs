using System.Globalization;
using Glimmer.Training.Batching;

namespace Glimmer.Cli.Nano;

/// <summary>Batches of whole documents in their order, one row each; the list begins again at its end.</summary>
internal sealed class DocumentBatches(IReadOnlyList<TrainingDocument> documents, int microBatchTokens) : IBatchSource
{
    private long _next;

    /// <inheritdoc/>
    public string State
    {
        get => _next.ToString(CultureInfo.InvariantCulture);
        set => _next = long.Parse(value, CultureInfo.InvariantCulture);
    }

    /// <inheritdoc/>
    public IReadOnlyList<MicroBatch>? Next(long tokens)
    {
        var batch = new List<MicroBatch>();
        var rows = new List<IReadOnlyList<TrainingDocument>>();
        long taken = 0, inMicro = 0;
        while (taken < tokens)
        {
            TrainingDocument document = documents[(int)(_next++ % documents.Count)];
            rows.Add([document]);
            taken += document.Tokens.Length;
            inMicro += document.Tokens.Length;
            if (inMicro < microBatchTokens)
                continue;
            batch.Add(new MicroBatch(rows));
            (rows, inMicro) = ([], 0);
        }

        if (rows.Count > 0)
            batch.Add(new MicroBatch(rows));
        return batch;
    }
}
