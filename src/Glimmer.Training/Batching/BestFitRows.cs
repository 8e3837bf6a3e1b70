using System.Text.Json;
using Glimmer.Data.Mixing;

namespace Glimmer.Training.Batching;

/// <summary>Packs the documents of a mixture into rows by best fit: none that fits a row is cut. For mid-training.</summary>
/// <remarks>
/// Documents are packed a window at a time and the rows of a window are given out in a seeded order, so that long documents do not come first. GLM packs so from mid-training on (arXiv
/// 2508.06471, section 2.3).
/// </remarks>
public sealed class BestFitRows : IRowSource
{
    /// <summary>Documents that are packed together.</summary>
    public const int Window = 1000;

    private readonly Mixture<int[]> _documents;
    private readonly LongDocuments _longer;
    private readonly ulong _seed;
    private MixtureState _before;
    private IReadOnlyList<IReadOnlyList<TrainingDocument>>? _rows;
    private ShuffledOrder? _order;
    private int _given;
    private long _window;

    /// <summary>Creates the rows.</summary>
    /// <param name="documents">Token ids of each document, with its end-of-text token.</param>
    /// <param name="rowLength">Most tokens of a row.</param>
    /// <param name="longer">What happens to documents that are longer than a row.</param>
    /// <param name="seed">Seed of the order of the rows.</param>
    public BestFitRows(Mixture<int[]> documents, int rowLength, LongDocuments longer, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rowLength, 1);
        (_documents, RowLength, _longer, _seed, _before) = (documents, rowLength, longer, seed, documents.State);
    }

    /// <inheritdoc/>
    public int RowLength { get; }

    /// <inheritdoc/>
    public string State
    {
        get => JsonSerializer.Serialize(new BestFitState(_before, _given, _window), RowJson.Default.BestFitState);
        set
        {
            BestFitState state = JsonSerializer.Deserialize(value, RowJson.Default.BestFitState)!;
            (_documents.State, _before, _rows, _given, _window) = (state.Documents, state.Documents, null, state.Rows, state.Window);
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">No document of a window fits a row, or none has two tokens.</exception>
    public IReadOnlyList<TrainingDocument>? Next()
    {
        if (_rows is null && !Fill())
            return null;
        IReadOnlyList<TrainingDocument> row = _rows![(int)_order!.At(_window, _given)];
        if (++_given == _rows.Count)
            (_rows, _given, _window, _before) = (null, 0, _window + 1, _documents.State);
        return row;
    }

    private bool Fill()
    {
        var window = new List<TrainingDocument>();
        int taken = 0;
        while (taken < Window && _documents.TryNext(out MixtureItem<int[]> next))
        {
            taken++;
            if (next.Item.Length > 1)
                window.Add(new TrainingDocument(next.Item[..^1], next.Item[1..]));
        }

        if (taken == 0)
            return false;
        _rows = Packing.Rows(window, Packing.BestFit([.. window.Select(document => document.Tokens.Length)], RowLength, _longer));
        if (_rows.Count == 0)
            throw new ArgumentException($"None of {taken} documents fits a row of {RowLength} tokens, or they have one token each. Use longer rows, or packing 'cut'.");
        _order = new ShuffledOrder(_rows.Count, _seed);
        return true;
    }
}
