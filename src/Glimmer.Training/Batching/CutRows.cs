using System.Text.Json;
using System.Text.Json.Serialization;
using Glimmer.Data.Mixing;

namespace Glimmer.Training.Batching;

/// <summary>Cuts the documents of a mixture into rows for pre-training: one behind the other, cut wherever a row is full.</summary>
/// <remarks>
/// GLM-4.5 cuts anywhere in pre-training on purpose (arXiv 2508.06471, section 2.3). A row takes one token more than it feeds to the model, so that its last position has a target too; that
/// token is fed first in the next row. Documents are not joined: each attends to itself alone.
/// </remarks>
public sealed class CutRows : IRowSource
{
    private readonly Mixture<int[]> _documents;
    private MixtureState _before; // before the document that is being cut
    private int[]? _document;
    private int _offset;

    /// <summary>Creates the rows.</summary>
    /// <param name="documents">Token ids of each document, with its end-of-text token.</param>
    /// <param name="rowLength">Tokens of a row.</param>
    /// <exception cref="ArgumentException">A source has no document of two tokens, so that there is nothing to predict.</exception>
    public CutRows(Mixture<int[]> documents, int rowLength)
    {
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentOutOfRangeException.ThrowIfLessThan(rowLength, 1);
        if (documents.Sources.FirstOrDefault(source => !source.Items.Any(document => document.Length > 1)) is { } useless)
            throw new ArgumentException($"No document of source '{useless.Name}' has two tokens or more: there is nothing to predict.", nameof(documents));
        (_documents, RowLength, _before) = (documents, rowLength, documents.State);
    }

    /// <inheritdoc/>
    public int RowLength { get; }

    /// <inheritdoc/>
    public string State
    {
        get => JsonSerializer.Serialize(new CutState(_before, _offset), RowJson.Default.CutState);
        set
        {
            CutState state = JsonSerializer.Deserialize(value, RowJson.Default.CutState)!;
            (_documents.State, _before, _document, _offset) = (state.Documents, state.Documents, null, state.Offset);
        }
    }

    /// <summary>The documents of the next row. It is full, except for the last one of sources that may be read a limited number of times.</summary>
    public IReadOnlyList<TrainingDocument>? Next()
    {
        var row = new List<TrainingDocument>();
        for (int left = RowLength; left > 0;)
        {
            if (_document is null)
            {
                if (!_documents.TryNext(out MixtureItem<int[]> next))
                    break;
                _document = next.Item;
            }

            int count = Math.Min(left, _document.Length - 1 - _offset);
            if (count > 0)
            {
                row.Add(new TrainingDocument(_document[_offset..(_offset + count)], _document[(_offset + 1)..(_offset + count + 1)]));
                (left, _offset) = (left - count, _offset + count);
            }

            if (_offset >= _document.Length - 1)
                (_document, _offset, _before) = (null, 0, _documents.State);
        }

        return row.Count > 0 ? row : null;
    }
}

/// <summary>Where <see cref="CutRows"/> stands.</summary>
/// <param name="Documents">The mixture before the document that is being cut.</param>
/// <param name="Offset">Tokens of it that were used.</param>
internal sealed record CutState(MixtureState Documents, int Offset);

/// <summary>Where <see cref="BestFitRows"/> stands.</summary>
/// <param name="Documents">The mixture before the documents that are being packed.</param>
/// <param name="Rows">Rows of them that were given out.</param>
/// <param name="Window">Number of the window.</param>
internal sealed record BestFitState(MixtureState Documents, int Rows, long Window);

/// <summary>Generated JSON code of the states of rows.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(CutState))]
[JsonSerializable(typeof(BestFitState))]
internal sealed partial class RowJson : JsonSerializerContext;
