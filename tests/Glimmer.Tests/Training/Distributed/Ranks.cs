using Glimmer.Training.Distributed;

namespace Glimmer.Tests.Training.Distributed;

/// <summary>Runs a body on several ranks, each a thread.</summary>
internal static class Ranks
{
    /// <summary>The results of all ranks; the first error, when one fails that is not another rank's.</summary>
    public static T[] Run<T>(int size, Func<Communicator, T> body)
    {
        (T? Result, Exception? Error)[] ends = Ends(size, body);
        if (ends.Select(end => end.Error).OrderBy(error => error is CommunicatorException).FirstOrDefault(error => error is not null) is { } error)
            throw new InvalidOperationException(error.Message, error);
        return [.. ends.Select(end => end.Result!)];
    }

    /// <summary>How each rank ended.</summary>
    public static (T? Result, Exception? Error)[] Ends<T>(int size, Func<Communicator, T> body)
    {
        var ends = new (T? Result, Exception? Error)[size];
        Thread[] threads = [.. ThreadCommunicator.Create(size).Select(ranks => new Thread(() =>
        {
            try
            {
                using (ranks)
                    ends[ranks.Rank] = (body(ranks), null);
            }
            catch (Exception e)
            {
                ends[ranks.Rank] = (default, e);
            }
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            Assert.True(thread.Join(TimeSpan.FromMinutes(2)), "a rank waits for ever");
        return ends;
    }
}
