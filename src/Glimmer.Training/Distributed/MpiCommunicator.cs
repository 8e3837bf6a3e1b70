namespace Glimmer.Training.Distributed;

/// <summary>Ranks that <c>mpirun</c> of Open MPI started, on one machine or several.</summary>
internal sealed unsafe class MpiCommunicator : Communicator
{
    private readonly MpiLibrary _mpi;

    private MpiCommunicator(MpiLibrary mpi, int rank, int size) => (_mpi, Rank, Size) = (mpi, rank, size);

    /// <inheritdoc/>
    public override int Rank { get; }

    /// <inheritdoc/>
    public override int Size { get; }

    /// <summary>Initialises MPI, once in the life of a process.</summary>
    /// <param name="expected">Number of ranks that the environment promises.</param>
    public static MpiCommunicator Start(int expected)
    {
        MpiLibrary mpi = MpiLibrary.Load();
        mpi.Initialize();
        (int rank, int size) = mpi.Place();
        if (size != expected)
            throw new CommunicatorException($"mpirun promised {expected} ranks, but MPI has {size}. Is another Open MPI's library in the way? Use mpirun and libmpi of one installation.");
        return new MpiCommunicator(mpi, rank, size);
    }

    /// <inheritdoc/>
    public override void AllToAll(ReadOnlySpan<byte> send, ReadOnlySpan<int> sendCounts, Span<byte> receive, ReadOnlySpan<int> receiveCounts)
    {
        int* sendFirst = stackalloc int[Size];
        int* receiveFirst = stackalloc int[Size];
        CheckLength(Offsets(sendCounts, sendFirst), send.Length, nameof(send));
        CheckLength(Offsets(receiveCounts, receiveFirst), receive.Length, nameof(receive));
        fixed (byte* s = send, r = receive)
        fixed (int* sc = sendCounts, rc = receiveCounts)
            _mpi.AllToAll(s, sc, sendFirst, r, rc, receiveFirst);
    }

    /// <inheritdoc/>
    public override void AllGather(ReadOnlySpan<byte> own, Span<byte> all, ReadOnlySpan<int> counts)
    {
        int* first = stackalloc int[Size];
        CheckLength(Offsets(counts, first), all.Length, nameof(all));
        CheckLength(counts[Rank], own.Length, nameof(own));
        fixed (byte* o = own, a = all)
        fixed (int* c = counts)
            _mpi.AllGather(o, counts[Rank], a, c, first);
    }

    /// <inheritdoc/>
    public override void Gather(ReadOnlySpan<byte> own, Span<byte> all, ReadOnlySpan<int> counts)
    {
        int* first = stackalloc int[Size];
        int total = Offsets(counts, first);
        if (IsRoot)
            CheckLength(total, all.Length, nameof(all));
        CheckLength(counts[Rank], own.Length, nameof(own));
        fixed (byte* o = own, a = all)
        fixed (int* c = counts)
            _mpi.Gather(o, counts[Rank], a, c, first);
    }

    /// <inheritdoc/>
    public override void Abort(int exitCode) => _mpi.Abort(exitCode);

    private protected override void Leave() => _mpi.Complete();

    private int Offsets(ReadOnlySpan<int> counts, int* first)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(counts.Length, Size, nameof(counts));
        int sum = 0;
        for (int rank = 0; rank < Size; rank++)
        {
            first[rank] = sum;
            sum = checked(sum + counts[rank]);
        }

        return sum;
    }

    private static void CheckLength(int needed, int length, string name)
    {
        if (needed > length)
            throw new ArgumentException($"{needed} bytes do not fit into {length}.", name);
    }
}
