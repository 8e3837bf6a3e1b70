namespace Glimmer.Training.Batching;

/// <summary>How documents become rows.</summary>
public enum RowPacking
{
    /// <summary>One behind the other, cut wherever a row is full.</summary>
    Cut,

    /// <summary>Best fit: none that fits a row is cut.</summary>
    BestFit,
}
