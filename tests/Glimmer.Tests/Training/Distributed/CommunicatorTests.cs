using Glimmer.Training.Distributed;

namespace Glimmer.Tests.Training.Distributed;

public class CommunicatorTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Parts_of_different_sizes_arrive_where_they_belong(int size)
    {
        Ranks.Run(size, ranks =>
        {
            // Rank r sends r + 2 s bytes to rank s, each of them 16 r + s.
            int[] send = [.. Enumerable.Range(0, size).Select(to => ranks.Rank + (2 * to))], receive = [.. Enumerable.Range(0, size).Select(from => from + (2 * ranks.Rank))];
            byte[] outgoing = [.. send.SelectMany((count, to) => Enumerable.Repeat((byte)((16 * ranks.Rank) + to), count))], incoming = new byte[receive.Sum()];
            ranks.AllToAll(outgoing, send, incoming, receive);
            Assert.Equal(receive.SelectMany((count, from) => Enumerable.Repeat((byte)((16 * from) + ranks.Rank), count)), incoming);

            int[] counts = [.. Enumerable.Range(0, size)];
            byte[] own = [.. Enumerable.Repeat((byte)ranks.Rank, ranks.Rank)], all = new byte[counts.Sum()], expected = [.. counts.SelectMany(rank => Enumerable.Repeat((byte)rank, rank))];
            ranks.AllGather(own, all, counts);
            Assert.Equal(expected, all);
            Array.Clear(all);
            ranks.Gather(own, all, counts);
            if (ranks.IsRoot)
                Assert.Equal(expected, all);

            Assert.Equal(Enumerable.Range(0, size).Select(rank => rank == 1 ? "" : $"rank {rank}"), ranks.AllGather(ranks.Rank == 1 ? "" : $"rank {ranks.Rank}"));
            Assert.Equal(Enumerable.Range(0, size).Select(rank => Enumerable.Repeat(rank / 3.0, rank).ToArray()), ranks.AllGather(Enumerable.Repeat(ranks.Rank / 3.0, ranks.Rank).ToArray()));
            Assert.True(ranks.Any(ranks.Rank == size - 1));
            Assert.False(ranks.Any(false));
            return true;
        });
    }

    [Fact]
    public void An_error_of_one_rank_is_one_of_all_and_the_others_name_it()
    {
        (bool, Exception? Error)[] ends = Ranks.Ends(3, ranks =>
        {
            // Nested: the inner work fails on all ranks alike, seen from the outer one.
            ranks.Together(() => ranks.Together(() =>
            {
                if (ranks.Rank == 1)
                    throw new ArithmeticException("bad row");
            }));
            return true;
        });
        Assert.Equal("bad row", Assert.IsType<ArithmeticException>(ends[1].Error).Message);
        foreach (int other in (int[])[0, 2])
        {
            RankFailedException error = Assert.IsType<RankFailedException>(ends[other].Error);
            Assert.Equal((1, "Rank 1 failed: bad row"), (error.Rank, error.Message));
        }
    }

    [Fact]
    public void Of_two_errors_that_of_the_lower_rank_counts()
    {
        (bool, Exception? Error)[] ends = Ranks.Ends(3, ranks => ranks.Together(() => ranks.Rank == 0 ? true : throw new IOException($"disk of rank {ranks.Rank}")));
        Assert.Equal("disk of rank 1", Assert.IsType<IOException>(ends[1].Error).Message);
        Assert.All([ends[0], ends[2]], end => Assert.Equal(1, Assert.IsType<RankFailedException>(end.Error).Rank));
    }

    [Fact]
    public void Nobody_waits_for_a_rank_that_has_left()
    {
        (bool, Exception? Error)[] ends = Ranks.Ends(3, ranks => ranks.Rank == 2 ? throw new InvalidOperationException("gone") : ranks.Any(false));
        Assert.All(ends[..2], end => Assert.StartsWith("Rank 2 has left.", Assert.IsType<CommunicatorException>(end.Error).Message, StringComparison.Ordinal));
    }

    [Fact]
    public void A_missing_or_foreign_library_is_named()
    {
        Assert.Contains("Install Open MPI", Assert.Throws<CommunicatorException>(() => MpiLibrary.Load("libmpi-is-not-here.so")).Message, StringComparison.Ordinal);
        if (OperatingSystem.IsLinux())
            Assert.Contains("is not the library of Open MPI", Assert.Throws<CommunicatorException>(() => MpiLibrary.Load("libc.so.6")).Message, StringComparison.Ordinal);
    }
}
