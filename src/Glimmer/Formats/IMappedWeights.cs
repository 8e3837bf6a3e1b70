namespace Glimmer.Formats;

/// <summary>A checkpoint file that is mapped into memory, in one part or several.</summary>
internal interface IMappedWeights : IDisposable
{
    /// <summary>The mapped parts, each with the number of its bytes before the data of the tensors.</summary>
    IEnumerable<(MappedFile File, long HeaderBytes)> Files { get; }
}
