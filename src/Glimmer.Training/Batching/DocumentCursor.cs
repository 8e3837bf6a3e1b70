namespace Glimmer.Training.Batching;

/// <summary>Where training stands in its data.</summary>
/// <param name="Epoch">Times the data was read to the end.</param>
/// <param name="Index">Documents of this epoch that were begun, in shuffled order.</param>
/// <param name="Offset">Tokens of the current document that were used.</param>
public readonly record struct DocumentCursor(long Epoch, int Index, int Offset);
