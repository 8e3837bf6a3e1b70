namespace Glimmer.Kernels;

/// <summary>A reusable piece of work for a <see cref="ThreadTeam"/>: every thread of the team runs <see cref="Execute"/> once.</summary>
public abstract class TeamJob
{
    /// <summary>Does this thread's share of the work.</summary>
    /// <param name="thread">Index of the thread, 0 to <paramref name="threads"/> - 1; 0 is the caller of <see cref="ThreadTeam.Run(TeamJob)"/>.</param>
    /// <param name="threads">Threads in the team.</param>
    public abstract void Execute(int thread, int threads);
}
