namespace Glimmer.Training.Batching;

/// <summary>Rows of documents, one after another, from a mixture of sources.</summary>
public interface IRowSource
{
    /// <summary>Most tokens of a row.</summary>
    int RowLength { get; }

    /// <summary>Where the next row starts, as JSON. Setting what was read before goes on there, bit for bit.</summary>
    string State { get; set; }

    /// <summary>The documents of the next row, or null when every source is used up.</summary>
    IReadOnlyList<TrainingDocument>? Next();
}
