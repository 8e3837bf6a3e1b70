using Glimmer.Formats;

namespace Glimmer.Training.Checkpoints;

/// <summary>The weights that a run trains, as files: a whole model, or an adapter of one that stays as it is.</summary>
public interface ITrainedWeights
{
    /// <summary>Writes the weights in fp32 with all that a loader needs beside them.</summary>
    /// <param name="folder">An existing folder.</param>
    /// <exception cref="IOException">The disk is full or cannot be written.</exception>
    void Write(string folder);

    /// <summary>Fetches what other ranks hold, before weights are written or staged. All ranks call.</summary>
    /// <param name="trainer">What trains them.</param>
    /// <param name="staging">Memory that lives until they are written.</param>
    internal void Collect(Trainer trainer, StagedTensors staging)
    {
    }

    /// <summary>Copies the weights, so that training may go on while the copy is written.</summary>
    /// <param name="staging">Memory that is kept from one checkpoint to the next.</param>
    /// <returns>What writes the copy into a folder, as <see cref="Write"/> would have at the time of the call, from any thread; null when these weights cannot be copied and are written at once.</returns>
    Action<string>? Stage(StagedTensors staging) => null;

    /// <summary>Puts stored weights into the objects that are trained.</summary>
    /// <param name="folder">Where <see cref="Write"/> wrote.</param>
    /// <exception cref="ModelFormatException">A tensor is missing or has another shape.</exception>
    void Read(string folder);
}
