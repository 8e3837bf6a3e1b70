using System.Globalization;
using System.Text.Json;
using Glimmer.Data.Mixing;
using Glimmer.Training.Batching;

namespace Glimmer.Training.Sft;

/// <summary>How samples become rows and batches.</summary>
public sealed record SftRowOptions
{
    /// <summary>Whether several samples share a row, by best fit; each still attends to itself alone.</summary>
    public bool Packing { get; init; }

    /// <summary>Tokens of a packed row.</summary>
    public int RowLength { get; init; } = 2048;

    /// <summary>Rows that go through the model at once.</summary>
    public int MicroBatchSize { get; init; } = 1;

    /// <summary>Rows of a step.</summary>
    public int GlobalBatchSize { get; init; } = 16;

    /// <summary>Times that the data is gone through; may be a fraction. Null for as often as the steps of the run need.</summary>
    public double? Epochs { get; init; } = 3;

    /// <summary>Whether rows come in another order every epoch, else in that of the data.</summary>
    public bool Shuffle { get; init; } = true;

    /// <summary>Whether rows of about the same length go together: less to pad elsewhere, and the longest batch comes first. Not with packing.</summary>
    public bool GroupByLength { get; init; }

    /// <summary>Seed of the order.</summary>
    public ulong Seed { get; init; } = 42;
}

/// <summary>Rows of samples in global batches, epoch after epoch. The order is a function of seed and place, so that a position is all there is to store.</summary>
public sealed class SftRows : IBatchSource
{
    // ms-swift and transformers sort by length within so many batches.
    private const int MegaBatch = 50;

    private readonly SftRowOptions _options;
    private readonly IReadOnlyList<IReadOnlyList<TrainingDocument>> _rows;
    private readonly ShuffledOrder _order;
    private long _next;
    private (long Epoch, int[] Rows) _grouped = (-1, []);

    /// <summary>Makes rows of samples.</summary>
    /// <param name="samples">The samples; none longer than a row.</param>
    /// <param name="options">How.</param>
    /// <exception cref="ArgumentException">There is no sample.</exception>
    public SftRows(IReadOnlyList<SftSample> samples, SftRowOptions options)
    {
        ArgumentNullException.ThrowIfNull(samples);
        ArgumentNullException.ThrowIfNull(options);
        if (samples.Count == 0)
            throw new ArgumentException("No sample is left to train on.", nameof(samples));
        _options = options;
        TrainingDocument[] documents = [.. samples.Select(sample => sample.ToDocument())];
        _rows = options.Packing
            ? Packing.Rows(documents, Packing.BestFit([.. documents.Select(document => document.Tokens.Length)], options.RowLength, LongDocuments.Drop))
            : [.. documents.Select(document => new[] { document })];
        _order = new ShuffledOrder(_rows.Count, options.Seed);
    }

    /// <summary>Rows of an epoch.</summary>
    public int RowCount => _rows.Count;

    /// <summary>Tokens of an epoch.</summary>
    public long TokenCount => _rows.Sum(row => row.Sum(document => (long)document.Tokens.Length));

    /// <summary>Steps of all epochs: <c>ceil(rows * epochs / global batch)</c>.</summary>
    public long Steps => (TotalRows + _options.GlobalBatchSize - 1) / _options.GlobalBatchSize;

    /// <inheritdoc/>
    public string State
    {
        get => string.Create(CultureInfo.InvariantCulture, $$"""{"row": {{_next}}, "rows": {{_rows.Count}}}""");
        set
        {
            using JsonDocument json = JsonDocument.Parse(value);
            if (!json.RootElement.TryGetProperty("row", out JsonElement row) || !json.RootElement.TryGetProperty("rows", out JsonElement rows))
                throw new ModelFormatException("The state of the data in the checkpoint is not that of fine-tuning rows.");
            if (rows.GetInt32() != _rows.Count)
                throw new ModelFormatException($"The run was made with {rows.GetInt32()} rows of data, now there are {_rows.Count}. Go on with the same files and the same options.");
            _next = row.GetInt64();
        }
    }

    private long TotalRows => _options.Epochs is { } epochs ? (long)Math.Ceiling((_rows.Count * epochs) - 1e-9) : long.MaxValue / 2;

    /// <inheritdoc/>
    public IReadOnlyList<MicroBatch>? Next(long tokens)
    {
        int count = (int)Math.Min(_options.GlobalBatchSize, TotalRows - _next);
        if (count <= 0)
            return null;
        var batch = new List<MicroBatch>();
        for (int done = 0; done < count; done += _options.MicroBatchSize)
        {
            int size = Math.Min(_options.MicroBatchSize, count - done);
            batch.Add(new MicroBatch([.. Enumerable.Range(0, size).Select(i => Row(_next + done + i))]));
        }

        _next += count;
        return batch;
    }

    private IReadOnlyList<TrainingDocument> Row(long place)
    {
        long epoch = place / _rows.Count;
        int index = (int)(place % _rows.Count);
        if (!_options.GroupByLength)
            return _rows[At(epoch, index)];
        if (_grouped.Epoch != epoch)
            _grouped = (epoch, Group(epoch));
        return _rows[_grouped.Rows[index]];
    }

    private int At(long epoch, int index) => _options.Shuffle ? (int)_order.At(epoch, index) : index;

    private int[] Group(long epoch)
    {
        int size = MegaBatch * _options.GlobalBatchSize;
        int[] rows = [.. Enumerable.Range(0, _rows.Count).Select(i => At(epoch, i)).Chunk(size).SelectMany(chunk => chunk.OrderByDescending(Length))];
        // The batch with the longest row first, so that a lack of memory shows early.
        int longest = Enumerable.Range(0, (rows.Length + size - 1) / size).MaxBy(chunk => Length(rows[chunk * size])) * size;
        for (int i = 0; i < _options.GlobalBatchSize && longest + i < rows.Length; i++)
            (rows[i], rows[longest + i]) = (rows[longest + i], rows[i]);
        return rows;
    }

    private int Length(int row) => _rows[row].Sum(document => document.Tokens.Length);
}
