using Glimmer.Training.Distributed;

namespace Glimmer.Cli;

/// <summary>Runs a command on the ranks that <c>mpirun</c> started, or in this process alone: the root reports, an error of one rank ends all.</summary>
internal static class RankedRun
{
    /// <summary>Runs the command.</summary>
    /// <param name="terminal">Where errors go.</param>
    /// <param name="command">Gets the ranks and returns the exit code.</param>
    public static int Execute(Terminal terminal, Func<Communicator, int> command)
    {
        using Communicator ranks = Communicator.Open();
        if (ranks.Size == 1)
            return command(ranks);
        try
        {
            return command(ranks);
        }
        catch (RankFailedException) when (ranks.FailedTogether)
        {
            return ExitCodes.Failure; // the rank that failed says why
        }
        catch (Exception error)
        {
            terminal.Notice($"rank {ranks.Rank} of {ranks.Size}: {GlimmerCommand.OneLine(error)}");
            // Whoever waits for this rank would wait for ever.
            if (!ranks.FailedTogether)
                ranks.Abort(ExitCodes.Failure);
            return ExitCodes.Failure;
        }
    }
}
