namespace Glimmer.Training.Distributed;

/// <summary>Ranks that are threads of one process, each with a model of its own. To try what several ranks do without MPI.</summary>
public sealed class ThreadCommunicator : Communicator
{
    private readonly Meeting _meeting;

    private ThreadCommunicator(Meeting meeting, int rank) => (_meeting, Rank) = (meeting, rank);

    /// <inheritdoc/>
    public override int Rank { get; }

    /// <inheritdoc/>
    public override int Size => _meeting.Size;

    /// <summary>Creates the communicators of so many ranks.</summary>
    public static IReadOnlyList<ThreadCommunicator> Create(int size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        var meeting = new Meeting(size);
        return [.. Enumerable.Range(0, size).Select(rank => new ThreadCommunicator(meeting, rank))];
    }

    /// <inheritdoc/>
    public override void AllToAll(ReadOnlySpan<byte> send, ReadOnlySpan<int> sendCounts, Span<byte> receive, ReadOnlySpan<int> receiveCounts)
    {
        var parts = new byte[Size][];
        for (int to = 0, first = 0; to < Size; first += sendCounts[to++])
            parts[to] = send.Slice(first, sendCounts[to]).ToArray();
        byte[][][] all = _meeting.Exchange(Rank, parts);
        for (int from = 0, first = 0; from < Size; first += receiveCounts[from++])
        {
            ArgumentOutOfRangeException.ThrowIfNotEqual(all[from][Rank].Length, receiveCounts[from], nameof(receiveCounts));
            all[from][Rank].CopyTo(receive[first..]);
        }
    }

    /// <inheritdoc/>
    public override void AllGather(ReadOnlySpan<byte> own, Span<byte> all, ReadOnlySpan<int> counts)
    {
        byte[][][] parts = _meeting.Exchange(Rank, [own.ToArray()]);
        for (int from = 0, first = 0; from < Size; first += counts[from++])
        {
            ArgumentOutOfRangeException.ThrowIfNotEqual(parts[from][0].Length, counts[from], nameof(counts));
            parts[from][0].CopyTo(all[first..]);
        }
    }

    /// <inheritdoc/>
    public override void Gather(ReadOnlySpan<byte> own, Span<byte> all, ReadOnlySpan<int> counts) => AllGather(own, IsRoot ? all : new byte[Sum(counts)], counts);

    /// <inheritdoc/>
    public override void Abort(int exitCode) => _meeting.End($"Rank {Rank} ended the run with exit code {exitCode}.");

    private protected override void Leave() => _meeting.End($"Rank {Rank} has left.");

    private static int Sum(ReadOnlySpan<int> counts)
    {
        int sum = 0;
        foreach (int count in counts)
            sum += count;
        return sum;
    }

    // All ranks lay down their parts; the last one lets everybody take what is there.
    private sealed class Meeting(int size)
    {
        private readonly object _lock = new();
        private byte[][][] _parts = new byte[size][][];
        private byte[][][] _complete = [];
        private int _present;
        private long _number;
        private string? _ended;

        public int Size => size;

        public byte[][][] Exchange(int rank, byte[][] parts)
        {
            lock (_lock)
            {
                ThrowIfEnded();
                long number = _number;
                _parts[rank] = parts;
                if (++_present == size)
                {
                    (_complete, _parts, _present) = (_parts, new byte[size][][], 0);
                    _number++;
                    Monitor.PulseAll(_lock);
                }

                while (_number == number)
                {
                    ThrowIfEnded();
                    Monitor.Wait(_lock);
                }

                return _complete;
            }
        }

        public void End(string why)
        {
            lock (_lock)
            {
                _ended ??= why;
                Monitor.PulseAll(_lock);
            }
        }

        private void ThrowIfEnded()
        {
            if (_ended is not null)
                throw new CommunicatorException(_ended + " The other ranks cannot go on; the run can, from its last checkpoint.");
        }
    }
}
