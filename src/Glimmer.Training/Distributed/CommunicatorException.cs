namespace Glimmer.Training.Distributed;

/// <summary>Ranks cannot exchange data: the library of MPI is missing or reports an error, or a rank has ended.</summary>
public class CommunicatorException(string message, Exception? inner = null) : IOException(message, inner);

/// <summary>Another rank failed. All ranks have left the work that failed; the rank that failed throws the error itself.</summary>
public sealed class RankFailedException(int rank, string message) : CommunicatorException($"Rank {rank} failed: {message}")
{
    /// <summary>The rank that failed.</summary>
    public int Rank { get; } = rank;
}
