using Glimmer.Formats;

namespace Glimmer.Training.Checkpoints;

/// <summary>The weights that a run trains, as files: a whole model, or an adapter of one that stays as it is.</summary>
public interface ITrainedWeights
{
    /// <summary>Writes the weights in fp32 with all that a loader needs beside them.</summary>
    /// <param name="folder">An existing folder.</param>
    /// <exception cref="IOException">The disk is full or cannot be written.</exception>
    void Write(string folder);

    /// <summary>Puts stored weights into the objects that are trained.</summary>
    /// <param name="folder">Where <see cref="Write"/> wrote.</param>
    /// <exception cref="ModelFormatException">A tensor is missing or has another shape.</exception>
    void Read(string folder);
}
