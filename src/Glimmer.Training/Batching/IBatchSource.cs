namespace Glimmer.Training.Batching;

/// <summary>Where the global batches of a run come from.</summary>
public interface IBatchSource
{
    /// <summary>Where the next batch starts, as JSON. Setting what was read before goes on there, bit for bit.</summary>
    string State { get; set; }

    /// <summary>The next global batch.</summary>
    /// <param name="tokens">Tokens that it should have; sources whose batch has a fixed number of samples do not look at it.</param>
    /// <returns>The micro-batches, or null when the data has come to its end.</returns>
    IReadOnlyList<MicroBatch>? Next(long tokens);
}
